package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// answersTo returns what answerLines writes for a text.
func answersTo(t *testing.T, in io.Reader, limit int) []string {
	t.Helper()
	var out bytes.Buffer
	if err := answerLines(t.Context(), in, &out, limit); err != nil {
		t.Fatal(err)
	}
	if out.Len() == 0 {
		return nil
	}
	text, ended := strings.CutSuffix(out.String(), "\n")
	if !ended {
		t.Errorf("the last line does not end: %q", text)
	}
	return strings.Split(text, "\n")
}

// Every line has its answer, whatever it holds and however it is cut.
func TestBatchAnswersEveryLine(t *testing.T) {
	const separator = "\u2028"
	good := `{"id":"` + separator + `","op":"load-device","in":{"device":""}}`
	for text, want := range map[string]int{
		"":                            0,
		"\n":                          1,
		good:                          1,
		good + "\n":                   1,
		good + "\r\n" + good:          2,
		"x\n\n" + good + "\n\x00\n":   4,
		strings.Repeat(good+"\n", 99): 99,
	} {
		got := answersTo(t, iotest.OneByteReader(strings.NewReader(text)), maxBatchLine)
		if len(got) != want {
			t.Errorf("%q: %d answers, want %d", text, len(got), want)
		}
		for _, a := range got {
			var v struct{ ID any }
			if err := json.Unmarshal([]byte(a), &v); err != nil {
				t.Errorf("%q: %v", a, err)
			}
			if !strings.Contains(a, `"error"`) && v.ID != separator {
				t.Errorf("the id is lost: %q", a)
			}
		}
	}
}

// A line over the limit is answered with its id, and costs no more than that.
func TestBatchLongLines(t *testing.T) {
	const limit = 1 << 17
	line := func(n int) string {
		s := `{"id":"long","op":"load-device","in":{"device":""},"x":"`
		return s + strings.Repeat("y", n-len(s)-2) + `"}`
	}
	got := answersTo(t, strings.NewReader(line(limit)+"\n"+line(limit+1)+"\n"+line(3*limit)+"\n"+line(limit+1)), limit)
	if len(got) != 4 || !strings.HasPrefix(got[0], `{"id":"long","load"`) {
		t.Fatalf("got %q", got)
	}
	for _, a := range got[1:] {
		if a != `{"id":"long","error":"the line is longer than 131072 bytes: shorten the mapping or the message"}` {
			t.Errorf("got %s", a)
		}
	}
}

// A program at the other end of a pipe gets each answer before it asks again.
func TestBatchAnswersAtOnce(t *testing.T) {
	asks, in := io.Pipe()
	out, answers := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- errors.Join(answerLines(context.Background(), asks, answers, maxBatchLine), answers.Close())
	}()
	b := make([]byte, 100)
	for range 3 {
		if _, err := io.WriteString(in, `{"id":1}`+"\n"); err != nil {
			t.Fatal(err)
		}
		read := make(chan int, 1)
		go func() {
			n, _ := out.Read(b)
			read <- n
		}()
		select {
		case n := <-read:
			if got := string(b[:n]); got != `{"id":1,"error":"the line has no \"in\""}`+"\n" {
				t.Errorf("got %q", got)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("no answer")
		}
	}
	in.Close()
	if _, err := out.Read(b); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestBatchReadError(t *testing.T) {
	var out bytes.Buffer
	err := answerLines(t.Context(), io.MultiReader(strings.NewReader("x\n"), iotest.ErrReader(io.ErrUnexpectedEOF)), &out, maxBatchLine)
	if !errors.Is(err, io.ErrUnexpectedEOF) || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("got %v, %q", err, out.String())
	}
}
