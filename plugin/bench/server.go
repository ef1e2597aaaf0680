package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"syscall"
	"time"
)

// server is a process that is measured.
type server struct {
	path string

	command *exec.Cmd
	output  bytes.Buffer
	ended   chan struct{} // closed
}

func (s *server) process() int { return s.command.Process.Pid }

// start starts it and waits until it is ready.
func (s *server) start(ctx context.Context, arguments, environment []string, ready func() error) error {
	s.command = exec.CommandContext(ctx, s.path, arguments...)
	s.command.Env = environment
	s.output.Reset()
	s.command.Stdout, s.command.Stderr = &s.output, &s.output
	s.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.command.Start(); err != nil {
		return err
	}
	s.ended = make(chan struct{})
	go func(c *exec.Cmd, ended chan struct{}) {
		_ = c.Wait() // its state says how it ended
		close(ended)
	}(s.command, s.ended)
	deadline := time.After(30 * time.Second)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-s.ended:
			return fmt.Errorf("it ended: %s\n%s", s.command.ProcessState, s.output.String())
		case <-deadline:
			return fmt.Errorf("it isn't ready after 30 s: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

func (s *server) stop() {
	if s.command == nil || s.command.Process == nil {
		return
	}
	_ = syscall.Kill(-s.command.Process.Pid, syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(10 * time.Second):
		_ = syscall.Kill(-s.command.Process.Pid, syscall.SIGKILL)
		<-s.ended
	}
}

func dial(ctx context.Context, network, address string) error {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	return conn.Close()
}

func freeAddresses(ctx context.Context) (first, second string, err error) {
	var config net.ListenConfig
	a, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	b, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", errors.Join(err, a.Close())
	}
	return a.Addr().String(), b.Addr().String(), errors.Join(a.Close(), b.Close())
}
