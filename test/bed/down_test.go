package bed_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/envladder/envladder/test/bed"
)

// smallParts returns parts that start quickly and have every kind of teardown.
func smallParts() bed.Parts {
	return bed.Parts{
		Clusters:   []bed.ClusterOptions{{Name: "small", APIServerOnly: true}},
		Registries: []bed.RegistryOptions{{Name: "main", Referrers: true}},
	}
}

// awaitEnd waits until the processes have ended.
func awaitEnd(t *testing.T, pids []int) {
	t.Helper()
	err := bed.Poll(t.Context(), 10*time.Second, func(context.Context) error {
		for _, pid := range pids {
			if !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
				return fmt.Errorf("process %d still runs", pid)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// pids returns the process ids in a report.
func pids(r bed.Report) (pids []int) {
	for _, p := range r.Processes {
		pids = append(pids, p.PID)
	}
	return pids
}

func TestDownRemovesProcessesAndFolder(t *testing.T) {
	t.Parallel()
	b, err := bed.Up(t.Context(), bed.Options{Parts: smallParts()})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Down(); err != nil {
		t.Error(err)
	}
	awaitEnd(t, pids(b.Report()))
	if _, err := os.Stat(b.Dir); !os.IsNotExist(err) {
		t.Errorf("the folder still exists: %v", err)
	}
	if err := b.Down(); err != nil {
		t.Errorf("second Down: %v", err)
	}
	if _, err := b.Run(t.Context(), bed.Process{Name: "late", Path: "/bin/sleep", Args: []string{"60"}}); err == nil {
		t.Error("a stopped bed started a process")
	}
}

func TestUpCanceledLeavesNothing(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		_ = bed.Poll(ctx, time.Minute, func(context.Context) error {
			logs, err := filepath.Glob(filepath.Join(temp, "*", "logs", "small-etcd.log"))
			if err == nil && len(logs) == 0 {
				err = errors.New("etcd hasn't been started")
			}
			return err
		})
	}()
	_, err := bed.Up(ctx, bed.Options{Parts: smallParts()})
	if !errors.Is(err, context.Canceled) || err.Error() != "starting the bed: context canceled" {
		t.Errorf("got %v, want only that the start was canceled", err)
	}
	left, err := filepath.Glob(filepath.Join(temp, "envladder-bed-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("folders left: %v (%v)", left, err)
	}
}

func TestChildrenEndWithParent(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		how      string
		end      syscall.Signal
		cleansUp bool
	}{
		"killed":      {"wait", syscall.SIGKILL, false},
		"interrupted": {"wait", syscall.SIGINT, true},
		"terminated":  {"wait", syscall.SIGTERM, true},
		"panicking":   {"panic", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, cmd := startHelper(t, tt.how)
			if tt.end != 0 {
				if err := cmd.Process.Signal(tt.end); err != nil {
					t.Fatal(err)
				}
			}
			_ = cmd.Wait()
			awaitEnd(t, report.PIDs)
			_, err := os.Stat(report.Dir)
			if tt.cleansUp && !os.IsNotExist(err) {
				t.Errorf("the folder still exists: %v", err)
			}
			_ = os.RemoveAll(report.Dir)
		})
	}
}

const helperVariable = "ENVLADDER_BED_TEST_HELPER"

type helperReport struct {
	Dir  string
	PIDs []int
}

// helper runs a bed in another process.
func helper() {
	m := &testing.M{}
	bed.Main(m, smallParts(), func(b *bed.Bed) {
		_ = json.NewEncoder(os.Stdout).Encode(helperReport{b.Dir, pids(b.Report())})
		if os.Getenv(helperVariable) == "panic" {
			done := make(chan struct{})
			go func() { panic("as a test may") }()
			<-done
		}
		select {}
	})
}

// startHelper starts helper in another process and returns its report.
func startHelper(t *testing.T, how string) (helperReport, *exec.Cmd) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), helperVariable+"="+how)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("no report from the helper: %v", err)
	}
	var report helperReport
	if err := json.Unmarshal(line, &report); err != nil || len(report.PIDs) == 0 {
		t.Fatalf("unexpected report from the helper %q: %v", line, err)
	}
	return report, cmd
}
