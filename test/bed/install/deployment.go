package install

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/envladder/envladder/test/bed"
)

// Local runs a Deployment as a local process, without a kubelet.
type Local struct {
	// Manifest is the file below manifests/ with the Deployment, and Program the program that
	// it runs.
	Manifest, Program string
	// Pod are flags that replace what a pod gets from the cluster: its account and its
	// namespace.
	Pod []string
	// Mounts maps paths in the container to local files and folders.
	Mounts map[string]string
	// Flags replaces values of flags in the manifest, such as addresses and intervals. The
	// manifest must have these flags.
	Flags map[string]string
	// Ready is the URL that returns success when the process is ready.
	Ready string
}

// Process returns the process of a Deployment, with the flags and the environment of its
// manifest. root is the folder of the repository.
func (l Local) Process(b *bed.Bed, root string) (bed.Process, error) {
	process, err := l.process(b, root)
	if err != nil {
		return bed.Process{}, fmt.Errorf("running %s: %w", l.Program, err)
	}
	return process, nil
}

// process is Process without the context of errors.
func (l Local) process(b *bed.Bed, root string) (bed.Process, error) {
	deployment, err := readDeployment(filepath.Join(root, "manifests", l.Manifest))
	if err != nil {
		return bed.Process{}, err
	}
	containers := deployment.Spec.Template.Spec.Containers
	if len(containers) != 1 {
		return bed.Process{}, fmt.Errorf("%s has %d containers, want 1", l.Manifest, len(containers))
	}
	process := bed.Process{Name: l.Program, Path: filepath.Join(root, "bin", l.Program), Args: slices.Clone(l.Pod), Ready: b.HTTPReady(l.Ready)}
	unused := maps.Clone(l.Flags)
	for _, arg := range containers[0].Args {
		flag, value, _ := strings.Cut(arg, "=")
		if other, ok := l.Flags[flag]; ok {
			value = other
			delete(unused, flag)
		}
		process.Args = append(process.Args, flag+"="+l.mounted(value))
	}
	if len(unused) > 0 {
		return bed.Process{}, fmt.Errorf("%s lacks the flags %s", l.Manifest, slices.Sorted(maps.Keys(unused)))
	}
	for _, variable := range containers[0].Env {
		// Keys in tests have no password. An empty Secret has the same effect.
		process.Env = append(process.Env, variable.Name+"="+l.mounted(variable.Value))
	}
	return process, nil
}

// mounted returns the local path of a path in the container.
func (l Local) mounted(value string) string {
	for mount, path := range l.Mounts {
		if value == mount {
			return path
		}
		if rest, ok := strings.CutPrefix(value, mount+"/"); ok {
			return filepath.Join(path, rest)
		}
	}
	return value
}

// readDeployment returns the Deployment in a file.
func readDeployment(path string) (*appsv1.Deployment, error) {
	documents, err := readDocuments(path)
	if err != nil {
		return nil, err
	}
	for _, d := range documents {
		if d.GetKind() != "Deployment" {
			continue
		}
		var deployment appsv1.Deployment
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(d.Object, &deployment); err != nil {
			return nil, fmt.Errorf("reading the Deployment of %s: %w", path, err)
		}
		return &deployment, nil
	}
	return nil, fmt.Errorf("%s has no Deployment", path)
}
