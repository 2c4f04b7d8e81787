package schemas

import (
	"testing"
	"time"
)

func TestTicks(t *testing.T) {
	cases := []struct {
		text  string
		ticks Ticks
		micro int64
	}{
		{"0001-01-01T00:00:00Z", 0, -62135596800000000},
		{"0001-01-01T00:00:00.0000001Z", 1, -62135596800000000},
		{"1969-12-31T23:59:59.9999999Z", unixEpochTicks - 1, -1},
		{"1970-01-01T00:00:00Z", 621_355_968_000_000_000, 0}, // .NET's DateTime.UnixEpoch.Ticks
		{"2020-07-29T12:04:02.6073744Z", 637_316_210_426_073_744, 1596024242607374},
		{"9999-12-31T23:59:59.9999999Z", MaxTicks, 253402300799999999},
	}
	for _, c := range cases {
		at, err := time.Parse(time.RFC3339Nano, c.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := TicksOf(at); got != c.ticks {
			t.Errorf("TicksOf(%s) = %d, want %d", c.text, got, c.ticks)
		}
		if got := c.ticks.Time(); !got.Equal(at) || got.Location() != time.UTC {
			t.Errorf("%d.Time() = %s, want %s", c.ticks, got, c.text)
		}
		if got := c.ticks.String(); got != c.text {
			t.Errorf("%d.String() = %s, want %s", c.ticks, got, c.text)
		}
		if got := c.ticks.UnixMicro(); got != c.micro {
			t.Errorf("%s: UnixMicro %d, want %d", c.text, got, c.micro)
		}
	}
	if MaxTicks != 3_155_378_975_999_999_999 { // .NET's DateTime.MaxValue.Ticks
		t.Errorf("MaxTicks = %d", MaxTicks)
	}
	if TicksOf(time.Time{}) != 0 {
		t.Error("no time is not zero")
	}
}

func TestTicksKeepTheInstantOfAnyZone(t *testing.T) {
	at := time.Date(2024, 2, 29, 1, 2, 3, 456_789_123, time.FixedZone("", -5*3600-1800))
	if got, want := TicksOf(at).Time(), at.Truncate(100).UTC(); !got.Equal(want) {
		t.Errorf("got %s, want %s", got, want)
	}
	before := time.Date(1930, 5, 6, 7, 8, 9, 123_456_700, time.UTC)
	if got := TicksOf(before).Time(); !got.Equal(before) {
		t.Errorf("got %s, want %s", got, before)
	}
}

func TestTicksFloor(t *testing.T) {
	origin := unixEpochTicks
	cases := []struct {
		at, step, want Ticks
	}{
		{origin, TicksPerHour, origin},
		{origin + 1, TicksPerHour, origin},
		{origin - 1, TicksPerHour, origin - TicksPerHour},
		{origin + TicksPerHour, TicksPerHour, origin + TicksPerHour},
		{0, TicksPerDay, 0},
		{MaxTicks, TicksPerDay, MaxTicks - TicksPerDay + 1},
	}
	for _, c := range cases {
		if got := c.at.Floor(c.step, origin); got != c.want {
			t.Errorf("Floor(%s, %s) = %s, want %s", c.at, c.step.Duration(), got, c.want)
		}
	}
}

func TestTicksLengths(t *testing.T) {
	if TicksIn(90*time.Second) != TicksPerMinute+30*TicksPerSecond || TicksPerDay.Duration() != 24*time.Hour {
		t.Error("lengths of time differ")
	}
	if TicksIn(199) != 1 || TicksPerMillisecond != 1000*TicksPerMicrosecond {
		t.Error("ticks are not 100 ns")
	}
}

func TestPositionAndOrder(t *testing.T) {
	ordered := []Position{{0, 5, 2}, {0, 6, 0}, {0, 6, 1}, {1, 0, 0}}
	for i, p := range ordered {
		for j, q := range ordered {
			want := 0
			if i != j {
				want = sign(i < j)
			}
			if got := p.Compare(q); got != want {
				t.Errorf("%v.Compare(%v) = %d, want %d", p, q, got, want)
			}
		}
	}
	if !(Order{2, 0}).Above(Order{1, 9}) || !(Order{2, 1}).Above(Order{2, 0}) || (Order{2, 1}).Above(Order{2, 1}) || (Order{1, 9}).Above(Order{2, 0}) {
		t.Error("orders compare wrongly")
	}
}
