package gate

import (
	"encoding/json"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/digests"
)

// RefTo returns the Ref of a Gate. Its digest is the SHA-256 of the spec as JSON with
// defaults set and keys sorted, so that a file and the same Gate in a cluster have one
// digest.
func RefTo(g *v1alpha1.Gate) Ref {
	if g == nil {
		return Ref{}
	}
	return Ref{Name: g.Name, Generation: g.Generation, Digest: specDigest(g)}
}

// gateRef returns the Ref that was given, or the Gate's.
func (r Request) gateRef() Ref {
	if r.Ref.Digest != "" {
		return r.Ref
	}
	return RefTo(r.Gate)
}

func specDigest(g *v1alpha1.Gate) string {
	g = g.DeepCopy()
	g.SetDefaults()
	// Marshalling plain values can't fail: the types hold strings, numbers and
	// durations. What comes out of json.Marshal can be read back.
	ordered, _ := json.Marshal(g.Spec)
	var sorted any
	_ = json.Unmarshal(ordered, &sorted)
	canonical, _ := json.Marshal(sorted)
	return digests.Sum(canonical)
}
