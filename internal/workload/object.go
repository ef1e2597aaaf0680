package workload

import (
	"errors"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/json"
)

// Object is an object that starts pods, reduced to what decisions need.
type Object struct {
	Kind     schema.GroupVersionKind
	Metadata metav1.ObjectMeta
	// Templates has its pod templates: none where TemplateRef is set.
	Templates []Template
	// TemplateRef names the object in the same namespace whose pod template is used: an
	// Argo Rollout's workloadRef.
	TemplateRef *Reference
}

// Reference names another object.
type Reference struct {
	Kind schema.GroupVersionKind
	Name string
}

// Template is a pod template.
type Template struct {
	// Value as it was sent, so that a change is detected even in a field that this version
	// doesn't know. For a Pod it is only the spec: a pod's labels and annotations start
	// nothing.
	Value map[string]any
	// At is the path of the pod's spec: spec.template.spec.
	At string

	spec map[string]any
}

// Annotations returns the annotations of the template's pods; none for a Pod, since its
// template is its spec.
func (t Template) Annotations() map[string]string {
	texts := map[string]string{}
	annotations, _, _ := unstructured.NestedMap(t.Value, "metadata", "annotations")
	for key, value := range annotations {
		texts[key], _ = value.(string) // the API server admits only strings
	}
	return texts
}

// Bounds on an object.
const (
	// MaxValues bounds the JSON values of an object. Each takes some hundred bytes of
	// memory once it is parsed, even if its text is short. The largest objects that etcd
	// stores (1.5 MiB) have fewer, unless they have only empty values; an ordinary workload
	// has some hundreds.
	MaxValues = 100_000
	// MaxParts bounds the containers of all three kinds and the volumes of all pod
	// templates, together. A kubelet runs 110 pods by default, of a few containers
	// each; with 1,000, each has 1.5 KiB of what etcd stores.
	MaxParts = 1000
)

// Decode parses an object of one of the kinds. Images parses its images.
func (k *Kinds) Decode(raw []byte, gvk schema.GroupVersionKind) (*Object, error) {
	if len(raw) == 0 {
		return nil, errors.New("the request has no object")
	}
	if tooMany(raw, MaxValues) {
		return nil, fmt.Errorf("the object has more than %d values", MaxValues)
	}
	var whole map[string]any
	if err := json.Unmarshal(raw, &whole); err != nil {
		return nil, fmt.Errorf("parsing the object: %w", err)
	}
	u := unstructured.Unstructured{Object: whole}
	if own := u.GroupVersionKind(); own != gvk {
		return nil, fmt.Errorf("the request's kind is %q, the object's %q", gvk, own)
	}
	return k.Read(&u)
}

// Read returns the Object of a parsed object, like Decode.
func (k *Kinds) Read(u *unstructured.Unstructured) (*Object, error) {
	known, ok := k.kinds[u.GroupVersionKind()]
	if !ok {
		return nil, fmt.Errorf("%q isn't a kind with known pod templates: set the path of its pod template (--pod-template-path)", u.GroupVersionKind())
	}
	o := &Object{Kind: u.GroupVersionKind()}
	metadata, _, err := unstructured.NestedMap(u.Object, "metadata")
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructured(metadata, &o.Metadata)
	}
	if err != nil {
		return nil, fmt.Errorf("reading metadata: %w", err)
	}
	for _, p := range known.paths {
		templates, err := templatesAt(u.Object, p, "")
		if err != nil {
			return nil, fmt.Errorf("reading the pod template at %s: %w", p, err)
		}
		o.Templates = append(o.Templates, templates...)
	}
	if len(o.Templates) > 0 {
		return o, nil
	}
	if o.TemplateRef = referenceAt(u.Object, known.reference); o.TemplateRef == nil {
		return nil, fmt.Errorf("there is no pod spec at %s", specPaths(known.paths))
	}
	return o, nil
}

// referenceAt reads a reference to another object, nil if there is none.
func referenceAt(object map[string]any, field []string) *Reference {
	value, _, err := unstructured.NestedFieldNoCopy(object, field...)
	if len(field) == 0 || err != nil || value == nil {
		return nil
	}
	fields, _ := value.(map[string]any)
	text := func(key string) string { s, _ := fields[key].(string); return s }
	return &Reference{Kind: schema.FromAPIVersionAndKind(text("apiVersion"), text("kind")), Name: text("name")}
}

// specPaths lists the paths of the pods' specs for a message.
func specPaths(paths []path) string {
	texts := make([]string, len(paths))
	for i, p := range paths {
		texts[i] = strings.TrimPrefix(p.String()+".spec", ".")
	}
	return strings.Join(texts, " or ")
}

// templatesAt returns the pod templates at a path below a value; none where a part of the
// path is missing. It returns an error where a value on the way is of another type than the
// path requires.
func templatesAt(value any, p path, at string) ([]Template, error) {
	if value == nil {
		return nil, nil
	}
	mapping, ok := value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s isn't a mapping", at)
	}
	if len(p) == 0 {
		return newTemplate(mapping, at)
	}
	next, at := mapping[p[0].key], join(at, p[0].key)
	if !p[0].list || next == nil {
		return templatesAt(next, p[1:], at)
	}
	entries, ok := next.([]any)
	if !ok {
		return nil, fmt.Errorf("%s isn't a list", at)
	}
	var all []Template
	for i, entry := range entries {
		templates, err := templatesAt(entry, p[1:], fmt.Sprintf("%s[%d]", at, i))
		if err != nil {
			return nil, err
		}
		all = append(all, templates...)
	}
	return all, nil
}

// newTemplate returns the pod template in a mapping, which is at a path of the object.
func newTemplate(mapping map[string]any, at string) ([]Template, error) {
	field := join(at, "spec")
	spec, ok := mapping["spec"].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("there is no pod spec at %s", field)
	}
	if at == "" {
		mapping = spec
	}
	return []Template{{Value: mapping, At: field, spec: spec}}, nil
}

func join(at, key string) string { return strings.TrimPrefix(at+"."+key, ".") }

// Images returns all images that the object's pods would run or mount, except those of
// containers in a pod template that Istio will inject: their image is known in the Pod. It
// returns an error for anything that it can't read in full.
func (o *Object) Images() ([]Image, error) {
	parts := 0
	for _, t := range o.Templates {
		for _, list := range []string{"containers", "initContainers", "ephemeralContainers", "volumes"} {
			entries, _ := t.spec[list].([]any) // anything else is rejected below
			parts += len(entries)
		}
		if parts > MaxParts {
			return nil, fmt.Errorf("%s has %d containers and volumes, more than %d", t.At, parts, MaxParts)
		}
	}
	var all []Image
	for _, t := range o.Templates {
		images, err := t.images(o.Kind.Kind != "Pod")
		if err != nil {
			return nil, err
		}
		all = append(all, images...)
	}
	return all, nil
}

func (t Template) images(beforeInjection bool) ([]Image, error) {
	var spec corev1.PodSpec
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(t.spec, &spec); err != nil {
		return nil, fmt.Errorf("reading %s: %w", t.At, err)
	}
	kept, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&spec)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", t.At, err)
	}
	if field := unknownImage(t.spec, kept, t.At); field != "" {
		return nil, fmt.Errorf("%s may name an image, but this version doesn't know the field: upgrade envladder", field)
	}
	if beforeInjection {
		t.dropInjected(&spec)
	}
	return imagesOf(&spec, t.At), nil
}

// tooMany reports whether a JSON document has more values than limit, without parsing it:
// each value except the first of a list or mapping follows a comma.
func tooMany(raw []byte, limit int) bool {
	values, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '"':
			quoted = !quoted
		case quoted && c == '\\':
			i++ // an escaped character doesn't end the text
		case !quoted && (c == ',' || c == '{' || c == '['):
			values++
		}
		if values > limit {
			return true
		}
	}
	return false
}
