package bed

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Process says how to run a program in a bed.
type Process struct {
	// Name names the process and its log; it is unique in the bed.
	Name string
	Path string
	Args []string
	// Env comes on top of a small environment of the bed's own: PATH, and HOME
	// and TMPDIR inside the bed's folder.
	Env []string
	Dir string
	// Ready is asked until it returns nil, at most for Timeout (default one
	// minute). Nil means ready at once.
	Ready   func(ctx context.Context) error
	Timeout time.Duration
	// Grace is the time from SIGTERM to SIGKILL, default five seconds.
	Grace time.Duration
}

const (
	defaultTimeout = time.Minute
	defaultGrace   = 5 * time.Second
	// logTail is how many lines of a log an error carries.
	logTail = 15
)

// Running is a started Process.
type Running struct {
	Process
	// Log is the path of its log, standard output and error together.
	Log string

	mu      sync.Mutex
	cmd     *exec.Cmd
	done    chan struct{}
	exit    error
	started time.Duration
	// stopping tells that its end is wanted; lost is called when it isn't.
	stopping bool
	lost     func(*Running)
}

// start runs p and returns when it is ready. What isn't ready in time is
// stopped again.
func start(ctx context.Context, p Process, logs string, env []string) (*Running, error) {
	r := &Running{Process: p, Log: filepath.Join(logs, p.Name+".log")}
	r.Env = slices.Concat(env, p.Env)
	if err := r.Start(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// Start runs the process again after Stop or Kill, with the same arguments,
// and returns when it is ready.
func (r *Running) Start(ctx context.Context) error {
	begin := time.Now()
	if err := r.spawn(); err != nil {
		return fmt.Errorf("starting %s: %w", r.Name, err)
	}
	if err := r.waitReady(ctx); err != nil {
		err = fmt.Errorf("starting %s: %w%s", r.Name, err, r.tail())
		r.Kill()
		return err
	}
	r.mu.Lock()
	r.started = time.Since(begin)
	r.mu.Unlock()
	return nil
}

func (r *Running) spawn() error {
	log, err := os.OpenFile(r.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(r.Path, r.Args...)
	cmd.Env = r.Env
	cmd.Dir = r.Dir
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = childAttributes()
	if err := spawn(cmd); err != nil {
		return err
	}
	done := make(chan struct{})
	r.mu.Lock()
	r.cmd, r.done, r.stopping = cmd, done, false
	r.mu.Unlock()
	go r.watch(cmd, done)
	return nil
}

// watch waits for the end of the process, and tells when nobody asked for it.
func (r *Running) watch(cmd *exec.Cmd, done chan<- struct{}) {
	err := cmd.Wait()
	r.mu.Lock()
	r.exit = err
	lost := r.lost
	if r.stopping || err == nil {
		lost = nil
	}
	r.mu.Unlock()
	close(done)
	if lost != nil {
		lost(r)
	}
}

func (r *Running) waitReady(ctx context.Context) error {
	if r.Ready == nil {
		return nil
	}
	timeout := r.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	done := r.Done()
	return poll(ctx, func(ctx context.Context) error {
		select {
		case <-done:
			return final(fmt.Errorf("it ended: %w", r.exitError()))
		default:
			return r.Ready(ctx)
		}
	})
}

// PID is the process's id.
func (r *Running) PID() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cmd.Process.Pid
}

// Done is closed when the process has ended.
func (r *Running) Done() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done
}

func (r *Running) exitError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.exit == nil {
		return errors.New("exit status 0")
	}
	return r.exit
}

// Stop asks the process and its children to end, and kills them when they
// don't within the grace.
func (r *Running) Stop() {
	grace := r.Grace
	if grace == 0 {
		grace = defaultGrace
	}
	r.signal(syscall.SIGTERM)
	select {
	case <-r.Done():
	case <-time.After(grace):
	}
	r.Kill()
}

// Kill ends the process and its children without asking.
func (r *Running) Kill() {
	r.signal(syscall.SIGKILL)
	<-r.Done()
}

// signal goes to the process's group, which is its own: what it started (git,
// helm) goes with it.
func (r *Running) signal(s syscall.Signal) {
	r.mu.Lock()
	r.stopping = true
	r.mu.Unlock()
	_ = syscall.Kill(-r.PID(), s)
}

// Tail returns the last lines of the log.
func (r *Running) Tail(lines int) string {
	// Enough for some hundred lines, however long the log is.
	const most = 64 << 10
	f, err := os.Open(r.Log)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() > most {
		_, _ = f.Seek(-most, io.SeekEnd)
	}
	data, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return strings.Join(all, "\n")
}

func (r *Running) tail() string {
	return fmt.Sprintf("\nlast lines of %s:\n%s", r.Log, r.Tail(logTail))
}
