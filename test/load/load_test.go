// Package load tests the webhook under load while its registry is killed and restarted and
// Recalls and Gates change. No verdict may be wrong, and nothing may leak. The variable LOAD
// sets the duration (`make load` runs five minutes).
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
	// usualTime is the duration without LOAD, as in `make e2e`.
	usualTime = 20 * time.Second
	// workers is the number of concurrent clients.
	workers = 8
	// settleBound is the maximum time until the webhook applies a change. It may have to retry
	// a request to the registry, or restart a watch.
	settleBound = 30 * time.Second
	// phase is the number of verdicts for each subject to wait for while nothing changes.
	phase = 15
)

// Maximum growth between the first load and the end. It allows for idle connections and caches,
// but not for leaking a goroutine or a descriptor in each of thousands of requests.
const (
	moreGoroutines  = 40
	moreDescriptors = 20
	moreMemory      = 64 << 20
)

func TestWebhookUnderLoad(t *testing.T) {
	long := usualTime
	if text := os.Getenv("LOAD"); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatalf("LOAD: %v", err)
		}
	}
	w := start(t)
	// Fills caches, pools and connections before the first measurement.
	w.runUnderLoad(t, w.awaitVerdicts)
	before := w.usage(t)
	t.Logf("at the start: %s", before)

	begin := time.Now()
	for cycle := 1; cycle == 1 || time.Since(begin) < long; cycle++ {
		w.runUnderLoad(t, w.cycle)
		t.Logf("%s, cycle %d: %s", time.Since(begin).Round(time.Second), cycle, w.tally())
	}

	// Connections and goroutines of the last requests end with a delay.
	err := bed.Poll(t.Context(), settleBound, func(context.Context) error { return w.usage(t).checkGrowth(before) })
	if err != nil {
		t.Errorf("resources leak: %v", err)
	}
	t.Logf("at the end: %s, after %s in %s", w.usage(t), w.tally(), time.Since(begin).Round(time.Second))
}

// runUnderLoad runs a part of the test under load, and fails after a wrong verdict.
func (w *fixture) runUnderLoad(t *testing.T, part func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.load(ctx, cancel)
	}()
	err := part(ctx)
	if cause := context.Cause(ctx); cause != nil {
		err = cause // a wrong verdict, which also causes later errors
	}
	cancel(nil)
	<-done
	if err != nil {
		t.Fatalf("after %s: %v", w.tally(), err)
	}
}

// cycle makes every change to the webhook's environment once.
func (w *fixture) cycle(ctx context.Context) error {
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"killing the registry", func(context.Context) error { w.registry.Process.Kill(); return nil }},
		{"waiting while the registry is down", w.awaitVerdicts},
		{"restarting the registry", w.registry.Process.Start},
		{"proving a new digest", w.proveAnother},
		{"recalling a digest", func(ctx context.Context) error { return w.change(ctx, w.recalled, w.recall) }},
		{"making the Gate stricter", func(ctx context.Context) error { return w.change(ctx, w.tightened, w.tighten) }},
		{"waiting with Recall and stricter Gate", w.awaitVerdicts},
		{"deleting the Recall", func(ctx context.Context) error { return w.change(ctx, w.recalled, w.deleteRecall) }},
		{"making the Gate less strict", func(ctx context.Context) error { return w.change(ctx, w.tightened, w.loosen) }},
		{"waiting in the initial state", w.awaitVerdicts},
	} {
		if err := step.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// start starts the cluster, the registry and the webhook, and creates the subjects.
func start(t *testing.T) *fixture {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	b := bed.ForTest(t, bed.Parts{
		Clusters:   []bed.ClusterOptions{{Name: bed.Prod, APIServerOnly: true}},
		Registries: []bed.RegistryOptions{{Name: "main"}},
		Programs:   []string{"cosign"},
	})
	w := &fixture{cluster: b.Cluster(bed.Prod), registry: b.Registry("main"), root: root, dir: t.TempDir()}
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
		w.makeKeys, w.makeSubjects, w.applyGates, w.createProven,
	} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return w
}
