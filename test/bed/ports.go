package bed

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// Range of ports. It is below the range that kernels use for outgoing connections, so that no
// connection takes a port between its choice and its use.
const (
	firstPort = 20000
	lastPort  = 29999
)

// ports are the ports that this process has taken. Each has a locked file, so that two beds in
// different processes never choose the same port.
var ports struct {
	sync.Mutex
	locks map[int]*os.File
}

// FreePort returns a free loopback port that no other bed chooses while this process runs.
func FreePort() (int, error) {
	ports.Lock()
	defer ports.Unlock()
	if ports.locks == nil {
		ports.locks = map[int]*os.File{}
	}
	// Each user has a folder, since users can't write to each other's.
	dir := filepath.Join(os.TempDir(), "envladder-ports-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, fmt.Errorf("finding a free port: %w", err)
	}
	for range lastPort - firstPort {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if lock := tryPort(dir, port); lock != nil {
			ports.locks[port] = lock
			return port, nil
		}
	}
	return 0, errors.New("finding a free port: none available")
}

// tryPort locks a port and returns the locked file, or nil.
func tryPort(dir string, port int) *os.File {
	if _, taken := ports.locks[port]; taken {
		return nil
	}
	lock, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil
	}
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil || !bindable(port) {
		lock.Close()
		return nil
	}
	return lock
}

// bindable reports whether the port is free on every address, since some programs listen on all
// of them.
func bindable(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// freePorts sets each of the ports to a free port.
func freePorts(ports ...*int) error {
	for _, p := range ports {
		port, err := FreePort()
		if err != nil {
			return err
		}
		*p = port
	}
	return nil
}

// loopback returns the address of a port.
func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
