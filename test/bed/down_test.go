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

// small is a bed with every kind of teardown in it, and quick to start.
func small() bed.Options {
	return bed.Options{
		Clusters:   []bed.ClusterOptions{{Name: "small", APIServerOnly: true}},
		Registries: []bed.RegistryOptions{{Name: "main", Referrers: true}},
	}
}

func gone(t *testing.T, pids []int) {
	t.Helper()
	err := bed.Poll(t.Context(), 10*time.Second, func(context.Context) error {
		for _, pid := range pids {
			if !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
				return fmt.Errorf("process %d is still there", pid)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func pids(r bed.Report) (pids []int) {
	for _, p := range r.Processes {
		pids = append(pids, p.PID)
	}
	return pids
}

func TestDownLeavesNothing(t *testing.T) {
	t.Parallel()
	b, err := bed.Up(t.Context(), small())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Down(); err != nil {
		t.Error(err)
	}
	gone(t, pids(b.Report()))
	if _, err := os.Stat(b.Dir); !os.IsNotExist(err) {
		t.Errorf("the folder is still there: %v", err)
	}
	if err := b.Down(); err != nil {
		t.Errorf("a second Down: %v", err)
	}
	if _, err := b.Run(t.Context(), bed.Process{Name: "late", Path: "/bin/sleep", Args: []string{"60"}}); err == nil {
		t.Error("a bed that is down runs a process")
	}
}

func TestACanceledStartLeavesNothing(t *testing.T) {
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
	_, err := bed.Up(ctx, small())
	if !errors.Is(err, context.Canceled) || err.Error() != "starting the bed: context canceled" {
		t.Errorf("got %v, want that it was canceled, and no more", err)
	}
	left, err := filepath.Glob(filepath.Join(temp, "envladder-bed-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%v is left (%v)", left, err)
	}
}

func TestEndedParentLeavesNoChild(t *testing.T) {
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
			gone(t, report.PIDs)
			_, err := os.Stat(report.Dir)
			if tt.cleansUp && !os.IsNotExist(err) {
				t.Errorf("the folder is still there: %v", err)
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

// helper is what the test binary does in the other process.
func helper() {
	m := &testing.M{}
	bed.Main(m, small(), func(b *bed.Bed) {
		_ = json.NewEncoder(os.Stdout).Encode(helperReport{b.Dir, pids(b.Report())})
		if os.Getenv(helperVariable) == "panic" {
			done := make(chan struct{})
			go func() { panic("as a test may") }()
			<-done
		}
		select {}
	})
}

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
		t.Fatalf("the helper told nothing: %v", err)
	}
	var report helperReport
	if err := json.Unmarshal(line, &report); err != nil || len(report.PIDs) == 0 {
		t.Fatalf("the helper told %q: %v", line, err)
	}
	return report, cmd
}
