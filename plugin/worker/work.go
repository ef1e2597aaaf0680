package worker

import (
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/plugin/bytecache"
)

// chartCacheDivisor is the part of a worker's memory for its cache of parsed charts: some dozen
// usual charts by default.
const chartCacheDivisor = 16

// Work is the worker's side: it answers requests from r on w until r ends. It may use memory
// bytes in addition to what the process uses already.
func Work(r io.Reader, w io.Writer, memory int64) error {
	if err := limitMemory(memory); err != nil {
		return err
	}
	// the collector works harder before the limit, which ends the process; a stack of an
	// eighth of the memory is an infinite recursion
	debug.SetMemoryLimit(memory - memory/8)
	debug.SetMaxStack(int(memory / 8))
	work := worker{conn: newConn(r, w), charts: bytecache.New[*chart.Chart](memory / chartCacheDivisor)}
	for {
		err := work.handleRequest()
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
	charts *bytecache.Cache[*chart.Chart]
}

// handleRequest receives a request and sends its answers.
func (w *worker) handleRequest() error {
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

// chart returns the request's chart, nil where it is neither cached nor sent.
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
	options, err := chart.DecodeRenderOptions(r.Options)
	if err != nil {
		return nil, fmt.Errorf("decoding the options: %w", err)
	}
	if !r.Trace {
		return loaded.Render(options)
	}
	return nil, loaded.Trace(options, func(template string) {
		// if the pipe is broken there is no one to report to
		_ = w.conn.send(answer{Template: template})
	})
}

// maxError bounds an error's text: a template's `fail` may say anything, and gRPC sends
// errors in headers.
const maxError = 16 << 10

// Shorten cuts an error's text to what gRPC sends.
func Shorten(text string) string { return printable.Cut(text, maxError) }
