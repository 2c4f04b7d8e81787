package state

import (
	"errors"
	"reflect"
	"testing"
)

func someHeader() Header {
	h := Header{Flags: RowSilent | RowWork, Version: 300}
	h.Apply(0, 41, GenerationOf("cluster/topic"))
	h.Apply(1, 0, 0)
	h.Owed = []Owed{
		{Input: 0, Topic: 2, Offset: 40, Key: "p", Value: []byte("one")},
		{Input: 1, Topic: 0, Offset: 0, Key: "", Value: []byte{}},
		{Input: 0, Topic: 1, Offset: 41, Key: "q", Value: []byte("two")},
	}
	return h
}

func TestHeaderRoundTrip(t *testing.T) {
	for name, h := range map[string]Header{"full": someHeader(), "new": {}} {
		row := append(h.AppendTo(nil), "the rest"...)
		var got Header
		rest, err := got.ReadHeader(row)
		if err != nil || string(rest) != "the rest" {
			t.Fatalf("%s: rest %q, %v", name, rest, err)
		}
		if len(got.Owed) == 0 {
			got.Owed = nil
		}
		if !reflect.DeepEqual(got, h) {
			t.Errorf("%s: read %+v, wrote %+v", name, got, h)
		}
		if applied, err := RowApplied(row); err != nil || applied != h.Applied {
			t.Errorf("%s: applied %v %v", name, applied, err)
		}
		if RowFlags(row) != h.Flags {
			t.Errorf("%s: flags %d", name, RowFlags(row))
		}
	}
}

func TestEmptyRowIsANewOne(t *testing.T) {
	h := someHeader()
	if rest, err := h.ReadHeader(nil); err != nil || rest != nil || h.Version != 0 || len(h.Owed) != 0 || h.Again(0, 0) {
		t.Errorf("header %+v, %v", h, err)
	}
}

func TestAgain(t *testing.T) {
	h := someHeader()
	if !h.Again(0, 41) || !h.Again(0, 7) || h.Again(0, 42) || !h.Again(1, 0) || h.Again(1, 1) || h.Again(2, 0) {
		t.Error("applied messages are not told from new ones")
	}
}

func TestPrune(t *testing.T) {
	h := someHeader()
	h.Prune(0, 41)
	if len(h.Owed) != 2 || h.Owed[0].Input != 1 || h.Owed[1].Offset != 41 || h.LastOwed(0) != 41 || h.OwedBytes(0) != 4 {
		t.Errorf("owed %+v", h.Owed)
	}
	h.Owed = append(h.Owed, Owed{Input: OwedByTick, Offset: 5}, Owed{Input: OwedByTick, Offset: 9})
	h.Prune(0, 1000)
	h.Prune(1, 1000)
	if len(h.Owed) != 2 || RowFlags(h.AppendTo(nil))&RowOwes == 0 {
		t.Errorf("owed %+v", h.Owed)
	}
	h.PruneTicks(func(version int64) bool { return version < 9 })
	if len(h.Owed) != 1 || h.Owed[0].Offset != 9 || !h.OwesTick() {
		t.Errorf("owed %+v", h.Owed)
	}
	h.PruneTicks(func(int64) bool { return true })
	if h.OwesTick() || RowFlags(h.AppendTo(nil))&RowOwes != 0 {
		t.Errorf("owed %+v", h.Owed)
	}
}

func TestForeignRows(t *testing.T) {
	full := someHeader()
	row := full.AppendTo(nil)
	bad := [][]byte{{HeaderLayout}, {HeaderLayout + 1, 0, 0}}
	for i := 2; i < len(row); i++ {
		bad = append(bad, row[:i])
	}
	for _, b := range bad {
		var h Header
		if _, err := h.ReadHeader(b); !errors.Is(err, ErrRow) {
			t.Errorf("%x: %v", b, err)
		}
	}
	if RowFlags([]byte{HeaderLayout + 1, 255}) != 0 || RowFlags(nil) != 0 {
		t.Error("flags of what is no row of ours")
	}
}

func TestGenerations(t *testing.T) {
	if GenerationOf("") != 0 || GenerationOf("a") == 0 || GenerationOf("a") == GenerationOf("b") {
		t.Error("generations cannot be told apart")
	}
}

func FuzzReadHeader(f *testing.F) {
	h := someHeader()
	f.Add(h.AppendTo(nil))
	f.Fuzz(func(t *testing.T, row []byte) {
		var h, again Header
		rest, err := h.ReadHeader(row)
		if err != nil || len(row) == 0 {
			return
		}
		if _, err := again.ReadHeader(append(h.AppendTo(nil), rest...)); err != nil {
			t.Fatal(err)
		}
		h.Flags = again.Flags // whether it owes is worked out
		if !reflect.DeepEqual(h, again) {
			t.Fatalf("%+v reads as %+v", h, again)
		}
	})
}
