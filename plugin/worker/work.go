package worker

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/plugin/sized"
)

// chartsPart of a worker's memory may be charts that it keeps parsed: some dozen usual ones
// by default, and most of the memory stays for what renders.
const chartsPart = 16

// Work is the worker's side: it answers requests from r on w until r ends. It may use
// memory bytes beyond what the process has already.
func Work(r io.Reader, w io.Writer, memory int64) error {
	if err := limitMemory(memory); err != nil {
		return err
	}
	// The collector works harder before the limit is met, which ends the process. A
	// stack is never worth an eighth of it: that is a recursion without end.
	debug.SetMemoryLimit(memory - memory/8)
	debug.SetMaxStack(int(memory / 8))
	work := worker{conn: newConn(r, w), charts: sized.New[*chart.Chart](memory / chartsPart)}
	for {
		err := work.one()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("working: %w", err)
		}
	}
}

type worker struct {
	conn   *conn
	charts *sized.Cache[*chart.Chart]
}

func (w *worker) one() error {
	var r request
	if err := w.conn.receive(&r, maxRequest); err != nil {
		return err
	}
	loaded, err := w.chart(r)
	if loaded == nil && err == nil {
		return w.conn.send(answer{Final: true, Missing: true})
	}
	done := answer{Final: true}
	if err == nil {
		done.Manifests, err = w.render(loaded, r)
	}
	if err != nil {
		done = fail(err)
	}
	return w.conn.send(done)
}

// chart is nil where it is neither known nor sent.
func (w *worker) chart(r request) (*chart.Chart, error) {
	if known, ok := w.charts.Get(r.Key); ok {
		return known, nil
	}
	if r.Chart == nil {
		return nil, nil
	}
	loaded, err := r.Chart.Load()
	if err != nil {
		return nil, err
	}
	w.charts.Put(r.Key, loaded, loaded.MemorySize())
	return loaded, nil
}

func (w *worker) render(loaded *chart.Chart, r request) (manifest.Manifests, error) {
	recipe, err := chart.DecodeRenderOptions(r.Recipe)
	if err != nil {
		return nil, fmt.Errorf("reading the recipe: %w", err)
	}
	if !r.Trace {
		return loaded.Render(recipe)
	}
	return nil, loaded.Trace(recipe, func(template string) {
		// Nobody is told where the pipe is broken, and then nobody asks.
		_ = w.conn.send(answer{Template: template})
	})
}

// maxError bounds an error's text: a template's `fail` may say anything, and gRPC sends
// errors in headers.
const maxError = 16 << 10

// Shorten cuts an error's text to what gRPC sends.
func Shorten(text string) string { return printable.Cut(text, maxError) }
