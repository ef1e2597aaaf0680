package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const asBed = "ENVLADDER_TEST_AS_BED"

// TestMain lets the test binary run as bed.
func TestMain(m *testing.M) {
	if os.Getenv(asBed) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// command returns a command that runs bed.
func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asBed+"=1")
	return cmd
}

// run runs bed and returns the exit code and all output.
func run(t *testing.T, args ...string) (int, string) {
	t.Helper()
	out, err := command(t, args...).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if exit != nil {
		return exit.ExitCode(), string(out)
	}
	return 0, string(out)
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	none := filepath.Join(t.TempDir(), "state.json")
	for name, tt := range map[string]struct {
		args []string
		code int
		want string
	}{
		"help":                    {[]string{"--help"}, 0, "Exit codes"},
		"an unknown part":         {[]string{"up", "--only", "kubelet"}, exitUsage, `"kubelet"`},
		"an unknown Argo CD":      {[]string{"up", "--argocd", "v1"}, exitUsage, `"v1"`},
		"an unknown flag":         {[]string{"up", "--fast"}, exitUsage, "--fast"},
		"an unknown program":      {[]string{"path", "kubelet"}, exitUsage, `"kubelet"`},
		"an unknown command":      {[]string{"sideways"}, exitUsage, `"sideways"`},
		"no bed to stop":          {[]string{"down", "--state", none}, exitNotRunning, "no bed is running"},
		"a path without a name":   {[]string{"path"}, exitUsage, "accepts 1 arg"},
		"help of up has examples": {[]string{"up", "--help"}, 0, "bed up --only"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out := run(t, tt.args...)
			if code != tt.code || !strings.Contains(out, tt.want) {
				t.Errorf("exit code %d, want %d with %q in:\n%s", code, tt.code, tt.want, out)
			}
		})
	}
}

func TestUpRunsUntilDown(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.json")
	up := command(t, "up", "--only", "registry", "--state", file)
	stdout, err := up.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	up.Stderr = &stderr
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = up.Process.Kill() })
	var printed state
	if err := json.NewDecoder(stdout).Decode(&printed); err != nil {
		t.Fatalf("decoding the output of up: %v\n%s", err, &stderr)
	}
	url := "http://" + printed.Registries["main"].Host + "/v2/"
	if _, err := http.Get(url); err != nil {
		t.Error(err)
	}
	if code, out := run(t, "up", "--only", "registry", "--state", file); code != exitFailed || !strings.Contains(out, "already running") {
		t.Errorf("second up: exit code %d, %s", code, out)
	}
	if code, out := run(t, "down", "--state", file); code != 0 {
		t.Errorf("down: exit code %d, %s", code, out)
	}
	if err := up.Wait(); err != nil {
		t.Errorf("up ended with %v\n%s", err, &stderr)
	}
	if _, err := http.Get(url); err == nil {
		t.Error("the registry responds after down")
	}
	if _, err := os.Stat(printed.Dir); !os.IsNotExist(err) {
		t.Errorf("the folder still exists: %v", err)
	}
}
