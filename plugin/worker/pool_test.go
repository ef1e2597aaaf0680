package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/postrender"
	"github.com/envladder/envladder/plugin/worker"
	"github.com/envladder/envladder/plugin/worker/workertest"
)

// TestMain runs this binary as a worker or as a program with a pool, if it was started as one,
// and else runs the tests.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == parent {
		runParent()
	}
	workertest.Main(m)
}

func newPool(t *testing.T, maxWorkers int) (*worker.Pool, *killedReasons) {
	t.Helper()
	killed := &killedReasons{}
	pool := worker.NewPool(worker.Config{
		MaxWorkers: maxWorkers, Memory: workertest.Memory, Timeout: 5 * time.Minute,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Killed: killed.add,
	})
	t.Cleanup(pool.Close)
	return pool, killed
}

// killedReasons collects the reasons of killed workers.
type killedReasons struct {
	mu  sync.Mutex
	all []worker.Reason
}

func (l *killedReasons) add(r worker.Reason) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, r)
}

func (l *killedReasons) get() []worker.Reason {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all
}

// source returns a chart with the template bad.yaml between two good ones.
func source(t *testing.T, bad string) *chart.Source {
	t.Helper()
	read, err := chart.Read(t.Context(), fstest.MapFS{
		"c/Chart.yaml":             {Data: []byte("apiVersion: v2\nname: small\nversion: 1.0.0\n")},
		"c/templates/a.yaml":       {Data: []byte("kind: ConfigMap\nmetadata: {name: {{ .Values.name }}}\n")},
		"c/templates/bad.yaml":     {Data: []byte(bad)},
		"c/templates/z.yaml":       {Data: []byte("kind: Secret\n")},
		"c/templates/_helpers.tpl": {Data: []byte(`{{ define "again" }}{{ include "again" . }}{{ end }}{{ define "deep" }}{{ template "deep" . }}{{ end }}`)},
	}, "c", nil)
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// renderOptions returns options with a value for the name.
func renderOptions(name string) chart.RenderOptions {
	return chart.RenderOptions{Values: map[string]any{"name": name}, Release: chart.Release{Name: "here"}}
}

func TestPoolRendersLikeThisProcess(t *testing.T) {
	pool, killed := newPool(t, 2)
	small := source(t, "kind: Pod\nmetadata: {labels: {{ toJson .Values.labels }}}\n")
	loaded, err := small.Load()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		r := renderOptions(fmt.Sprintf("n%d", i%3))
		r.Values["labels"] = map[string]any{"f": 1.5, "big": 1e21, "null": nil, "list": []any{true, "<&>", map[string]any{}}}
		r.Stamps = &postrender.Stamps{Ladder: "shop", Environment: "dev"}
		want, err := loaded.Render(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := pool.Render(t.Context(), small, r)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-here +worker)\n%s", diff)
		}
	}
	if reasons := killed.get(); len(reasons) > 0 {
		t.Errorf("workers were killed: %v", reasons)
	}
}

func TestWorkerErrorNamesTemplate(t *testing.T) {
	for _, tt := range []struct {
		name, bad string
		limit     time.Duration
		reason    worker.Reason
		want      string
	}{
		{"endless range", `{{ range 9223372036854775807 }}{{ end }}`, 16 * time.Second, worker.ReasonTime, "(infinite loop?)"},
		{"long repetition", `{{ repeat 1000000000 "x" }}`, time.Minute, worker.ReasonMemory, "MiB of memory (--max-render-memory)"},
		{"doubling list", `{{ $l := list "` + strings.Repeat("x", 1000) + `" }}{{ range 40 }}{{ $l = concat $l $l }}{{ end }}{{ $l }}`, time.Minute, worker.ReasonMemory, "MiB of memory"},
		{"output that is large when parsed", `{kind: Secret, metadata: {name: x}, data: [{{ repeat 3000000 "{a: {}}," }}1]}`, 5 * time.Minute, worker.ReasonMemory, "MiB of memory"},
		{"self-referential value", `{{ $_ := set .Values "self" .Values }}{{ printf "%v" .Values }}`, time.Minute, worker.ReasonStack, "(infinite recursion?)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pool, killed := newPool(t, 2)
			ctx, cancel := context.WithTimeout(t.Context(), tt.limit)
			defer cancel()
			_, err := pool.Render(ctx, source(t, tt.bad), renderOptions("x"))
			var workerErr *worker.WorkerError
			if !errors.As(err, &workerErr) {
				t.Fatalf("error %v", err)
			}
			if workerErr.Template != "small/templates/bad.yaml" || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v", err)
			}
			if workerErr.Reason != tt.reason || len(killed.get()) != 2 {
				t.Errorf("reason %s, killed %v", workerErr.Reason, killed.get())
			}
			if _, err := pool.Render(t.Context(), source(t, "kind: Pod"), renderOptions("x")); err != nil {
				t.Errorf("the next request: %v", err)
			}
		})
	}
}

func TestRecursiveIncludeReturnsError(t *testing.T) {
	pool, _ := newPool(t, 1)
	for bad, want := range map[string]string{`{{ include "again" . }}`: "bad.yaml", `{{ template "deep" . }}`: "_helpers.tpl"} {
		_, err := pool.Render(t.Context(), source(t, bad), renderOptions("x"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v", bad, err)
		}
	}
	if _, err := pool.Render(t.Context(), source(t, "kind: Pod"), renderOptions("x")); err != nil {
		t.Errorf("the next request: %v", err)
	}
}

// The endless render ends only when the others are done: if it blocked them, the test would not
// end.
func TestKilledWorkersDoNotAffectOthers(t *testing.T) {
	pool, _ := newPool(t, 4)
	good := source(t, "kind: Pod")
	endless, end := context.WithCancel(t.Context())
	defer end()
	ended := make(chan error, 1)
	go func() {
		_, err := pool.Render(endless, source(t, `{{ range 9223372036854775807 }}{{ end }}`), renderOptions("x"))
		ended <- err
	}()
	var group sync.WaitGroup
	group.Go(func() {
		if _, err := pool.Render(t.Context(), source(t, `{{ repeat 1000000000 "x" }}`), renderOptions("x")); err == nil {
			t.Error("a long repetition: no error")
		}
	})
	for i := range 2 {
		group.Go(func() {
			for j := range 50 {
				name := fmt.Sprintf("n%d-%d", i, j)
				got, err := pool.Render(t.Context(), good, renderOptions(name))
				if err != nil || !strings.Contains(fmt.Sprint(got), "name: "+name+"}") {
					t.Errorf("%v, %v", got, err)
				}
			}
		})
	}
	group.Wait()
	if len(ended) > 0 {
		t.Error("the endless render ended before it was canceled")
	}
	end()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the endless render: error %v", err)
	}
}

func TestCanceledRequestFreesWorker(t *testing.T) {
	pool, killed := newPool(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, cancel)
	_, err := pool.Render(ctx, source(t, `{{ range 9223372036854775807 }}{{ end }}`), renderOptions("x"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff([]worker.Reason{worker.ReasonGone}, killed.get()); diff != "" {
		t.Error(diff)
	}
	if _, err := pool.Render(t.Context(), source(t, "kind: Pod"), renderOptions("x")); err != nil {
		t.Error(err)
	}
}

func TestTemplateErrorKillsNoWorker(t *testing.T) {
	pool, killed := newPool(t, 1)
	for range 3 {
		_, err := pool.Render(t.Context(), source(t, "\n{{ fail `no` }}"), renderOptions("x"))
		if err == nil || !strings.Contains(err.Error(), `rendering chart "c": execution error at (small/templates/bad.yaml:2`) {
			t.Errorf("error %v", err)
		}
	}
	if reasons := killed.get(); len(reasons) > 0 {
		t.Errorf("workers were killed: %v", reasons)
	}
}

func TestClosedPoolReturnsError(t *testing.T) {
	pool, _ := newPool(t, 1)
	if _, err := pool.Render(t.Context(), source(t, "kind: Pod"), renderOptions("x")); err != nil {
		t.Fatal(err)
	}
	pool.Close()
	if _, err := pool.Render(t.Context(), source(t, "kind: Pod"), renderOptions("x")); err == nil {
		t.Error("no error")
	}
}

// BenchmarkRender compares workers with rendering in this process.
func BenchmarkRender(b *testing.B) {
	small, err := chart.Read(b.Context(), os.DirFS("../../examples/shop/gitops/shop"), "chart", nil)
	if err != nil {
		b.Fatal(err)
	}
	loaded, err := small.Load()
	if err != nil {
		b.Fatal(err)
	}
	r := chart.RenderOptions{Release: chart.Release{Name: "here"}, Values: map[string]any{"image": map[string]any{"repository": "r", "digest": "sha256:" + strings.Repeat("1", 64)}}}
	b.Run("here", func(b *testing.B) {
		for b.Loop() {
			if _, err := loaded.Render(r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("in a worker", func(b *testing.B) {
		pool := worker.NewPool(worker.Config{MaxWorkers: 1, Memory: workertest.Memory, Timeout: time.Minute, Log: slog.New(slog.DiscardHandler)})
		defer pool.Close()
		for b.Loop() {
			if _, err := pool.Render(b.Context(), small, r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("in a new worker each", func(b *testing.B) {
		for b.Loop() {
			pool := worker.NewPool(worker.Config{MaxWorkers: 1, Memory: workertest.Memory, Timeout: time.Minute, Log: slog.New(slog.DiscardHandler)})
			if _, err := pool.Render(b.Context(), small, r); err != nil {
				b.Fatal(err)
			}
			pool.Close()
		}
	})
}
