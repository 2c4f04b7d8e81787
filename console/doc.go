// Package console shows a ward to the people who watch it: a worklist of
// patients by risk, each patient's last hours, and how the river flows.
//
// It renders HTML on the server and pushes what has changed. It knows neither
// SQL nor stages: what there is to show it asks a [History] and a function.
package console
