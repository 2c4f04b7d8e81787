// Package rest is for talking to a FHIR R4 server over HTTP: searching, reading
// and writing as Identify and Deliver need it, on any server that speaks R4.
//
// It knows no stage and no policy: each method makes one attempt and says what
// came of it; whoever calls decides what is tried again. The one exception is a
// token that the server no longer accepts: it is renewed, and the request made
// once more.
package rest
