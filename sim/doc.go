// Package sim makes device messages: a simulated ward whose patients do what
// their scenario says, and readers that turn public recordings into messages,
// one a row. Demos, tests and load runs use it.
//
// It knows no broker and no clock: the caller says from when, decides how fast,
// and sends. A ward is a function of its seed and of time, so the same ward
// gives the same messages wherever one begins to read.
package sim
