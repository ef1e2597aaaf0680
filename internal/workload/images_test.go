package workload

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
	want := []Image{
		{"init", "at.initContainers[0].image"},
		{"first", "at.containers[0].image"},
		{"second", "at.containers[1].image"},
		{"debug", "at.ephemeralContainers[0].image"},
		{"data", "at.volumes[1].image.reference"},
	}
	if diff := cmp.Diff(want, imagesOf(&spec, "at")); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

func TestDigestOf(t *testing.T) {
	hex := sixtyFour("a")
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
		if got := DigestOf(reference); got != want {
			t.Errorf("DigestOf(%q) = %q, want %q", reference, got, want)
		}
	}
}

var deploymentKind = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}

// deploymentOf is a Deployment whose pod's spec has these fields.
func deploymentOf(spec string) string {
	return `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"template":{"spec":` + spec + `}}}`
}

func TestImagesRejectUnknownFields(t *testing.T) {
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

func TestDecodeRejects(t *testing.T) {
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

// read decodes an object and returns its images.
func read(document string, kind schema.GroupVersionKind) ([]Image, error) {
	o, err := NewKinds().Decode([]byte(document), kind)
	if err != nil {
		return nil, err
	}
	return o.Images()
}

func sixtyFour(digit string) string { return strings.Repeat(digit, 64) }

func TestUnknownImageIgnoresKnownFields(t *testing.T) {
	// What the API server sends of a full pod is kept by the types, so nothing in it
	// is taken for unknown.
	full := `{"containers":[{"name":"web","image":"a","imagePullPolicy":"Always","resources":{"limits":{"cpu":"1"}},"securityContext":{"privileged":false},
		"livenessProbe":{"httpGet":{"path":"/","port":8080}},"env":[{"name":"IMAGE","value":"x"}]}],
		"imagePullSecrets":[{"name":"s"}],"volumes":[{"name":"r","rbd":{"monitors":["m"],"image":"disk"}},{"name":"i","image":{"reference":"r","pullPolicy":"Always"}}]}`
	images, err := read(deploymentOf(full), deploymentKind)
	if err != nil || len(images) != 2 {
		t.Errorf("images are %v, %v, want two", images, err)
	}
}
