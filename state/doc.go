// Package state is what lives in table rows: the row header that makes keyed
// stages idempotent, and the pure machines of a device and of a patient.
//
// It knows no clock, socket, goroutine or broker: times, positions and the
// rules of the configuration come in as arguments.
package state
