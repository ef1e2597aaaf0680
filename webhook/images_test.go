package webhook

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func TestImagesOf(t *testing.T) {
	spec := corev1.PodSpec{
		InitContainers: []corev1.Container{{Image: "init"}},
		Containers:     []corev1.Container{{Image: "first"}, {Image: "second"}},
		EphemeralContainers: []corev1.EphemeralContainer{{
			EphemeralContainerCommon: corev1.EphemeralContainerCommon{Image: "debug"},
		}},
		Volumes: []corev1.Volume{
			{VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{VolumeSource: corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: "data"}}},
			{VolumeSource: corev1.VolumeSource{RBD: &corev1.RBDVolumeSource{RBDImage: "a disk, no container image"}}},
		},
	}
	want := []image{
		{"init", "at.initContainers[0].image"},
		{"first", "at.containers[0].image"},
		{"second", "at.containers[1].image"},
		{"debug", "at.ephemeralContainers[0].image"},
		{"data", "at.volumes[1].image.reference"},
	}
	if diff := cmp.Diff(want, imagesOf(&spec, "at"), cmp.AllowUnexported(image{})); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

func TestDigestOf(t *testing.T) {
	hex := sixtyFour('a')
	for reference, want := range map[string]string{
		"r/web@sha256:" + hex:                    "sha256:" + hex,
		"r/web:1@sha256:" + hex:                  "sha256:" + hex,
		"r/web:1":                                "",
		"":                                       "",
		"r/web@sha256:" + hex[1:]:                "",
		"r/web@sha256:" + hex + "a":              "",
		"r/web@sha256:" + strings.ToUpper(hex):   "",
		"r/web@sha512:" + hex:                    "",
		"r/web@sha256:" + hex + " ":              "",
		"r/web@sha256:" + hex + "\n":             "",
		"sha256:" + hex:                          "",
		"r/web@sha256:" + hex + "@sha256:" + hex: "sha256:" + hex,
	} {
		if got := digestOf(reference); got != want {
			t.Errorf("digestOf(%q) = %q, want %q", reference, got, want)
		}
	}
}

var deploymentKind = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}

// deploymentOf is a Deployment whose pod's spec has these fields.
func deploymentOf(spec string) string {
	return `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"template":{"spec":` + spec + `}}}`
}

func TestDecodeOfAFieldThatThisVersionDoesNotKnow(t *testing.T) {
	for name, test := range map[string]struct{ spec, want string }{
		"a new kind of containers": {
			`{"containers":[],"sidecarContainers":[{"name":"x","image":"evil"}]}`, "spec.template.spec.sidecarContainers",
		},
		"a new field of a container": {
			`{"containers":[{"name":"web","image":"a","fallbackImage":"evil"}]}`, "spec.template.spec.containers[0].fallbackImage",
		},
		"a new source of a volume": {
			`{"containers":[],"volumes":[{"name":"v","artifact":{"reference":"evil"}}]}`, "spec.template.spec.volumes[0].artifact",
		},
		"deep in lists": {
			`{"containers":[],"groups":[{"members":[{"image":"evil"}]}]}`, "spec.template.spec.groups",
		},
		"a known field in another case": {
			`{"containers":[],"Containers":[{"image":"evil"}]}`, "spec.template.spec.Containers",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(deploymentOf(test.spec), deploymentKind)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("decode says %v, want an error about %s", err, test.want)
			}
		})
	}
	for name, spec := range map[string]string{
		"of no image":          `{"containers":[{"name":"web","image":"a","newPolicy":{"restart":"Never"}}],"newNumber":3}`,
		"that is empty":        `{"containers":[],"imagePullSecrets":null,"newImages":[],"newImage":""}`,
		"among free-form keys": `{"containers":[],"nodeSelector":{"image":"x"},"volumes":[{"name":"v","csi":{"driver":"d","volumeAttributes":{"image":"x"}}}]}`,
	} {
		t.Run(name+" is none of its business", func(t *testing.T) {
			if _, err := read(deploymentOf(spec), deploymentKind); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	pod := schema.GroupVersionKind{Version: "v1", Kind: "Pod"}
	for name, test := range map[string]struct {
		raw  string
		kind schema.GroupVersionKind
	}{
		"nothing":                   {"", pod},
		"null":                      {"null", pod},
		"a list":                    {"[]", pod},
		"half an object":            {`{"apiVersion":"v1","kind":"Pod"`, pod},
		"another kind than it says": {`{"apiVersion":"v1","kind":"Pod","spec":{"containers":[]}}`, deploymentKind},
		"a kind it doesn't know":    {`{"apiVersion":"example.com/v1","kind":"Rollout","spec":{}}`, schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Rollout"}},
		"a version it doesn't know": {`{"apiVersion":"apps/v2","kind":"Deployment","spec":{}}`, schema.GroupVersionKind{Group: "apps", Version: "v2", Kind: "Deployment"}},
		"no spec":                   {`{"apiVersion":"v1","kind":"Pod"}`, pod},
		"a spec that is null":       {`{"apiVersion":"v1","kind":"Pod","spec":null}`, pod},
		"a spec that is text":       {`{"apiVersion":"v1","kind":"Pod","spec":"x"}`, pod},
		"no template":               {`{"apiVersion":"apps/v1","kind":"Deployment","spec":{}}`, deploymentKind},
		"containers that are text":  {deploymentOf(`{"containers":"x"}`), deploymentKind},
		"an image that is a list":   {deploymentOf(`{"containers":[{"image":["x"]}]}`), deploymentKind},
		"metadata that is text":     {`{"apiVersion":"v1","kind":"Pod","metadata":"x","spec":{"containers":[]}}`, pod},
		"annotations of numbers":    {`{"apiVersion":"v1","kind":"Pod","metadata":{"annotations":{"a":1}},"spec":{"containers":[]}}`, pod},
	} {
		t.Run(name, func(t *testing.T) {
			if o, err := read(test.raw, test.kind); err == nil {
				t.Errorf("decode reads %+v, want an error", o)
			}
		})
	}
}

// decoded is a Deployment whose pod's spec has these fields, decoded.
func decoded(t *testing.T, document string) *object {
	t.Helper()
	o, err := read(document, deploymentKind)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// read decodes an object and its images.
func read(document string, kind schema.GroupVersionKind) (*object, error) {
	o, err := decode([]byte(document), kind)
	if err != nil {
		return nil, err
	}
	return o, o.readImages()
}

func TestStartsNothingNew(t *testing.T) {
	const base = `{"apiVersion":"apps/v1","kind":"Deployment",
		"metadata":{"name":"web","annotations":{"envladder.dev/environment":"prod"},"finalizers":["f"]},
		"spec":{"replicas":3,"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"web","image":"r/web:1"}]}}},
		"status":{"replicas":3}}`
	for name, test := range map[string]struct {
		old, replacement string
		want             bool
	}{
		"nothing":                     {`"a":"b"`, `"a":"b"`, true},
		"replicas lower":              {`"replicas":3,"template"`, `"replicas":1,"template"`, true},
		"replicas unset":              {`"replicas":3,"template"`, `"template"`, true},
		"replicas raised":             {`"replicas":3,"template"`, `"replicas":5,"template"`, true},
		"status":                      {`"status":{"replicas":3}`, `"status":{}`, true},
		"finalizers":                  {`"finalizers":["f"]`, `"finalizers":[]`, true},
		"deletion":                    {`"name":"web","ann`, `"name":"web","deletionTimestamp":"2026-11-01T00:00:00Z","ann`, true},
		"another annotation":          {`"envladder.dev/environment":"prod"`, `"envladder.dev/environment":"prod","x":"y"`, true},
		"a stamp":                     {`"envladder.dev/environment":"prod"`, `"envladder.dev/environment":"dev"`, false},
		"a stamp taken away":          {`"envladder.dev/environment":"prod"`, ``, false},
		"a stamp added":               {`"envladder.dev/environment":"prod"`, `"envladder.dev/environment":"prod","envladder.dev/chart-digest":"x"`, false},
		"the image":                   {`r/web:1`, `r/web:2`, false},
		"the image, and replicas":     {`"replicas":3,"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"web","image":"r/web:1"`, `"replicas":0,"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"web","image":"r/web:2"`, false},
		"a label of the template":     {`"a":"b"`, `"a":"c"`, false},
		"a field of a newer template": {`"name":"web","image"`, `"name":"web","newPolicy":"x","image"`, false},
		"an order of keys":            {`"name":"web","image":"r/web:1"`, `"image":"r/web:1","name":"web"`, true},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(base, test.old, test.replacement, 1)
			if changed == base && test.old != test.replacement {
				t.Fatal("the test changes nothing")
			}
			if got := startsNothingNew(decoded(t, base), decoded(t, changed)); got != test.want {
				t.Errorf("startsNothingNew = %t, want %t", got, test.want)
			}
		})
	}
}

func TestKeepsDigests(t *testing.T) {
	a, b := "r/web@sha256:"+sixtyFour('a'), "r/web@sha256:"+sixtyFour('b')
	of := func(references ...string) *object {
		o := &object{}
		for _, reference := range references {
			o.images = append(o.images, image{reference: reference})
		}
		return o
	}
	for name, test := range map[string]struct {
		before, after *object
		want          bool
	}{
		"the same":                         {of(a), of(a), true},
		"the same, by another name":        {of(a), of("mirror/web:1@sha256:" + sixtyFour('a')), true},
		"one fewer":                        {of(a, b), of(a), true},
		"the other way round":              {of(a, b), of(b, a), true},
		"another":                          {of(a), of(b), false},
		"one more":                         {of(a), of(a, b), false},
		"pinned now":                       {of("r/web:1"), of(a), false},
		"a tag, whose age nobody asks for": {of(a), of(a, "r/sidecar:1"), true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := keepsDigests(test.before, test.after); got != test.want {
				t.Errorf("keepsDigests = %t, want %t", got, test.want)
			}
		})
	}
}

func TestUnknownImageSeesThroughTheTypes(t *testing.T) {
	// What the API server sends of a full pod is kept by the types, so nothing in it
	// is taken for unknown.
	full := `{"containers":[{"name":"web","image":"a","imagePullPolicy":"Always","resources":{"limits":{"cpu":"1"}},"securityContext":{"privileged":false},
		"livenessProbe":{"httpGet":{"path":"/","port":8080}},"env":[{"name":"IMAGE","value":"x"}]}],
		"imagePullSecrets":[{"name":"s"}],"volumes":[{"name":"r","rbd":{"monitors":["m"],"image":"disk"}},{"name":"i","image":{"reference":"r","pullPolicy":"Always"}}]}`
	o := decoded(t, deploymentOf(full))
	if len(o.images) != 2 {
		t.Errorf("images are %v, want two", o.images)
	}
}
