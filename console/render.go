package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"reflect"
	"strings"
)

//go:embed templates
var templateFiles embed.FS

//go:embed assets/app.css assets/app.js assets/icon.svg assets/vendor/*.js assets/vendor/*.css
var assetFiles embed.FS

// versionDigits is how much of its hash stands in the address of an asset.
const versionDigits = 12

// assets maps the name of each asset to its address, which changes with its
// content: browsers may keep it for ever.
var assets = func() map[string]string {
	all := map[string]string{}
	err := fs.WalkDir(assetFiles, "assets", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := assetFiles.ReadFile(path)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		all[strings.TrimPrefix(path, "assets/")] = "/" + path + "?v=" + hex.EncodeToString(sum[:])[:versionDigits]
		return nil
	})
	if err != nil {
		panic("console: reading embedded assets: " + err.Error()) // the binary is broken
	}
	return all
}()

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"asset": func(name string) (string, error) {
		if a, ok := assets[name]; ok {
			return a, nil
		}
		return "", fmt.Errorf("there is no asset %s", name)
	},
	"count": count,
}).ParseFS(templateFiles, "templates/*.html"))

// fragment is a part of a page that is pushed when it changes.
type fragment struct {
	id   string // of the element that it replaces
	html string
	rows []fragment // a list whose rows change one by one; nil for a plain fragment
	data any        // what html was made from
}

// render makes the fragment that template name makes of data, unless old was
// made of the same.
func render(name, id string, data any, old *fragment) (fragment, error) {
	if old != nil && old.html != "" && reflect.DeepEqual(old.data, data) {
		return *old, nil
	}
	html, err := execute(name, data)
	return fragment{id: id, html: html, data: data}, err
}

func execute(name string, data any) (string, error) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		return "", fmt.Errorf("rendering %s: %w", name, err)
	}
	return b.String(), nil
}

// find returns the fragment with that id, nil when there is none.
func find(all []fragment, id string) *fragment {
	for i := range all {
		if all[i].id == id {
			return &all[i]
		}
	}
	return nil
}

// changed returns what of now must be pushed to a page that shows old.
func changed(old, now []fragment) []fragment {
	var out []fragment
	for i := range now {
		n := &now[i]
		o := find(old, n.id)
		switch {
		case o == nil:
			out = append(out, *n)
		case n.html == o.html:
		case n.rows != nil && sameRows(o.rows, n.rows):
			out = append(out, changed(o.rows, n.rows)...)
		default:
			out = append(out, *n)
		}
	}
	return out
}

func sameRows(a, b []fragment) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].id != b[i].id {
			return false
		}
	}
	return true
}
