package rest

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// authorizer gives the Authorization header of a request, empty for none. A
// further kind of authentication is a further implementation.
type authorizer interface {
	authorize(ctx context.Context) (Secret, error)
}

func (a Auth) authorizer() authorizer {
	switch a.Kind {
	case KindBasic:
		pair := a.User + ":" + string(a.Password)
		return fixed("Basic " + base64.StdEncoding.EncodeToString([]byte(pair)))
	case KindBearer:
		return &tokenFile{path: a.TokenFile}
	}
	return fixed("")
}

// fixed is a header that never changes.
type fixed Secret

func (f fixed) authorize(context.Context) (Secret, error) { return Secret(f), nil }

// tokenCheck is how often a token file is looked at.
const tokenCheck = time.Second

// tokenFile reads a bearer token from a file that somebody else renews.
type tokenFile struct {
	path    string
	mu      sync.Mutex
	checked time.Time
	changed time.Time // modification time of the file that was read
	header  Secret
}

func (t *tokenFile) authorize(context.Context) (Secret, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.header != "" && time.Since(t.checked) < tokenCheck {
		return t.header, nil
	}
	file, err := os.Stat(t.path)
	if err != nil {
		return "", fmt.Errorf("reading auth.tokenFile: %w", err)
	}
	t.checked = time.Now()
	if t.header != "" && file.ModTime().Equal(t.changed) {
		return t.header, nil
	}
	text, err := os.ReadFile(t.path)
	if err != nil {
		return "", fmt.Errorf("reading auth.tokenFile: %w", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", fmt.Errorf("reading auth.tokenFile: %s is empty", t.path)
	}
	t.header, t.changed = Secret("Bearer "+token), file.ModTime()
	return t.header, nil
}
