package bed_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/envladder/envladder/test/bed"
)

func TestRunReportsLogOfUnreadyProcess(t *testing.T) {
	t.Parallel()
	never := func(context.Context) error { return errors.New("not yet") }
	for name, tt := range map[string]struct {
		script string
		want   []string
	}{
		"ends":              {"echo about to fail; exit 7", []string{"exit status 7", "about to fail"}},
		"not ready in time": {"echo still busy; sleep 60", []string{"not ready after", "not yet", "still busy"}},
		"ignores SIGTERM":   {"trap '' TERM; echo stubborn; sleep 60 & wait", []string{"stubborn"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := bed.ForTest(t, bed.Parts{})
			_, err := b.Run(t.Context(), bed.Process{
				Name: "script", Path: "/bin/sh", Args: []string{"-c", tt.script},
				Ready: never, Timeout: time.Second,
			})
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range append(tt.want, "starting script") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error doesn't contain %q: %v", want, err)
				}
			}
		})
	}
}

func TestRunDoesNotPassCallersEnvironment(t *testing.T) {
	t.Setenv("KUBECONFIG", "/other/kubeconfig")
	b := bed.ForTest(t, bed.Parts{})
	p, err := b.Run(t.Context(), bed.Process{
		Name: "env", Path: "/bin/sh", Args: []string{"-c", "env"}, Env: []string{"MINE=1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	out := p.Tail(100)
	if strings.Contains(out, "KUBECONFIG") || !strings.Contains(out, "MINE=1") {
		t.Errorf("unexpected environment:\n%s", out)
	}
}

func TestFreePortReturnsDifferentPorts(t *testing.T) {
	t.Parallel()
	seen := map[int]bool{}
	for range 50 {
		port, err := bed.FreePort()
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] {
			t.Fatalf("port %d returned twice", port)
		}
		seen[port] = true
	}
}
