// Package rest is for talking to a FHIR R4 server over HTTP: searching, reading
// and writing as Identify and Deliver need it, on any server that speaks R4.
//
// It knows no stage and no policy: each method makes one attempt and says what
// came of it; whoever calls decides what is tried again.
package rest
