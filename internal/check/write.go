package check

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// WriteText writes findings for a person: place, what, the line, and what to
// do.
func WriteText(w io.Writer, all []Finding) error {
	var b strings.Builder
	for i := range all {
		f := &all[i]
		fmt.Fprintf(&b, "%s:%d:%d: %s: %s [%s]\n", f.File, f.Line, f.Column, f.Level, f.Message, f.Rule)
		if f.Excerpt != "" {
			fmt.Fprintf(&b, "    %s\n", strings.ReplaceAll(f.Excerpt, "\n", "\n    "))
		}
		if f.Fix != "" {
			fmt.Fprintf(&b, "  fix: %s\n", f.Fix)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON writes findings for a program.
func WriteJSON(w io.Writer, all []Finding) error {
	if all == nil {
		all = []Finding{}
	}
	return indented(w, struct {
		Errors   int       `json:"errors"`
		Warnings int       `json:"warnings"`
		Notes    int       `json:"notes"`
		Findings []Finding `json:"findings"`
	}{Count(all, LevelError), Count(all, LevelWarning), Count(all, LevelNote), all})
}

func indented(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
