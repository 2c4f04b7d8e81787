package mapping

import (
	"fmt"
	"slices"
	"strings"

	"auscult/mapping/internal/jsonpath"
)

// envelope are the members of every message.
var envelope = []string{"Body", "Properties", "SystemProperties"}

// firstName returns the member that a path begins with, if it is one.
func firstName(steps []jsonpath.Step) (string, bool) {
	if len(steps) == 0 || steps[0].Kind != jsonpath.Name || steps[0].Scan {
		return "", false
	}
	return steps[0].Name, true
}

// enveloped reports whether a template is written for messages in an envelope:
// it names a part of it. Otherwise nothing is said about what is at the root.
func (d *draft) enveloped() bool {
	return strings.HasPrefix(d.d.device, "$.SystemProperties") || slices.ContainsFunc(d.all(), func(s *source) bool {
		if name, ok := s.first(); ok {
			return slices.Contains(envelope, name)
		}
		return s.path != nil && len(s.path.Steps) > 0 && where(s.path.Steps[0].Filter) == placeWhole
	})
}

// first returns the member of its root that an expression begins with, if it is
// one.
func (s *source) first() (string, bool) {
	if s.expr != nil {
		names, ok := s.expr.Members()
		return append(names, "")[0], ok
	}
	return firstName(s.path.Steps)
}

// place says which part of a message a match is.
type place uint8

const (
	placeUnknown place = iota
	placeWhole         // the message with its envelope
	placeInside        // a part of it
)

// matchPlace returns which part of a message a match selects.
func matchPlace(steps []jsonpath.Step) place {
	if len(steps) == 0 {
		return placeWhole
	}
	switch first := &steps[0]; {
	case first.Kind == jsonpath.Name || first.Kind == jsonpath.Names || len(steps) > 1 && first.Kind != jsonpath.Where:
		return placeInside
	case first.Kind == jsonpath.Where && len(steps) == 1 && first.Scan:
		return where(first.Filter)
	}
	return placeUnknown
}

// where returns which part of a message has what a filter asks for.
func where(f *jsonpath.Filter) place {
	if f == nil {
		return placeUnknown
	}
	if f.Op != jsonpath.OpAnd && f.Op != jsonpath.OpOr {
		name, ok := firstName(relative(f))
		switch {
		case !ok:
			return placeUnknown
		case slices.Contains(envelope, name):
			return placeWhole
		}
		return placeInside
	}
	places := map[place]bool{}
	for _, part := range f.Parts {
		places[where(part)] = true
	}
	switch {
	case f.Op == jsonpath.OpAnd && places[placeWhole] || len(places) == 1 && places[placeWhole]:
		return placeWhole
	case f.Op == jsonpath.OpAnd && places[placeInside] || len(places) == 1 && places[placeInside]:
		return placeInside
	}
	return placeUnknown
}

// relative returns the path of a condition that begins at the tested token.
func relative(f *jsonpath.Filter) []jsonpath.Step {
	for _, o := range []*jsonpath.Operand{&f.Left, &f.Right} {
		if o.IsPath && len(o.Path) > 0 && o.Path[0].Kind != jsonpath.Root {
			return o.Path
		}
	}
	return nil
}

func (l *linter) outsideMatch(d *draft) {
	if d.d.whole {
		return
	}
	place := matchPlace(d.match.path.Steps)
	switch {
	case place == placeInside && strings.HasPrefix(d.d.device, "$.SystemProperties"):
		l.addIn(d.match, 0, "the match is inside the message, but device and time of IoT Hub are outside its body: every match fails",
			"match the whole message, as $..[?(@Body.heartRate)] does")
	case place == placeWhole && d.d.device == "$.deviceId":
		l.addIn(d.match, 0, "the match is the whole message, but device and time of IoT Central are in its body: every match fails",
			"match the body, as $..[?(@telemetry.heartRate)] does")
	}
	for _, s := range d.sources {
		name, ok := firstName(s.path.Steps)
		known := slices.Contains(envelope, name)
		switch {
		case ok && known && place == placeInside:
			l.addIn(s, s.path.Steps[0].At, fmt.Sprintf("the match is inside the message, where %s is out of reach", name),
				"write a path from the match, or use CalculatedContent, which sees the whole message")
		case ok && !known && place == placeWhole:
			l.addIn(s, s.path.Steps[0].At, fmt.Sprintf("the match is the whole message, which has no member %s beside Body, Properties and SystemProperties", name),
				"write $.Body."+name)
		}
	}
}

func (l *linter) notInMessage(d *draft) {
	if !l.enveloped {
		return
	}
	check := func(s *source, roots ...string) {
		name, ok := s.first()
		if !ok || slices.Contains(envelope, name) || name == matchedToken && s != d.match {
			return
		}
		at, prefix := 0, ""
		if s.path != nil {
			at, prefix = s.path.Steps[0].At, "$."
		}
		for i := range roots {
			roots[i] = prefix + roots[i] + "." + name
		}
		l.addIn(s, at, fmt.Sprintf("a message has no member %s beside Body, Properties and SystemProperties", name),
			"write "+strings.Join(roots, " or "))
	}
	check(d.match, "Body")
	if d.d.whole {
		for _, s := range d.sources {
			check(s, matchedToken, "Body")
		}
	}
}

// scans finds the scans that begin at the root, where matchedToken is.
func (l *linter) scans(d *draft) {
	if !d.d.whole {
		return
	}
	for _, s := range d.sources {
		if s.path == nil || len(s.path.Steps) == 0 || !s.path.Steps[0].Scan {
			continue
		}
		at := strings.Index(s.text, "..")
		l.addIn(s, at, "a scan of the whole message finds what is in the match twice, the second time as matchedToken: two values are an error",
			"write $.matchedToken or $.Body before the two dots")
	}
}
