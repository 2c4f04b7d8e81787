package mapfile_test

import (
	"strings"
	"testing"

	"auscult/internal/mapfile"
)

// TestBareNames: without quotes a name is an identifier, as for Json.NET.
func TestBareNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "_a$1": true, "1": true, "gr\u00f6\u00dfe": true,
		"a-b": false, "1.5": false, "-1": false, "a@b": false, "a?": false,
	} {
		r := mapfile.NewReport("{x: 1, " + name + ": 2}")
		_, read := mapfile.Parse(r)
		if read != ok {
			t.Errorf("%s: %v", name, r.Err())
		}
		if !ok && !read && !strings.HasPrefix(r.Err().Error(), "line 1, column 8: ") {
			t.Error(r.Err())
		}
	}
}
