package console

import (
	"strings"
	"testing"
	"time"

	"auscult/schemas"
)

func TestNumbers(t *testing.T) {
	for _, c := range []struct {
		b    Bounds
		want string
	}{{Bounds{7, 7, true}, "7"}, {Bounds{3, 9, false}, "3\u20139"}, {Bounds{4, 4, false}, "4"}, {Bounds{0.125, 0.125, true}, "0.13"}} {
		if got := number(c.b); got != c.want {
			t.Errorf("%+v is %q, want %q", c.b, got, c.want)
		}
	}
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1\u202f000", 1234567: "1\u202f234\u202f567", -1000: "-1\u202f000"} {
		if got := count(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestLevels(t *testing.T) {
	for _, c := range []struct{ model, risk, want string }{
		{"news2", "high", levelHigh}, {"news2", "low-medium", levelLowMedium}, {"news2", "", levelUnsure},
		{"news2", `"><script>`, levelUnsure}, {"", "", levelNone},
	} {
		if got := levelOf(c.model, c.risk); got != c.want {
			t.Errorf("level of %q %q is %q, want %q", c.model, c.risk, got, c.want)
		}
	}
}

func TestLasting(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 59 * time.Second: "59 s", 90 * time.Second: "1 min", 2 * time.Hour: "2 h", 130 * time.Minute: "2 h 10 min",
		50 * time.Hour: "2 d 2 h", 48*time.Hour + time.Minute: "2 d",
	} {
		if got := lasting(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-time.Second: "now", 4 * time.Second: "now", 13 * time.Second: "10 s ago", 61 * time.Second: "1 min ago"} {
		if got := ago(d); got != want {
			t.Errorf("%s ago is %q, want %q", d, got, want)
		}
	}
}

func TestInstants(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{noon, "12:04"}, {noon.Add(5 * time.Second), "12:04:05"}, {noon.AddDate(0, 0, -1), "4 Mar 2026 12:04"},
		{time.Date(2012, 1, 1, 0, 0, 0, 0, time.UTC), "1 Jan 2012 00:00"},
	} {
		if got := instantOf(schemas.TicksOf(c.at), noon.In(time.FixedZone("elsewhere", 13*3600))); got.Text != c.want {
			t.Errorf("%s is %q, want %q", c.at, got.Text, c.want)
		}
	}
	if got := instantOf(0, noon); got != (instant{}) {
		t.Errorf("no time is %+v", got)
	}
}

func TestIDsAreSafe(t *testing.T) {
	id := domID("p-", `a.b#c "d"`, "news2")
	if strings.ContainsAny(id, `.#" `) || id == domID("p-", `a.b#c "d"`, "sepsis") || id == domID("p-", "a", "b") {
		t.Errorf("the id is %q", id)
	}
}
