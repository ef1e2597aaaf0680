// Package load has the webhook under load while its registry dies and comes back, Recalls
// and Gates come and go: no wrong verdict, and nothing leaks. How long is LOAD's to say
// (a duration; `make load` runs five minutes).
package load

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/envladder/envladder/test/bed"
	"github.com/envladder/envladder/test/bed/install"
)

const (
	// usualTime is for `make e2e`.
	usualTime = 20 * time.Second
	// workers ask at once.
	workers = 8
	// settleBound is how long a change may take until the webhook goes by it: sometimes a
	// registry is asked again, or a watch broke off.
	settleBound = 30 * time.Second
	// phase is how many verdicts of each subject are waited for while the world stays as
	// it is.
	phase = 15
)

// What may be more at the end than after the first load: idle connections and caches
// breathe, leaks of a goroutine or a descriptor for each of thousands of requests don't fit.
const (
	moreGoroutines  = 40
	moreDescriptors = 20
	moreMemory      = 64 << 20
)

func TestNoWrongVerdictAndNoLeakUnderLoad(t *testing.T) {
	long := usualTime
	if text := os.Getenv("LOAD"); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatalf("LOAD: %v", err)
		}
	}
	w := start(t)
	// Caches, pools and connections are filled before anything is counted.
	w.settle(t, w.hold)
	before := w.usage(t)
	t.Logf("at the start: %s", before)

	begin := time.Now()
	for cycle := 1; cycle == 1 || time.Since(begin) < long; cycle++ {
		w.settle(t, w.cycle)
		t.Logf("%s, cycle %d: %s", time.Since(begin).Round(time.Second), cycle, w.tally())
	}

	// Connections and goroutines of the last requests go by themselves.
	err := bed.Poll(t.Context(), settleBound, func(context.Context) error { return w.usage(t).above(before) })
	if err != nil {
		t.Errorf("something leaks: %v", err)
	}
	t.Logf("at the end: %s, after %s in %s", w.usage(t), w.tally(), time.Since(begin).Round(time.Second))
}

// settle runs a part of the test under load, and fails for a wrong verdict.
func (w *world) settle(t *testing.T, part func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.load(ctx, cancel)
	}()
	err := part(ctx)
	if cause := context.Cause(ctx); cause != nil {
		err = cause // a wrong verdict; what failed since, failed for it
	}
	cancel(nil)
	<-done
	if err != nil {
		t.Fatalf("after %s: %v", w.tally(), err)
	}
}

// cycle is all that happens to the webhook, once.
func (w *world) cycle(ctx context.Context) error {
	for _, step := range []struct {
		says string
		do   func(context.Context) error
	}{
		{"the registry dies", func(context.Context) error { w.registry.Process.Kill(); return nil }},
		{"the registry is down", w.hold},
		{"the registry comes back", w.registry.Process.Start},
		{"a digest is proven", w.proveAnother},
		{"the digest is recalled", func(ctx context.Context) error { return w.change(ctx, w.recalled, w.recall) }},
		{"the Gate asks for more", func(ctx context.Context) error { return w.change(ctx, w.tightened, w.tighten) }},
		{"all of it stays", w.hold},
		{"the recall is taken back", func(ctx context.Context) error { return w.change(ctx, w.recalled, w.unrecall) }},
		{"the Gate asks for less", func(ctx context.Context) error { return w.change(ctx, w.tightened, w.loosen) }},
		{"all of it is as before", w.hold},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.says, err)
		}
	}
	return nil
}

func start(t *testing.T) *world {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	b := bed.ForTest(t, bed.Options{
		Clusters:   []bed.ClusterOptions{{Name: bed.Prod, APIServerOnly: true}},
		Registries: []bed.RegistryOptions{{Name: "main"}},
		Programs:   []string{"cosign"},
	})
	w := &world{cluster: b.Cluster(bed.Prod), registry: b.Registry("main"), root: root, dir: t.TempDir()}
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) (err error) {
			w.metrics, err = install.Webhook(ctx, b, w.cluster, root, func(ctx context.Context, p bed.Process) error {
				_, err := b.Run(ctx, p)
				return err
			})
			return err
		},
		func(ctx context.Context) (err error) {
			w.cosign, err = b.Program(ctx, "cosign")
			return err
		},
		w.makeKeys, w.makeSubjects, w.applyGates, w.awaitFirst,
	} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return w
}
