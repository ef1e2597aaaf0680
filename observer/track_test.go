package observer

import (
	"testing"
	"time"

	"github.com/envladder/envladder/api/v1alpha1"
)

// TestWhenADigestWasFirstSeen: provenHere judges what a digest had at that time.
func TestWhenADigestWasFirstSeen(t *testing.T) {
	const (
		day         = 24 * time.Hour
		progressing = v1alpha1.SoakProgressing
		stopped     = v1alpha1.SoakNotRunning
		unobserved  = v1alpha1.SoakUnobserved
	)
	type look struct {
		reason, dip v1alpha1.SoakReason
	}
	// A look each minute; from is the number of the one that counts.
	for name, test := range map[string]struct {
		looks []look
		from  int
	}{
		"healthy at once":                            {[]look{{}, {}}, 0},
		"healthy after a slow rollout":               {[]look{{reason: progressing}, {reason: progressing}, {}}, 0},
		"stopped before it was healthy":              {[]look{{reason: progressing}, {reason: stopped}, {reason: progressing}, {}}, 2},
		"stopped for a moment before it was healthy": {[]look{{reason: progressing}, {reason: progressing, dip: stopped}, {}}, 1},
		"unobserved before it was healthy":           {[]look{{reason: progressing}, {reason: unobserved}, {}}, 2},
		"unobserved for a moment just before it":     {[]look{{reason: progressing}, {dip: unobserved}, {}}, 1},
		"stopped after it was healthy":               {[]look{{}, {reason: stopped}, {reason: stopped}, {}}, 0},
		"unobserved after it was healthy":            {[]look{{reason: progressing}, {}, {reason: unobserved}, {}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			tr := newTrack("shop", v1alpha1.SoakSpec{})
			for i, l := range test.looks {
				passed := time.Duration(i) * time.Minute
				tr.observe(health{Reason: l.reason}, observation{At: epoch.Add(passed), Elapsed: passed, Dip: l.dip}, time.Hour)
			}
			want := epoch.Add(time.Duration(test.from) * time.Minute)
			if !tr.firstSeen.Equal(want) {
				t.Errorf("first seen %v, want %v", tr.firstSeen, want)
			}
			if seen := tr.statement(false, "uid", v1alpha1.SoakObserver{}).FirstSeenAt; seen == nil || !seen.Equal(want) {
				t.Errorf("the statement says %v, want %v", seen, want)
			}
			status := tr.status(v1alpha1.SoakObserver{})
			again := newTrack("shop", v1alpha1.SoakSpec{})
			again.resume(&v1alpha1.Soak{Status: status})
			if !again.firstSeen.Equal(want) {
				t.Errorf("after a restart %v, want %v", again.firstSeen, want)
			}
		})
	}
	t.Run("the window hadn't begun before a restart", func(t *testing.T) {
		tr := newTrack("shop", v1alpha1.SoakSpec{})
		tr.observe(health{Reason: progressing}, observation{At: epoch}, time.Hour)
		again := newTrack("shop", v1alpha1.SoakSpec{})
		again.resume(&v1alpha1.Soak{Status: tr.status(v1alpha1.SoakObserver{})})
		again.observe(health{}, observation{At: epoch.Add(day)}, time.Hour)
		if want := epoch.Add(day); !again.firstSeen.Equal(want) {
			t.Errorf("first seen %v, want %v", again.firstSeen, want)
		}
	})
	t.Run("the clock moved back", func(t *testing.T) {
		tr := newTrack("shop", v1alpha1.SoakSpec{})
		tr.observe(health{}, observation{At: epoch}, time.Hour)
		tr.observe(health{}, observation{At: epoch.Add(-day), Elapsed: time.Minute}, time.Hour)
		if want := epoch.Add(-day); !tr.firstSeen.Equal(want) {
			t.Errorf("first seen %v, want %v", tr.firstSeen, want)
		}
	})
}
