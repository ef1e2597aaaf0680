package soakstore_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/observer/observertest"
	"github.com/envladder/envladder/observer/soakstore"
	"github.com/envladder/envladder/observer/window"
)

func TestStatusRestartAtAnyMomentAddsNoTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := observertest.DrawSamples(t)
		killed := rapid.IntRange(0, len(all)-1).Draw(t, "killed")
		var w, whole window.Window
		for i, o := range all {
			whole.Add(o, observertest.MaxInterval)
			if i == killed {
				status := v1alpha1.SoakStatus{}
				soakstore.SetWindow(&status, &w)
				w = soakstore.ReadWindow(&status)
			}
			w.Add(o, observertest.MaxInterval)
		}
		if most := observertest.TrulyHealthy(all); time.Duration(w.Healthy)*time.Second > most {
			t.Errorf("%d s count after a restart, at most %v were healthy", w.Healthy, most)
		}
		if window := int64(w.ObservedAt.Sub(w.StartedAt) / time.Second); w.Healthy+w.Interrupted != window {
			t.Errorf("%d s healthy and %d s interrupted in a window of %d s", w.Healthy, w.Interrupted, window)
		}
	})
}

func TestStatusAfterRestart(t *testing.T) {
	for name, test := range map[string]struct {
		seenUntil time.Duration
		gap       int64
	}{
		"gap after restart counts all time since the stopped digest was observed": {10 * time.Second, 3590},
		"gap after restart counts only unobserved time":                           {30 * time.Minute, 1800},
	} {
		t.Run(name, func(t *testing.T) {
			var before window.Window
			before.Add(observertest.Healthy(0), observertest.MaxInterval)
			before.Add(observertest.Unhealthy(v1alpha1.SoakNotRunning, 10*time.Second), observertest.MaxInterval)
			status := v1alpha1.SoakStatus{}
			soakstore.SetWindow(&status, &before)
			w := soakstore.ReadWindow(&status)
			w.AddStopped(observertest.Epoch.Add(test.seenUntil))
			w.Add(observertest.Healthy(time.Hour), observertest.MaxInterval)
			if w.LongestGap != test.gap || w.Healthy != 0 || w.Interrupted != 3600 {
				t.Errorf("the window is %+v", w)
			}
		})
	}
}

func TestName(t *testing.T) {
	spec := v1alpha1.SoakSpec{Gate: "shop-staging", Repository: "registry.example.com/shop/My_web.app", Digest: observertest.Digest("e")}
	spec.Repository = strings.ToLower(spec.Repository)
	name := soakstore.Name(spec)
	if !strings.HasPrefix(name, "my-web-app-eeeeeeeeeeee-") {
		t.Errorf("the name is %q", name)
	}
	spec.Target = "eu"
	if soakstore.Name(spec) == name {
		t.Error("two targets have the same name")
	}
}
