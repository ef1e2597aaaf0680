package evidencecache

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/webhook/webhooktest"
)

func newAdmitted(digest string) Admitted {
	return Admitted{Query: evidence.Query{Image: gate.Image{Repository: "example.com/web", Digest: digest}}}
}

func TestWriterDue(t *testing.T) {
	w := NewWriter(nil, nil, nil)
	image, now := newAdmitted(webhooktest.Digest('a')), time.Now()
	if !w.due(image, now) || w.due(image, now.Add(retryInterval)) {
		t.Fatal("an image isn't stored once")
	}
	w.retryLater(image, now)
	if w.due(image, now.Add(retryInterval-time.Second)) {
		t.Error("a registry that is down is queried for each admission")
	}
	if !w.due(image, now.Add(retryInterval)) {
		t.Error("an image that couldn't be stored isn't tried again")
	}
}

// TestWriterAdd checks that images beyond the queue's length are dropped without blocking, and
// are queued again with their next admission.
func TestWriterAdd(t *testing.T) {
	w := NewWriter(nil, nil, slog.New(slog.DiscardHandler)) // doesn't run: nothing leaves the queue
	for i := range 3 * maxQueued {
		w.Add([]Admitted{newAdmitted(fmt.Sprintf("sha256:%064d", i))})
	}
	if got := len(w.queue); got != maxQueued {
		t.Errorf("%d images are queued, want %d", got, maxQueued)
	}
	if got := len(w.stored); got != maxQueued {
		t.Errorf("%d images count as stored, want %d: the dropped ones would wait for a day", got, maxQueued)
	}
}
