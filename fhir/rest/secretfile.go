package rest

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"auscult/schemas"
)

// hidden keeps what embeds it from being printed: package fmt does not ask
// unexported fields how they want to be shown.
type hidden struct{}

// Format hides the value from every verb.
func (hidden) Format(f fmt.State, _ rune) { fmt.Fprint(f, schemas.Hidden) }

// fileCheck is how often a secret's file is looked at.
const fileCheck = time.Second

// maxSecretBytes bounds the file of a secret.
const maxSecretBytes = 1 << 20

// secretFile is a secret in a file that somebody else renews.
type secretFile struct {
	hidden
	setting string // that names the file
	path    string
	now     func() time.Time

	mu      sync.Mutex
	checked time.Time
	read    os.FileInfo // of what was read
	text    Secret
}

// secret returns what the file holds, without the space around it.
func (s *secretFile) secret() (Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if since := s.now().Sub(s.checked); s.text != "" && since >= 0 && since < fileCheck {
		return s.text, nil
	}
	return s.text, s.refresh()
}

// refresh reads the file when it has changed. s.mu is held.
func (s *secretFile) refresh() error {
	file, err := os.Stat(s.path)
	if err != nil {
		return fmt.Errorf("reading %s: %w", s.setting, err)
	}
	if s.text != "" && file.ModTime().Equal(s.read.ModTime()) && file.Size() == s.read.Size() {
		s.checked = s.now()
		return nil
	}
	text, err := readSecret(s.setting, s.path)
	if err != nil {
		return err
	}
	s.checked, s.read, s.text = s.now(), file, text
	return nil
}

// renewed looks at the file at once and reports whether it no longer holds old.
func (s *secretFile) renewed(old Secret) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read, s.text = nil, ""
	return s.refresh() == nil && s.text != old
}

func readSecret(setting, path string) (Secret, error) {
	file, err := os.Stat(path)
	if err == nil && file.Size() > maxSecretBytes {
		return "", fmt.Errorf("reading %s: %s is longer than %d bytes: is it the right file?", setting, path, maxSecretBytes)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", setting, err)
	}
	trimmed := strings.TrimSpace(string(text))
	if trimmed == "" {
		return "", fmt.Errorf("reading %s: %s is empty", setting, path)
	}
	return Secret(trimmed), nil
}
