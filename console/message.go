package console

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// message is one Server-Sent Event: elements that replace those of the same id.
func message(id string, all []fragment) []byte {
	var b bytes.Buffer
	if id != "" {
		fmt.Fprintf(&b, "id: %s\n", id)
	}
	for _, f := range all {
		html := `<hx-partial hx-target="#` + f.id + `" hx-swap="outerMorph">` + f.html + `</hx-partial>`
		for line := range strings.Lines(html) {
			if line = strings.TrimSpace(line); line != "" {
				b.WriteString("data: " + line + "\n")
			}
		}
	}
	b.WriteString("\n")
	return b.Bytes()
}

// event is a named event: the page's script hears it, nothing is replaced.
func event(name, data string) []byte {
	return []byte("event: " + name + "\ndata: " + data + "\n\n")
}

// beat tells a page that it is still connected, and what the time is.
func beat(now time.Time) []byte { return event("beat", now.UTC().Format(time.RFC3339)) }
