// Package scoring turns the latest vital signs of a patient into early-warning
// scores: the configuration of signals and models, what is plausible, and the
// charts themselves.
//
// It does not know where values are kept or when a window is due; it is asked
// for one window at a time and answers from the values it is given.
package scoring
