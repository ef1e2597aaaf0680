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

// A Process describes how to run a program in a bed.
type Process struct {
	// Name is the name of the process and its log. It is unique in the bed.
	Name string
	Path string
	Args []string
	// Env is added to the bed's small environment: PATH, and HOME and TMPDIR inside the bed's
	// folder.
	Env []string
	Dir string
	// Ready is called until it returns nil, at most for Timeout (the default is one minute). If
	// it is nil, the process is ready immediately.
	Ready   func(ctx context.Context) error
	Timeout time.Duration
	// Grace is the time from SIGTERM to SIGKILL; the default is five seconds.
	Grace time.Duration
}

const (
	defaultTimeout = time.Minute
	defaultGrace   = 5 * time.Second
	// logTail is the number of log lines in an error.
	logTail = 15
)

// Running is a started Process.
type Running struct {
	Process
	// Log is the path of the log, which has standard output and standard error.
	Log string

	mu      sync.Mutex
	cmd     *exec.Cmd
	done    chan struct{}
	exit    error
	started time.Duration
	// stopping is set when the end of the process is expected; otherwise onExit is called.
	stopping bool
	onExit   func(*Running)
}

// start runs p and returns when it is ready. It stops a process that isn't ready in time.
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

// spawn starts the process.
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

// watch waits for the end of the process and reports an unexpected one.
func (r *Running) watch(cmd *exec.Cmd, done chan<- struct{}) {
	err := cmd.Wait()
	r.mu.Lock()
	r.exit = err
	onExit := r.onExit
	if r.stopping || err == nil {
		onExit = nil
	}
	r.mu.Unlock()
	close(done)
	if onExit != nil {
		onExit(r)
	}
}

// waitReady waits until the process is ready.
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
			return final(fmt.Errorf("process ended: %w", r.exitError()))
		default:
			return r.Ready(ctx)
		}
	})
}

// PID returns the process id.
func (r *Running) PID() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cmd.Process.Pid
}

// Done returns a channel that is closed when the process has ended.
func (r *Running) Done() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.done
}

// exitError returns how the process ended.
func (r *Running) exitError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.exit == nil {
		return errors.New("exit status 0")
	}
	return r.exit
}

// Stop terminates the process and its children, and kills them if they don't end within the
// grace period.
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

// Kill kills the process and its children.
func (r *Running) Kill() {
	r.signal(syscall.SIGKILL)
	<-r.Done()
}

// signal sends a signal to the process group, which includes the children (git, helm).
func (r *Running) signal(s syscall.Signal) {
	r.mu.Lock()
	r.stopping = true
	r.mu.Unlock()
	_ = syscall.Kill(-r.PID(), s)
}

// Tail returns the last lines of the log.
func (r *Running) Tail(lines int) string {
	// The limit is enough for some hundred lines, however long the log is.
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

// tail returns the last lines of the log for an error.
func (r *Running) tail() string {
	return fmt.Sprintf("\nlast lines of %s:\n%s", r.Log, r.Tail(logTail))
}
