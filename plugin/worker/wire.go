package worker

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/chart/manifest"
	"github.com/envladder/envladder/internal/layers"
)

// request is one rendering. The options are JSON, since gob doesn't encode nil in a map.
type request struct {
	// Key identifies the chart by its content.
	Key string
	// Chart is left out where the worker should have it already.
	Chart   *chart.Source
	Options []byte
	// Trace requests the names of templates instead of manifests.
	Trace bool
}

// answer is one of a request's answers; the last is Final.
type answer struct {
	// Template is being rendered; for a request with Trace.
	Template string
	Final    bool
	// Missing requests the same again, with its chart.
	Missing   bool
	Manifests manifest.Manifests
	// Error is why there are no manifests. For invalid values the error itself is set too:
	// the parent knows where they come from.
	Error  string
	Schema *chart.SchemaError
	Types  *layers.TypeConflictError
}

// fail returns the answer of a request that failed.
func fail(err error) answer {
	a := answer{Final: true, Error: Shorten(err.Error())}
	a.Schema, _ = errors.AsType[*chart.SchemaError](err)
	a.Types, _ = errors.AsType[*layers.TypeConflictError](err)
	return a
}

// err returns the error that fail was called with, nil where the request didn't fail.
func (a answer) err() error {
	switch {
	case a.Schema != nil:
		return a.Schema
	case a.Types != nil:
		return a.Types
	case a.Error != "":
		return errors.New(a.Error)
	default:
		return nil
	}
}

// The bounds of a message. A chart's folder has at most 100 MiB, its values what its
// layers have; manifests have at most 64 MiB.
const (
	maxRequest = 256 << 20
	maxAnswer  = 80 << 20
)

// conn sends and receives messages over a pair of pipes. gob prefixes each message with its
// length; conn bounds the bytes of a message.
type conn struct {
	encoder *gob.Encoder
	decoder *gob.Decoder
	budget  *budgetReader
}

func newConn(r io.Reader, w io.Writer) *conn {
	budget := &budgetReader{r: r}
	return &conn{encoder: gob.NewEncoder(w), decoder: gob.NewDecoder(budget), budget: budget}
}

func (c *conn) send(message any) error { return c.encoder.Encode(message) }

// receive reads one message of at most limit bytes.
func (c *conn) receive(message any, limit int64) error {
	c.budget.left = limit
	return c.decoder.Decode(message)
}

var errTooLong = errors.New("the message is longer than its bound")

type budgetReader struct {
	r    io.Reader
	left int64
}

func (b *budgetReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooLong
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// keyOf returns the key of a chart. The path is part of it, since errors contain it.
func keyOf(source *chart.Source) string { return fmt.Sprintf("%s %s", source.Digest, source.Path) }
