package worker

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/envladder/envladder/internal/chart"
)

// Command is the hidden command that a program with a pool must have: it calls Work on
// its standard input and output. Its argument is the worker's memory in bytes.
const Command = "worker"

// process is the parent's side of a worker. It handles one request at a time.
type process struct {
	cmd    *exec.Cmd
	conn   *conn
	stdin  io.Closer
	stdout io.Closer
	stderr *headBuffer
	// charts are the keys that were sent. It is a hint: the worker evicts some.
	charts map[string]bool
	// kill is safe to call at any time, any number of times.
	kill func()
}

// start starts a worker. It has an empty environment, so that no bug of the engine can leak
// variables.
func start(memory int64) (*process, error) {
	path, err := executable()
	if err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	// Not CommandContext: a worker outlives the request that it is started for.
	cmd := exec.Command(path, Command, strconv.FormatInt(memory, 10)) //nolint:gosec,noctx // this very program
	cmd.Args[0] = os.Args[0]
	cmd.Env = []string{}
	cmd.SysProcAttr = attributes()
	p := &process{cmd: cmd, stderr: &headBuffer{}, charts: map[string]bool{}}
	cmd.Stderr = p.stderr
	// a process that inherits stderr could block Wait; none should, and this bounds it
	cmd.WaitDelay = time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	p.stdin, p.stdout, p.conn = stdin, stdout, newConn(stdout, stdin)
	p.kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill() // it may have ended already
	})
	return p, nil
}

// end kills the worker and waits until it has ended. It returns the worker's output.
func (p *process) end() string {
	p.kill()
	_ = p.stdin.Close() // it has ended, so these errors add nothing
	_ = p.cmd.Wait()
	return p.stderr.String()
}

// send sends a request, calls progress with each answer before the last, and returns the
// last. After an error the worker must not be used again.
func (p *process) send(source *chart.Source, r request, progress func(answer)) (answer, error) {
	r.Key = keyOf(source)
	if !p.charts[r.Key] {
		r.Chart = source
	}
	for {
		last, err := p.exchange(r, progress)
		if err != nil {
			return answer{}, err
		}
		if !last.Missing {
			p.remember(r.Key)
			return last, nil
		}
		if r.Chart != nil {
			return answer{}, errors.New("the worker requested the chart a second time")
		}
		r.Chart = source
	}
}

// maxRemembered bounds the hint: a worker caches fewer charts.
const maxRemembered = 1000

func (p *process) remember(key string) {
	if len(p.charts) == maxRemembered {
		clear(p.charts)
	}
	p.charts[key] = true
}

func (p *process) exchange(r request, progress func(answer)) (answer, error) {
	if err := p.conn.send(r); err != nil {
		return answer{}, fmt.Errorf("sending to a worker: %w", err)
	}
	for {
		var a answer
		if err := p.conn.receive(&a, maxAnswer); err != nil {
			return answer{}, fmt.Errorf("receiving from a worker: %w", err)
		}
		if a.Final {
			return a, nil
		}
		progress(a)
	}
}

// headBuffer stores the start of what is written: the Go runtime first prints why it ends, and
// then stacks.
type headBuffer struct {
	mu   sync.Mutex
	kept strings.Builder
}

const maxStderr = 8 << 10

func (h *headBuffer) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept.Write(p[:min(len(p), maxStderr-h.kept.Len())])
	return len(p), nil
}

func (h *headBuffer) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.kept.String()
}
