package console

import (
	"context"
	"iter"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// browser starts a headless Chromium that talks to nobody but the console.
func browser(t *testing.T, flags ...string) context.Context {
	t.Helper()
	if os.Getenv("AUSCULT_TEST_BROWSER") == "" {
		t.Skip("set AUSCULT_TEST_BROWSER to run the console in Chromium (its path, or 1 to look for it)")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.WindowSize(1500, 1100), chromedp.UserDataDir(t.TempDir()))
	flags = append(flags, "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update",
		"disable-sync", "force-prefers-reduced-motion") // pictures of a page at rest
	for _, f := range flags {
		if name, value, ok := strings.Cut(f, "="); ok {
			opts = append(opts, chromedp.Flag(name, value))
		} else {
			opts = append(opts, chromedp.Flag(name, true))
		}
	}
	if path := os.Getenv("AUSCULT_TEST_BROWSER"); strings.Contains(path, "/") {
		opts = append(opts, chromedp.ExecPath(path))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

// keep writes a screenshot to the folder or file that the environment names.
func keep(t *testing.T, name string, png []byte) {
	t.Helper()
	path := os.Getenv("AUSCULT_TEST_SCREENSHOT")
	if path == "" {
		path = filepath.Join(os.TempDir(), "auscult-console.png")
	}
	if name != "" {
		path = strings.TrimSuffix(path, ".png") + "-" + name + ".png"
	}
	if err := os.WriteFile(path, png, 0o600); err != nil {
		t.Error(err)
	}
	t.Logf("screenshot: %s", path)
}

func TestBrowserShowsWard(t *testing.T) {
	ctx := browser(t)
	f := testWard()
	srv := httptest.NewServer(running(t, testConfig(f)))
	defer srv.Close()
	defer srv.CloseClientConnections()
	messages := chromedp.Console(ctx)

	do(ctx, t, "open the worklist", chromedp.Navigate(srv.URL+"/"), chromedp.WaitReady(chromedp.CSS(`#live[data-state="on"]`)), chromedp.WaitReady(chromedp.CSS(`tr.row.high`)))
	f.change(func(f *fakeHistory) {
		f.flags = append(f.flags, Flag{ID: "flag-9", Patient: "id-Bed 11", Rule: "news2", Opened: at(0), MaxScore: 7})
		s := standing("Bed 11", "high", 7, 7, [7]string{"25", "94", "air", "104", "112", "A", "38.2"}, [7]float64{3, 1, 0, 1, 2, 0, 1}, 3, 4, 4, 4, 5, 6, 6)
		f.standings[1] = s
	})
	do(ctx, t, "see the Flag that opened", chromedp.WaitReady(chromedp.CSS(`#changes li.clinical`)), chromedp.WaitReady(chromedp.CSS(`tr.row.high:nth-child(2)`)))
	if w := eval[int](ctx, t, `document.documentElement.scrollWidth - innerWidth`); w > 0 {
		t.Errorf("the worklist is %d wider than the window", w)
	}
	keep(t, "", shot(ctx, t))

	// By keyboard: the second patient in the list.
	for range 20 {
		if eval[bool](ctx, t, `document.activeElement.matches("tr.row:nth-child(2) a.who")`) {
			break
		}
		do(ctx, t, "press Tab", chromedp.KeyEvent("\t"))
	}
	if tag := eval[string](ctx, t, `getComputedStyle(document.activeElement.closest("tr")).outlineStyle`); tag != "solid" {
		t.Errorf("the focused patient has the outline %q", tag)
	}
	do(ctx, t, "open the patient", chromedp.KeyEvent("\r"), chromedp.WaitReady(chromedp.CSS(`main[data-drawn="yes"] .chart.score canvas`)), chromedp.WaitReady(chromedp.CSS(`#live[data-state="on"]`)))
	if n := eval[int](ctx, t, `document.querySelectorAll(".vitals .chart canvas").length`); n != 5 {
		t.Errorf("%d vital signs are drawn, want 5", n)
	}
	if n := eval[int](ctx, t, `[...document.querySelectorAll(".vitals canvas")].filter(c => c.getContext("2d").getImageData(0, 0, c.width, c.height).data.some(v => v)).length`); n != 5 {
		t.Errorf("%d charts have ink on them, want 5", n)
	}
	if got := eval[string](ctx, t, `document.querySelector("h1").textContent`); got != "Bed 11" {
		t.Errorf("the page is of %q", got)
	}
	eval[bool](ctx, t, `document.querySelector("details").open = true`)
	f.change(func(f *fakeHistory) {
		c := f.courses["id-Bed 11"]
		c.Series = c.Series[:4]
		f.courses["id-Bed 11"] = c
	})
	do(ctx, t, "see vital signs go", chromedp.WaitReady(chromedp.CSS(`.vitals > section:nth-child(4):last-child canvas`)))
	if !eval[bool](ctx, t, `document.querySelector("details").open`) {
		t.Error("an update closed the table that was open")
	}
	keep(t, "patient", shot(ctx, t))

	check(ctx, t, messages)
}

// A page that was refused, or whose console has stopped, says that it is not
// live, and is live again by itself.
func TestBrowserComesBack(t *testing.T) {
	ctx := browser(t)
	s := New(testConfig(testWard()))
	srv := httptest.NewServer(s)
	defer srv.Close()
	defer srv.CloseClientConnections()
	do(ctx, t, "open a console that does not run", chromedp.Navigate(srv.URL+"/"), chromedp.WaitReady(chromedp.CSS(`#live[data-state="off"]`)))
	for _, round := range []string{"begins", "stops and begins again"} {
		run, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); s.Run(run) }()
		do(ctx, t, "be live when it "+round, chromedp.WaitReady(chromedp.CSS(`#live[data-state="on"]`)), chromedp.WaitReady(chromedp.CSS(`tr.row.high`)))
		cancel()
		<-done
		do(ctx, t, "see that it has stopped", chromedp.WaitReady(chromedp.CSS(`#live[data-state="off"]`)))
	}
}

func TestBrowserNarrowAndDark(t *testing.T) {
	ctx := browser(t, "blink-settings=preferredColorScheme=0")
	srv := httptest.NewServer(running(t, testConfig(testWard())))
	defer srv.Close()
	defer srv.CloseClientConnections()
	messages := chromedp.Console(ctx)
	for name, path := range map[string]string{"narrow": "/", "narrow-patient": "/patients/id-Bed%204"} {
		do(ctx, t, "open "+path, chromedp.EmulateViewport(420, 900), chromedp.Navigate(srv.URL+path), chromedp.WaitReady(chromedp.CSS(`#live[data-state="on"]`)))
		if path != "/" {
			do(ctx, t, "draw", chromedp.WaitReady(chromedp.CSS(`main[data-drawn="yes"]`)))
		}
		if !eval[bool](ctx, t, `matchMedia("(prefers-color-scheme: dark)").matches`) {
			t.Error("the browser does not prefer the dark")
		}
		if w := eval[int](ctx, t, `document.documentElement.scrollWidth`); w > 420 {
			t.Errorf("%s is %d wide on a screen of 420", path, w)
		}
		keep(t, name, shot(ctx, t))
	}
	check(ctx, t, messages)
}

func do(ctx context.Context, t *testing.T, what string, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func eval[T any](ctx context.Context, t *testing.T, js string) T {
	t.Helper()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](js))
	if err != nil {
		t.Fatalf("%s: %v", js, err)
	}
	return v
}

func shot(ctx context.Context, t *testing.T) []byte {
	t.Helper()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.Fatal(err)
	}
	return png
}

// check ends the browser and fails for whatever it has complained about.
func check(ctx context.Context, t *testing.T, messages iter.Seq2[chromedp.ConsoleMessage, error]) {
	t.Helper()
	eval[bool](ctx, t, `console.log("end of the test") || true`)
	for m, err := range messages {
		if err != nil {
			t.Fatal(err)
		}
		if m.Text == "end of the test" {
			return
		}
		t.Errorf("the browser says %s (%s:%d)", m, m.URL, m.Line)
	}
}
