package policycache

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/panics"
	"github.com/envladder/envladder/internal/verdict"
)

// CachedGate is a Gate of the cluster in memory.
type CachedGate struct {
	verdict.Gate
	// DecodeError is why the Gate can't be decoded; nil: it could. The judge finds what
	// is wrong with a Gate that could be decoded.
	DecodeError error
	// Everywhere is set if not even the Gate's namespaces could be read: it then counts
	// for all namespaces.
	Everywhere bool
}

// ReadGate returns a CachedGate of any object that the cluster stores. It returns no
// error, since a Gate that is skipped would leave its namespaces open. From a Gate that
// can't be decoded it takes what a denial needs: its name, and its namespaces where they
// can be read.
func ReadGate(u *unstructured.Unstructured) CachedGate {
	// A panic in an informer's goroutine would end the webhook, and end it again after
	// each restart: one Gate would stop all namespaces.
	read, err := panics.CatchResult(func() (CachedGate, error) { return readGate(u), nil })
	if err != nil {
		read = CachedGate{DecodeError: fmt.Errorf("reading the Gate: %w", err), Everywhere: true}
		read.Gate.Gate = &v1alpha1.Gate{}
		read.Name = u.GetName()
		read.Ref = gate.Ref{Name: u.GetName()}
	}
	return read
}

func readGate(u *unstructured.Unstructured) CachedGate {
	g, unknown, err := v1alpha1.GateFrom(u.Object)
	if err == nil {
		return CachedGate{Gate: verdict.Gate{Gate: g, Unknown: unknown, Ref: gate.RefTo(g)}}
	}
	g = &v1alpha1.Gate{}
	g.Name, g.Generation = u.GetName(), u.GetGeneration()
	g.Spec.Environment, _, _ = unstructured.NestedString(u.Object, "spec", "environment")
	namespaces, found, nsErr := unstructured.NestedStringSlice(u.Object, "spec", "namespaces")
	g.Spec.Namespaces = namespaces
	return CachedGate{Gate: verdict.Gate{Gate: g, Ref: gate.RefTo(g)}, DecodeError: err, Everywhere: nsErr != nil || !found}
}

// Covers reports whether the Gate names a namespace.
func (g CachedGate) Covers(namespace string) bool {
	return g.Everywhere || slices.Contains(g.Spec.Namespaces, namespace)
}

// Problems returns the reasons why images can't be judged by the Gate; none if they can.
func (g CachedGate) Problems() []gate.Reason {
	if g.DecodeError != nil {
		return []gate.Reason{gate.NewReason(gate.GateInvalid, "%v", g.DecodeError)}
	}
	return slices.Concat(gate.Check(g.Gate.Gate), gate.CheckSupported(g.Gate.Gate, g.Unknown))
}
