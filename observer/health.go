package observer

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

// subject is a digest that a Gate asks to be measured.
type subject struct {
	gate, repository, digest string
}

// health of a subject at an instant.
type health struct {
	// Reason why it isn't healthy; empty where it is.
	Reason  v1alpha1.SoakReason
	Message string
	// Ready pods of all its workloads.
	Ready int32
	// Workloads that run it, sorted.
	Workloads []*workload
	// Nodes of its ready pods.
	Nodes []string
	// Restarts of its containers, by pod.
	Restarts map[types.UID]int32
}

// chart is the digest of the chart that all its workloads are stamped with, empty where
// there is no such one.
func (h *health) chart() string {
	chart := ""
	for i, w := range h.Workloads {
		if i > 0 && w.chartDigest != chart || len(w.chartDigest) > maxChart {
			return ""
		}
		chart = w.chartDigest
	}
	return chart
}

// scene is a namespace at an instant.
type scene struct {
	pods      map[types.UID]*pod
	workloads map[types.UID]*workload
}

// findImage is what a Gate judges under a repository's name.
type findImage func(g *observedGate, repository string) (gate.Image, bool)

// contradicts says whether a node provably runs another image than the digest.
type contradicts func(repository, digest string, runs imageID) bool

// judge is how a scene is judged.
type judge struct {
	gates       []*observedGate
	find        findImage
	contradicts contradicts
}

// assess says how each subject in the scene is. tagged names, by Gate, a workload whose
// image names no digest.
func (j judge) assess(s scene) (subjects map[subject]health, tagged map[string]string) {
	running := map[subject]map[*workload][]string{}
	tagged = map[string]string{}
	for _, w := range s.sorted() {
		for _, c := range w.containers {
			for _, g := range j.gates {
				image, ok := j.find(g, c.image.Repository)
				switch {
				case !ok:
				case c.image.Digest == "":
					tagged[g.name] = fmt.Sprintf("%s names %s by its tag", w, c.image)
				default:
					of := subject{g.name, image.Repository, c.image.Digest}
					if running[of] == nil {
						running[of] = map[*workload][]string{}
					}
					running[of][w] = append(running[of][w], c.name)
				}
			}
		}
	}
	owned := s.owned()
	subjects = map[subject]health{}
	for of, workloads := range running {
		subjects[of] = j.assessOne(of, workloads, owned)
	}
	return subjects, tagged
}

// sorted are the workloads that nothing above is looked at.
func (s scene) sorted() []*workload {
	var top []*workload
	for _, w := range s.workloads {
		if w.top() {
			top = append(top, w)
		}
	}
	slices.SortFunc(top, byIdentity)
	return top
}

func byIdentity(a, b *workload) int {
	return cmp.Or(cmp.Compare(a.identity.Kind, b.identity.Kind), cmp.Compare(a.identity.Name, b.identity.Name), cmp.Compare(a.uid, b.uid))
}

// owned are the pods of each workload: its own, and those of the ReplicaSets that it
// controls.
func (s scene) owned() map[types.UID][]*pod {
	owned := map[types.UID][]*pod{}
	for _, p := range s.pods {
		owner := p.controller
		if w := s.workloads[owner]; w != nil && w.builtIn {
			owner = w.controller
		}
		if owner != "" {
			owned[owner] = append(owned[owner], p)
		}
	}
	for _, pods := range owned {
		slices.SortFunc(pods, func(a, b *pod) int { return cmp.Compare(a.name, b.name) })
	}
	return owned
}

// assessOne is healthy where all its workloads are; else it has the first one's reason.
func (j judge) assessOne(of subject, workloads map[*workload][]string, owned map[types.UID][]*pod) health {
	h := health{Restarts: map[types.UID]int32{}}
	nodes := map[string]bool{}
	for _, w := range slices.SortedFunc(maps.Keys(workloads), byIdentity) {
		names := workloads[w]
		h.Workloads = append(h.Workloads, w)
		var ready []*pod
		for _, p := range owned[w.uid] {
			h.countRestarts(p, of, names)
			if p.ready {
				ready = append(ready, p)
				nodes[p.node] = true
			}
		}
		h.Ready += int32(len(ready)) //nolint:gosec // a namespace has fewer than 2³¹ pods
		if reason, message := j.why(of, w, names, ready); h.Reason == "" {
			h.Reason, h.Message = reason, message
		}
	}
	delete(nodes, "")
	h.Nodes = slices.Sorted(maps.Keys(nodes))
	return h
}

// countRestarts adds those of the containers that run the digest.
func (h *health) countRestarts(p *pod, of subject, names []string) {
	for _, name := range names {
		if c := p.container(name); c != nil && c.image.Digest == of.digest && c.restarts > 0 {
			h.Restarts[p.uid] += c.restarts
		}
	}
}

// why says why a workload isn't healthy: what people can mend first, then what passes.
func (j judge) why(of subject, w *workload, names []string, ready []*pod) (v1alpha1.SoakReason, string) {
	if reason, message := unprobed(w, names, ready); reason != "" {
		return reason, message
	}
	count := int32(len(ready)) //nolint:gosec // a namespace has fewer than 2³¹ pods
	switch {
	case w.desired < 1:
		return v1alpha1.SoakScaledToZero, fmt.Sprintf("%s wants no pods", w)
	case !w.current:
		return v1alpha1.SoakProgressing, fmt.Sprintf("%s: its controller hasn't acted yet on its latest spec", w)
	}
	if reason, message := j.otherThan(of, w, names, ready); reason != "" {
		return reason, message
	}
	if have := min(w.ready, count); have < w.desired {
		return v1alpha1.SoakDegraded, fmt.Sprintf("%s has %d of %d pods ready", w, have, w.desired)
	}
	return "", ""
}

// unprobed finds a container without a readiness probe: its pod is ready by definition.
func unprobed(w *workload, names []string, ready []*pod) (v1alpha1.SoakReason, string) {
	for _, c := range w.containers {
		if slices.Contains(names, c.name) && !c.probed {
			return v1alpha1.SoakNoReadinessProbe, fmt.Sprintf("%s: container %q has no readinessProbe, so that it is ready says nothing", w, c.name)
		}
	}
	for _, p := range ready {
		for _, name := range names {
			if c := p.container(name); c != nil && !c.probed {
				return v1alpha1.SoakNoReadinessProbe, fmt.Sprintf("pod %q of %s: container %q has no readinessProbe, so that it is ready says nothing", p.name, w, name)
			}
		}
	}
	return "", ""
}

// otherThan finds a ready pod that runs something else.
func (j judge) otherThan(of subject, w *workload, names []string, ready []*pod) (v1alpha1.SoakReason, string) {
	for _, p := range ready {
		for _, name := range names {
			c := p.container(name)
			switch {
			case c == nil || c.image.Digest != of.digest:
				return v1alpha1.SoakMixedDigests, fmt.Sprintf("pod %q of %s is ready and runs another digest", p.name, w)
			case j.contradicts(of.repository, of.digest, c.runs):
				return v1alpha1.SoakOtherImage, fmt.Sprintf("pod %q of %s names this digest, and its node runs %s, which is another image", p.name, w, c.runs.digest)
			}
		}
	}
	return "", ""
}
