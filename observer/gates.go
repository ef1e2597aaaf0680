package observer

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

// observedGate is a Gate that asks for soaks.
type observedGate struct {
	name       string
	spec       *v1alpha1.GateSpec
	thresholds []time.Duration // sorted, each once
	object     *unstructured.Unstructured
	// version tells this Gate from an edited or recreated one.
	version string
}

// unusable is a Gate that asks for soaks and can't be gone by.
type unusable struct {
	object *unstructured.Unstructured
	err    error
}

// readGates are the Gates of the cluster that ask for soaks, sorted by name.
func readGates(ctx context.Context, reader client.Reader) ([]*observedGate, []unusable, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(gateKind)
	if err := reader.List(ctx, list); err != nil {
		return nil, nil, fmt.Errorf("listing Gates: %w", err)
	}
	var observed []*observedGate
	var faulty []unusable
	for i := range list.Items {
		u := &list.Items[i]
		if _, asks, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "observe"); !asks {
			continue
		}
		g, err := readGate(u)
		if err != nil {
			faulty = append(faulty, unusable{u, err})
			continue
		}
		observed = append(observed, g)
	}
	slices.SortFunc(observed, func(a, b *observedGate) int { return cmp.Compare(a.name, b.name) })
	return observed, faulty, nil
}

func readGate(u *unstructured.Unstructured) (*observedGate, error) {
	g, unknown, err := v1alpha1.GateFrom(u.Object)
	if err != nil {
		return nil, err
	}
	for _, path := range unknown {
		// What else this version doesn't know is the webhook's to deny: it doesn't
		// change what is measured.
		if strings.HasPrefix(path, ".spec.observe") || strings.HasPrefix(path, ".spec.images") {
			return nil, fmt.Errorf("%s: this version of the observer doesn't know it", path)
		}
	}
	if faults := gate.Check(g); len(faults) > 0 {
		return nil, fmt.Errorf("%s", faults[0].Message)
	}
	observed := &observedGate{name: g.Name, spec: &g.Spec, object: u, version: fmt.Sprintf("%s/%d", g.UID, g.Generation)}
	for _, after := range g.Spec.Observe.AttestAfter {
		observed.thresholds = append(observed.thresholds, after.Duration)
	}
	slices.Sort(observed.thresholds)
	observed.thresholds = slices.Compact(observed.thresholds)
	return observed, nil
}

// ask takes over what its Gate asks for; nothing where that isn't among them.
func (t *track) ask(gates []*observedGate) {
	t.thresholds, t.evidence = nil, ""
	for _, g := range gates {
		if g.name == t.spec.Gate {
			image, _ := gate.FindImage(g.spec, t.spec.Repository)
			t.thresholds, t.evidence = g.thresholds, image.Evidence
		}
	}
}

var gateKind = v1alpha1.GroupVersion.WithKind("Gate")

// emptyGate is a Gate to watch: unstructured, so that fields of a newer version are seen.
func emptyGate() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(gateKind)
	return u
}
