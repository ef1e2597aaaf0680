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

// Ports come from below the range that kernels take outgoing ports from, so
// that no connection grabs one between its choice and its use.
const (
	firstPort = 20000
	lastPort  = 29999
)

// ports are those that this process took: a locked file each, so that two beds
// of different processes never choose the same one.
var ports struct {
	sync.Mutex
	locks map[int]*os.File
}

// FreePort returns a loopback port that nobody uses, and that no other bed
// will choose while this process lives.
func FreePort() (int, error) {
	ports.Lock()
	defer ports.Unlock()
	if ports.locks == nil {
		ports.locks = map[int]*os.File{}
	}
	// A folder for each user: nobody may write into another's.
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
	return 0, errors.New("finding a free port: none left")
}

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

// bindable tries every address, since some programs bind them all.
func bindable(port int) bool {
	l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// freePorts fills each of ports.
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

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
