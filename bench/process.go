package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Limits of the processes that are measured.
const (
	stopTimeout  = 10 * time.Second // to end by itself when it is asked to
	startTimeout = 30 * time.Second // to say where it listens
	keptOutput   = 8 << 10          // of what a process says, for errors
)

// process is one auscult program at work.
type process struct {
	cmd   *exec.Cmd
	stdin io.Closer
	text  tail
	ended chan struct{}
	err   error // why it ended; set before ended is closed
	named string
	// profile is the file that appears once standard input is closed; may be empty.
	profile string
}

// start starts the program with these arguments. It runs until it is stopped, or
// all are. With -profile and a name, it writes a profile of that name.
func (l *lab) start(profile string, env []string, args ...string) (*process, error) {
	p := &process{named: strings.Join(args, " "), ended: make(chan struct{})}
	p.cmd = exec.Command(l.binary, args...)
	// What a person has set for his own river is not for this one.
	ours := func(variable string) bool { return strings.HasPrefix(variable, "AUSCULT_") }
	p.cmd.Env = append(slices.DeleteFunc(os.Environ(), ours), env...)
	if l.profile != "" && profile != "" {
		p.profile = filepath.Join(l.profile, profile+".pprof")
		_ = os.Remove(p.profile) // an earlier one would pass for the new one
		p.cmd.Env = append(p.cmd.Env, "AUSCULT_BENCH_PROFILE="+p.profile)
	}
	p.cmd.Stdout, p.cmd.Stderr = &p.text, &p.text
	p.cmd.SysProcAttr = leash()
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting auscult %s: %w", p.named, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	l.started = append(l.started, p)
	return p, nil
}

// stopAll ends every process that still runs, the last one first: stages go
// before their servers.
func (l *lab) stopAll() {
	for i := len(l.started) - 1; i >= 0; i-- {
		if p := l.started[i]; p.alive() == nil {
			_, _ = p.stop() // what it was for has failed already, or is done
		}
	}
	l.started = nil
}

// failure says with what the process ended, and what it said last.
func (p *process) failure() error {
	if p.err == nil {
		return nil
	}
	return fmt.Errorf("auscult %s: %w; it said last:\n%s", p.named, p.err, p.text.String())
}

// alive reports an error once the process has ended.
func (p *process) alive() error {
	select {
	case <-p.ended:
		return errors.Join(fmt.Errorf("auscult %s has ended too early", p.named), p.failure())
	default:
		return nil
	}
}

// stop asks the process to end and returns the CPU time that it took: the
// rusage of the whole process.
func (p *process) stop() (time.Duration, error) {
	if err := p.alive(); err != nil {
		return 0, err
	}
	p.endProfile()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, fmt.Errorf("stopping auscult %s: %w", p.named, err)
	}
	select {
	case <-p.ended:
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill() // the error below says it
		<-p.ended
	}
	if err := p.failure(); err != nil {
		return 0, err
	}
	return p.used(), nil
}

// profileTimeout is how long a process may take to write its profile.
const profileTimeout = 10 * time.Second

// endProfile has the process write its profile, if it makes one.
func (p *process) endProfile() {
	_ = p.stdin.Close() // it reads nothing else
	if p.profile == "" {
		return
	}
	for deadline := time.Now().Add(profileTimeout); time.Now().Before(deadline); time.Sleep(pollEvery / 10) {
		if _, err := os.Stat(p.profile); err == nil {
			return
		}
	}
}

// used returns the CPU time of a process that has ended.
func (p *process) used() time.Duration {
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// clockTick is the unit of the times in /proc: 1/100 s on every Linux there is.
const clockTick = 10 * time.Millisecond

// now returns the CPU time that a running process has taken so far; 0 where
// there is no /proc.
func (p *process) now() time.Duration { return cpuOf(p.cmd.Process.Pid) }

func cpuOf(pid int) time.Duration {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The second field, the program's name, may hold anything in its brackets.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		return 0
	}
	return time.Duration(user+system) * clockTick
}

// listening waits until a server says where it listens.
func (p *process) listening(ctx context.Context) (string, error) {
	const says = "listening on "
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); {
		for s := bufio.NewScanner(strings.NewReader(p.text.String())); s.Scan(); {
			if address, ok := strings.CutPrefix(s.Text(), says); ok {
				return address, nil
			}
		}
		if err := errors.Join(p.alive(), pause(ctx, 20*time.Millisecond)); err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("auscult %s does not say where it listens", p.named)
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// tail keeps the end of what is written into it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, b...)
	if more := len(t.text) - keptOutput; more > 0 {
		t.text = append(t.text[:0], t.text[more:]...)
	}
	return len(b), nil
}

// String returns what is kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
