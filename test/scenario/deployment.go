package scenario

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/envladder/envladder/test/bed"
)

// local is how a part's Deployment runs here, where no kubelet is: as a process.
type local struct {
	// manifest is the file below manifests/ with the Deployment, and program what it
	// runs.
	manifest, program string
	// pod are flags that stand for what a pod is given: its account, its namespace.
	pod []string
	// mounts are the files and folders here that stand for paths in the container.
	mounts map[string]string
	// flags get other values than the manifest's, which must have them: addresses, and
	// what the demo has no time for.
	flags map[string]string
	// ready is asked until it says yes.
	ready string
}

// runDeployment runs a part with the flags and the environment of its own manifest.
func (s *Scenario) runDeployment(ctx context.Context, l local) error {
	process, err := s.process(l)
	if err != nil {
		return fmt.Errorf("running %s: %w", l.program, err)
	}
	return s.runOwn(ctx, process)
}

func (s *Scenario) process(l local) (bed.Process, error) {
	deployment, err := readDeployment(filepath.Join(s.options.Root, "manifests", l.manifest))
	if err != nil {
		return bed.Process{}, err
	}
	containers := deployment.Spec.Template.Spec.Containers
	if len(containers) != 1 {
		return bed.Process{}, fmt.Errorf("%s has %d containers, want 1", l.manifest, len(containers))
	}
	process := bed.Process{Name: l.program, Path: filepath.Join(s.bin, l.program), Args: slices.Clone(l.pod), Ready: s.bed.HTTPReady(l.ready)}
	unused := maps.Clone(l.flags)
	for _, arg := range containers[0].Args {
		flag, value, _ := strings.Cut(arg, "=")
		if other, ok := l.flags[flag]; ok {
			value = other
			delete(unused, flag)
		}
		process.Args = append(process.Args, flag+"="+l.mounted(value))
	}
	if len(unused) > 0 {
		return bed.Process{}, fmt.Errorf("%s doesn't have the flags %s", l.manifest, slices.Sorted(maps.Keys(unused)))
	}
	for _, variable := range containers[0].Env {
		// The keys here have no password, which is what an empty Secret would give.
		process.Env = append(process.Env, variable.Name+"="+l.mounted(variable.Value))
	}
	return process, nil
}

// mounted is a path of the container as it is here.
func (l local) mounted(value string) string {
	for mount, path := range l.mounts {
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
