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

// Local is how a part's Deployment runs here, where no kubelet is: as a process.
type Local struct {
	// Manifest is the file below manifests/ with the Deployment, and Program what it
	// runs.
	Manifest, Program string
	// Pod are flags that stand for what a pod is given: its account, its namespace.
	Pod []string
	// Mounts are the files and folders here that stand for paths in the container.
	Mounts map[string]string
	// Flags get other values than the manifest's, which must have them: addresses, and
	// what nobody here has time for.
	Flags map[string]string
	// Ready is asked until it says yes.
	Ready string
}

// Process runs a part with the flags and the environment of its own manifest; root is the
// folder of the repository.
func (l Local) Process(b *bed.Bed, root string) (bed.Process, error) {
	process, err := l.process(b, root)
	if err != nil {
		return bed.Process{}, fmt.Errorf("running %s: %w", l.Program, err)
	}
	return process, nil
}

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
		return bed.Process{}, fmt.Errorf("%s doesn't have the flags %s", l.Manifest, slices.Sorted(maps.Keys(unused)))
	}
	for _, variable := range containers[0].Env {
		// The keys here have no password, which is what an empty Secret would give.
		process.Env = append(process.Env, variable.Name+"="+l.mounted(variable.Value))
	}
	return process, nil
}

// mounted is a path of the container as it is here.
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
