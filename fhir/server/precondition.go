package server

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// preconditions are what a client says of the version that it means, as it
// sent them; empty = nothing.
type preconditions struct {
	ifMatch, ifNoneMatch string
	modifiedSince        time.Time // of a read
}

// check refuses a write whose preconditions do not hold. old is the current
// version, nil when there never was one.
func (p *preconditions) check(old *stored) error {
	current := old != nil && !old.deleted
	switch {
	case p.ifMatch != "" && !current:
		return problemf(http.StatusPreconditionFailed, "conflict", "If-Match names version %s, there is no current version", bareTag(p.ifMatch))
	case p.ifMatch != "" && !names(p.ifMatch, old.version):
		return problemf(http.StatusPreconditionFailed, "conflict", "If-Match names version %s, the current version is %d", bareTag(p.ifMatch), old.version)
	case p.ifNoneMatch != "" && current && names(p.ifNoneMatch, old.version):
		return problemf(http.StatusPreconditionFailed, "conflict", "If-None-Match excludes the current version, %d", old.version)
	}
	return nil
}

// unchanged reports whether a reader who sent these has that version already.
// The time counts only without a tag, says RFC 9110.
func (p *preconditions) unchanged(s *stored) bool {
	if p.ifNoneMatch != "" {
		return names(p.ifNoneMatch, s.version)
	}
	return !p.modifiedSince.IsZero() && !time.UnixMilli(s.updated).Truncate(time.Second).After(p.modifiedSince)
}

// names reports whether a list of entity tags holds a version; * is any.
func names(tags string, version int64) bool {
	want := strconv.FormatInt(version, 10)
	for tag := range strings.SplitSeq(tags, ",") {
		if bare := bareTag(tag); bare == "*" || bare == want {
			return true
		}
	}
	return false
}

// bareTag reads W/"1", "1" and 1.
func bareTag(tag string) string {
	return strings.Trim(strings.TrimPrefix(strings.TrimSpace(tag), "W/"), `"`)
}
