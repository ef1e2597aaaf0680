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

// parent is the argument by which this binary is a program with a pool, whose one
// worker is busy for ever.
const parent = "parent"

func beParent() {
	pool := worker.NewPool(worker.Config{Most: 1, Memory: workertest.Memory, Timeout: time.Hour, Log: slog.New(slog.DiscardHandler)})
	source, err := chart.Read(context.Background(), fstest.MapFS{
		"c/Chart.yaml":       {Data: []byte("apiVersion: v2\nname: c\nversion: 1.0.0\n")},
		"c/templates/x.yaml": {Data: []byte("{{ range 9223372036854775807 }}{{ end }}")},
	}, "c", nil)
	if err != nil {
		panic(err)
	}
	go func() { _, _ = pool.Render(context.Background(), source, recipe("x")) }()
	for {
		if pid := child(); pid != "" {
			fmt.Println(pid)
			select {}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// child is this process's first child, whichever thread has started it.
func child() string {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		children, _ := os.ReadFile(list) // a thread may have gone
		if fields := strings.Fields(string(children)); len(fields) > 0 {
			return fields[0]
		}
	}
	return ""
}

func TestAWorkerDoesNotOutliveItsParent(t *testing.T) {
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
	t.Error("the worker is still there after 10 s")
}

func TestAWorkerThatDiesAtRestIsReplaced(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the worker is found in /proc")
	}
	pool, lost := newPool(t, 1)
	good := source(t, "kind: Pod")
	if _, err := pool.Render(t.Context(), good, recipe("x")); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscan(child(), &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Render(t.Context(), good, recipe("x")); err != nil {
		t.Error(err)
	}
	if reasons := lost.get(); len(reasons) != 1 || reasons[0] != worker.ReasonCrash {
		t.Errorf("lost %v", reasons)
	}
}
