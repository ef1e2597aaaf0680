package webhook

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/json"
)

// podTemplates are the kinds that start pods, and where each has its pod template. A
// Pod is its own.
var podTemplates = map[schema.GroupVersionKind][]string{
	{Version: "v1", Kind: "Pod"}:                        {},
	{Version: "v1", Kind: "PodTemplate"}:                {"template"},
	{Version: "v1", Kind: "ReplicationController"}:      {"spec", "template"},
	{Group: "apps", Version: "v1", Kind: "DaemonSet"}:   {"spec", "template"},
	{Group: "apps", Version: "v1", Kind: "Deployment"}:  {"spec", "template"},
	{Group: "apps", Version: "v1", Kind: "ReplicaSet"}:  {"spec", "template"},
	{Group: "apps", Version: "v1", Kind: "StatefulSet"}: {"spec", "template"},
	{Group: "batch", Version: "v1", Kind: "CronJob"}:    {"spec", "jobTemplate", "spec", "template"},
	{Group: "batch", Version: "v1", Kind: "Job"}:        {"spec", "template"},
}

// object is what the webhook looks at in an object that starts pods.
type object struct {
	kind     schema.GroupVersionKind
	metadata metav1.ObjectMeta
	// template is the pod template as it was sent, so that a change is seen even in
	// a field that this version doesn't know. Of a Pod it is the spec alone: a pod's
	// labels and annotations start nothing.
	template any
	// images are there once readImages has read them.
	images []image

	spec map[string]any // the pod's spec, as it was sent
	at   string         // its place
}

const (
	// maxValues bounds the JSON values of an object. Each takes some hundred bytes of
	// memory once it is parsed, however short it is written. The largest objects that
	// etcd keeps (1.5 MiB) have less than this unless they are made of nothing but
	// empty values; an ordinary workload has some hundreds.
	maxValues = 100_000
	// maxParts bounds the containers of all three kinds and the volumes of a pod,
	// together. A kubelet runs 110 pods by default, of a few containers each; 1,000
	// leave 1.5 KiB for each in what etcd keeps.
	maxParts = 1000
)

// decode reads an object of a kind that podTemplates has, but for its images.
func decode(raw []byte, kind schema.GroupVersionKind) (*object, error) {
	if len(raw) == 0 {
		return nil, errors.New("there is no object")
	}
	if tooMany(raw, maxValues) {
		return nil, fmt.Errorf("the object has more than %d values", maxValues)
	}
	var whole map[string]any
	if err := json.Unmarshal(raw, &whole); err != nil {
		return nil, fmt.Errorf("parsing the object: %w", err)
	}
	u := unstructured.Unstructured{Object: whole}
	if own := u.GroupVersionKind(); own != kind {
		return nil, fmt.Errorf("the request says %q, the object %q", kind, own)
	}
	return newObject(&u)
}

// newObject is decode for what is parsed already.
func newObject(u *unstructured.Unstructured) (*object, error) {
	path, ok := podTemplates[u.GroupVersionKind()]
	if !ok {
		return nil, fmt.Errorf("%q is no kind whose images this version knows", u.GroupVersionKind())
	}
	o := &object{kind: u.GroupVersionKind(), at: strings.Join(append(slices.Clone(path), "spec"), ".")}

	metadata, _, err := unstructured.NestedMap(u.Object, "metadata")
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(metadata, &o.metadata)
	}
	if err != nil {
		return nil, fmt.Errorf("reading metadata: %w", err)
	}
	template, _, err := unstructured.NestedFieldNoCopy(u.Object, path...)
	if err != nil {
		return nil, fmt.Errorf("reading the pod template: %w", err)
	}
	whole, _ := template.(map[string]any)
	if o.spec, ok = whole["spec"].(map[string]any); !ok {
		return nil, fmt.Errorf("there is no pod's spec at %s", o.at)
	}
	o.template = template
	if len(path) == 0 {
		o.template = o.spec
	}
	return o, nil
}

// readImages fills in the images. What it can't read fully it refuses: an image that
// it overlooks would be admitted unjudged.
func (o *object) readImages() error {
	parts := 0
	for _, list := range []string{"containers", "initContainers", "ephemeralContainers", "volumes"} {
		entries, _ := o.spec[list].([]any) // what is no list is refused below
		parts += len(entries)
	}
	if parts > maxParts {
		return fmt.Errorf("%s has %d containers and volumes, more than %d", o.at, parts, maxParts)
	}
	var spec corev1.PodSpec
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.spec, &spec); err != nil {
		return fmt.Errorf("reading %s: %w", o.at, err)
	}
	kept, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&spec)
	if err != nil {
		return fmt.Errorf("reading %s: %w", o.at, err)
	}
	if place := unknownImage(o.spec, kept, o.at); place != "" {
		return fmt.Errorf("%s may name an image, and this version doesn't know the field: upgrade envladder", place)
	}
	o.images = imagesOf(&spec, o.at)
	return nil
}

// tooMany says whether a JSON document has more values than limit, without parsing it:
// each value but the first of a list or mapping comes behind a comma.
func tooMany(raw []byte, limit int) bool {
	values, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++ // whatever is escaped ends no text
		case !quoted && (c == ',' || c == '{' || c == '['):
			values++
		}
		if values > limit {
			return true
		}
	}
	return false
}
