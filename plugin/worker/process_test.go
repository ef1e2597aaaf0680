package worker_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/plugin/worker"
	"github.com/envladder/envladder/plugin/worker/workertest"
)

// parent is the argument that makes this binary run runParent.
const parent = "parent"

// runParent runs a pool whose only worker never finishes, and prints the worker's process ID.
func runParent() {
	pool := worker.NewPool(worker.Config{MaxWorkers: 1, Memory: workertest.Memory, Timeout: time.Hour, Log: slog.New(slog.DiscardHandler)})
	source, err := chart.Read(context.Background(), fstest.MapFS{
		"c/Chart.yaml":       {Data: []byte("apiVersion: v2\nname: c\nversion: 1.0.0\n")},
		"c/templates/x.yaml": {Data: []byte("{{ range 9223372036854775807 }}{{ end }}")},
	}, "c", nil)
	if err != nil {
		panic(err)
	}
	go func() { _, _ = pool.Render(context.Background(), source, renderOptions("x")) }()
	for {
		if pid := child(); pid != "" {
			fmt.Println(pid)
			select {}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// child returns the process ID of a child that any thread of this process has started.
func child() string {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		children, _ := os.ReadFile(list) // the thread may have ended
		if fields := strings.Fields(string(children)); len(fields) > 0 {
			return fields[0]
		}
	}
	return ""
}

func TestWorkerEndsWithParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux kills orphans")
	}
	cmd := exec.Command(os.Args[0], parent)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(line, &pid); err != nil {
		t.Fatalf("%v: %q", err, line)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	for range 1000 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || bytes.Contains(stat, []byte(") Z ")) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	t.Error("the worker still runs after 10 s")
}

func TestPoolReplacesIdleWorkerThatCrashed(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the worker is found in /proc")
	}
	pool, killed := newPool(t, 1)
	good := source(t, "kind: Pod")
	if _, err := pool.Render(t.Context(), good, renderOptions("x")); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(child(), &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Render(t.Context(), good, renderOptions("x")); err != nil {
		t.Error(err)
	}
	if reasons := killed.get(); len(reasons) != 1 || reasons[0] != worker.ReasonCrash {
		t.Errorf("killed: %v", reasons)
	}
}
