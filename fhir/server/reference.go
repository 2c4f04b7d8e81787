package server

import (
	"context"
	"regexp"
	"slices"
	"strings"
)

// literalReference is a reference to a resource of this server.
var literalReference = regexp.MustCompile(`^([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})$`)

// conditionalReference is a reference that names its target by a search.
var conditionalReference = regexp.MustCompile(`^([A-Z][A-Za-z]+)\?(.+)$`)

func withoutVersion(reference string) string {
	ref, _, _ := strings.Cut(reference, "/_history/")
	return ref
}

// reference checks the form of a Reference and the type of what it means, as
// far as its text tells. No targets allow every type.
func (c *checker) reference(targets []string, v *value) {
	ref := v.get("reference").text()
	kind, ok := c.target(ref)
	if !ok {
		c.faultAt("reference", "reference", "value", "is Type/id, an absolute URL, urn:uuid:, urn:oid: or # and the id of a contained resource")
		return
	}
	if kind == "" {
		kind = v.get("type").text()
	}
	if len(targets) > 0 && isResourceType(kind) && !slices.Contains(targets, kind) {
		c.faultAt("reference", "reference", "structure", "means type "+kind+"; "+strings.Join(targets, ", ")+" may stand here")
	}
}

// target returns the type that a reference text means, "" when the text does
// not tell.
func (c *checker) target(ref string) (kind string, ok bool) {
	switch {
	case ref == "":
		return "", true // an identifier, a display or an extension alone
	case ref[0] == '#':
		return c.local(ref[1:])
	case strings.HasPrefix(ref, "urn:"):
		return "", true
	}
	if m := conditionalReference.FindStringSubmatch(ref); m != nil {
		return m[1], isResourceType(m[1])
	}
	ref = withoutVersion(ref)
	absolute := strings.Contains(ref, "://")
	if absolute {
		// Only an address of the form base/Type/id tells a type.
		ref = ref[strings.LastIndexByte(ref[:max(0, strings.LastIndexByte(ref, '/'))], '/')+1:]
	}
	kind, id, _ := strings.Cut(ref, "/")
	// The id may break R4's form: a device's patient id may stand there, and
	// such a reference harms nobody. It means no resource.
	if isResourceType(kind) && id != "" && !strings.ContainsAny(id, "/ \t\r\n") {
		return kind, true
	}
	return "", absolute
}

// local returns the type of a contained resource; # alone is the resource that
// contains.
func (c *checker) local(id string) (kind string, ok bool) {
	if id == "" {
		return c.root.get("resourceType").text(), true
	}
	c.root.get("contained").each(func(v *value) {
		if v.get("id").text() == id {
			kind, ok = v.get("resourceType").text(), true
		}
	})
	return kind, ok
}

// checkReferences refuses a reference to what is not there, when the server was
// opened so.
func (w *writer) checkReferences(ctx context.Context, c *change) error {
	if !w.references {
		return nil
	}
	_, err := rewriteReferences(c.resource, func(reference string) (string, error) {
		ref := withoutVersion(reference)
		m := literalReference.FindStringSubmatch(ref)
		if m == nil || c.beside[ref] {
			return reference, nil
		}
		target, err := w.current(ctx, m[1], m[2])
		if err == nil && (target == nil || target.deleted) {
			err = invalid("", "Resource %s not found, referenced by %s", ref, c.kind)
		}
		return reference, err
	})
	return err
}
