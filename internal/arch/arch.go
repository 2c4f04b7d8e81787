// Package arch holds the import rules of the project as a test: the drawing in
// ARCHITECTURE.md cannot drift from the code. It knows package names only.
package arch
