package harness

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Process is a measured program.
type Process struct {
	Path string

	command *exec.Cmd
	output  *tail
	ended   chan struct{} // closed when the process has ended
}

// PID returns the process id.
func (p *Process) PID() int { return p.command.Process.Pid }

// Start starts the program and waits until it is ready.
func (p *Process) Start(ctx context.Context, arguments, environment []string, ready func() error) error {
	p.command = exec.CommandContext(ctx, p.Path, arguments...)
	p.command.Env = environment
	p.output = &tail{}
	p.command.Stdout, p.command.Stderr = p.output, p.output
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.command.Start(); err != nil {
		return err
	}
	p.ended = make(chan struct{})
	go func(c *exec.Cmd, ended chan struct{}) {
		_ = c.Wait() // ProcessState reports how it ended
		close(ended)
	}(p.command, p.ended)
	deadline := time.After(30 * time.Second)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.ended:
			return fmt.Errorf("process ended: %s\n%s", p.command.ProcessState, p.output.String())
		case <-deadline:
			return fmt.Errorf("process not ready after 30s: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// Stop terminates the process and its children, and kills them if they don't end.
func (p *Process) Stop() {
	if p.command == nil || p.command.Process == nil {
		return
	}
	_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL)
		<-p.ended
	}
}

// Dial returns an error if nothing listens on the address.
func Dial(ctx context.Context, network, address string) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// FreeAddresses returns a number of free addresses on loopback.
func FreeAddresses(ctx context.Context, count int) ([]string, error) {
	var config net.ListenConfig
	var addresses []string
	for range count {
		listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		// Open until all are chosen, so that none is returned twice.
		defer listener.Close()
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses, nil
}

// maxTail is the number of bytes of a process's output that are stored: a process may log every
// request.
const maxTail = 16 << 10

// tail is a writer that stores the end of the output.
type tail struct {
	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if more := len(t.text) - maxTail; more > 0 {
		t.text = slices.Delete(t.text, 0, more)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
