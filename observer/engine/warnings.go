package engine

import (
	"fmt"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/observer/soakstore"
	"github.com/envladder/envladder/observer/watch"
)

// warnings reports problems of Gates to the platform team, as events and in the log, each
// once.
type warnings struct {
	recorder record.EventRecorder
	log      *slog.Logger
	reported map[string]string // the last message, by the Gate's uid and the reason
}

// warnUnusable warns of Gates that nothing is measured for.
func (w *warnings) warnUnusable(gates []watch.UnusableGate) {
	for _, g := range gates {
		w.warn(g.Object, "Unusable", fmt.Sprintf("nothing is measured for this Gate: %v", g.Err))
	}
}

// warnTagged warns of images without a digest.
func (w *warnings) warnTagged(gates []*watch.Gate, tagged map[string]string) {
	for _, g := range gates {
		if message := tagged[g.Name]; message != "" {
			w.warn(g.Object, "NoDigest", message+": only digests are measured; reference the image by digest")
		}
	}
}

func (w *warnings) warn(about client.Object, reason, message string) {
	message = soakstore.CutMessage(message)
	key := string(about.GetUID()) + reason
	if w.reported[key] == message {
		return
	}
	w.reported[key] = message
	w.recorder.Event(about, corev1.EventTypeWarning, reason, message)
	w.log.Warn("some images of a Gate are not measured", "gate", about.GetName(), "reason", reason, "message", message)
}
