package watch

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

// Gate is a Gate with spec.observe.
type Gate struct {
	Name       string
	Spec       *v1alpha1.GateSpec
	Thresholds []time.Duration // sorted and unique
	Object     *unstructured.Unstructured
}

// UnusableGate is a Gate with spec.observe that can't be read or is invalid.
type UnusableGate struct {
	Object *unstructured.Unstructured
	Err    error
}

// ReadGates returns the Gates of the cluster that have spec.observe, sorted by name.
func ReadGates(ctx context.Context, reader client.Reader) ([]*Gate, []UnusableGate, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(gateKind)
	if err := reader.List(ctx, list); err != nil {
		return nil, nil, fmt.Errorf("listing Gates: %w", err)
	}
	var gates []*Gate
	var unusable []UnusableGate
	for i := range list.Items {
		u := &list.Items[i]
		if _, found, _ := unstructured.NestedFieldNoCopy(u.Object, "spec", "observe"); !found {
			continue
		}
		g, err := readGate(u)
		if err != nil {
			unusable = append(unusable, UnusableGate{u, err})
			continue
		}
		gates = append(gates, g)
	}
	slices.SortFunc(gates, func(a, b *Gate) int { return cmp.Compare(a.Name, b.Name) })
	return gates, unusable, nil
}

func readGate(u *unstructured.Unstructured) (*Gate, error) {
	g, unknown, err := v1alpha1.GateFrom(u.Object)
	if err != nil {
		return nil, err
	}
	for _, path := range unknown {
		// Other unknown fields don't change what is measured; the webhook denies for them.
		if strings.HasPrefix(path, ".spec.observe") || strings.HasPrefix(path, ".spec.images") {
			return nil, fmt.Errorf("%s: unknown to this version of the observer", path)
		}
	}
	if problems := gate.Check(g); len(problems) > 0 {
		return nil, fmt.Errorf("%s", problems[0].Message)
	}
	read := &Gate{Name: g.Name, Spec: &g.Spec, Object: u}
	for _, after := range g.Spec.Observe.AttestAfter {
		read.Thresholds = append(read.Thresholds, after.Duration)
	}
	slices.Sort(read.Thresholds)
	read.Thresholds = slices.Compact(read.Thresholds)
	return read, nil
}

// InNamespace returns the Gates that list a namespace.
func InNamespace(gates []*Gate, namespace string) []*Gate {
	var listing []*Gate
	for _, g := range gates {
		if slices.Contains(g.Spec.Namespaces, namespace) {
			listing = append(listing, g)
		}
	}
	return listing
}

var gateKind = v1alpha1.GroupVersion.WithKind("Gate")

// NewGateObject returns an empty Gate to watch: unstructured, so that fields of a newer
// version are noticed.
func NewGateObject() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(gateKind)
	return u
}
