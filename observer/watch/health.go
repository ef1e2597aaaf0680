package watch

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
)

// Subject is a digest that is measured for a Gate.
type Subject struct {
	Gate, Repository, Digest string
}

// Health of a subject at an instant.
type Health struct {
	// Reason why it isn't healthy; empty where it is.
	Reason  v1alpha1.SoakReason
	Message string
	// Ready pods of all its workloads.
	Ready int32
	// Workloads that run it, sorted.
	Workloads []*Workload
	// Nodes of its ready pods.
	Nodes []string
	// Restarts of its containers, by pod.
	Restarts map[types.UID]int32
}

// MaxChartDigest is the API's bound on a chart's digest, in bytes.
const MaxChartDigest = 128

// ChartDigest returns the digest of the chart that all its workloads are stamped with, or
// "" where they differ or have none.
func (h *Health) ChartDigest() string {
	digest := ""
	for i, w := range h.Workloads {
		if (i > 0 && w.ChartDigest != digest) || len(w.ChartDigest) > MaxChartDigest {
			return ""
		}
		digest = w.ChartDigest
	}
	return digest
}

// findImageFunc returns the image that a Gate lists under a repository's name.
type findImageFunc func(g *Gate, repository string) (gate.Image, bool)

// ContradictsFunc reports whether a node provably runs another image than the digest.
type ContradictsFunc func(repository, digest string, running ImageID) bool

// assessor assesses the health of digests in a snapshot.
type assessor struct {
	gates       []*Gate
	findImage   findImageFunc
	contradicts ContradictsFunc
}

// assess returns the health of each subject in a snapshot. tagged names, by Gate, a
// workload whose image has no digest.
func (a assessor) assess(s Snapshot) (subjects map[Subject]Health, tagged map[string]string) {
	running := map[Subject]map[*Workload][]string{} // names of containers
	tagged = map[string]string{}
	for _, w := range s.topLevelWorkloads() {
		for _, c := range w.containers {
			for _, g := range a.gates {
				image, ok := a.findImage(g, c.Image.Repository)
				switch {
				case !ok:
				case c.Image.Digest == "":
					tagged[g.Name] = fmt.Sprintf("%s references %s by tag", w, c.Image)
				default:
					subject := Subject{g.Name, image.Repository, c.Image.Digest}
					if running[subject] == nil {
						running[subject] = map[*Workload][]string{}
					}
					if !slices.Contains(running[subject][w], c.Name) { // revisions have the same names
						running[subject][w] = append(running[subject][w], c.Name)
					}
				}
			}
		}
	}
	pods := s.podsByWorkload()
	subjects = map[Subject]Health{}
	for subject, workloads := range running {
		subjects[subject] = a.assessSubject(subject, workloads, pods)
	}
	return subjects, tagged
}

// assessSubject returns healthy where all workloads are, and the first one's reason
// otherwise.
func (a assessor) assessSubject(subject Subject, workloads map[*Workload][]string, pods map[types.UID][]*Pod) Health {
	h := Health{Restarts: map[types.UID]int32{}}
	nodes := map[string]bool{}
	for _, w := range slices.SortedFunc(maps.Keys(workloads), compareIdentity) {
		names := workloads[w]
		h.Workloads = append(h.Workloads, w)
		var ready []*Pod
		for _, p := range pods[w.uid] {
			h.addRestarts(p, subject, names)
			if p.Ready {
				ready = append(ready, p)
				nodes[p.node] = true
			}
		}
		h.Ready += int32(len(ready)) //nolint:gosec // a namespace has fewer than 2³¹ pods
		if reason, message := a.unhealthyReason(subject, w, names, ready); h.Reason == "" {
			h.Reason, h.Message = reason, message
		}
	}
	delete(nodes, "")
	h.Nodes = slices.Sorted(maps.Keys(nodes))
	return h
}

// addRestarts adds the restarts of the containers that run the digest.
func (h *Health) addRestarts(p *Pod, subject Subject, names []string) {
	for _, name := range names {
		if c := p.Container(name); c != nil && c.Image.Digest == subject.Digest && c.Restarts > 0 {
			h.Restarts[p.uid] += c.Restarts
		}
	}
}

// unhealthyReason returns why a workload isn't healthy: first what people have to fix,
// then what passes.
func (a assessor) unhealthyReason(subject Subject, w *Workload, names []string, ready []*Pod) (v1alpha1.SoakReason, string) {
	if reason, message := findUnprobed(w, names, ready); reason != "" {
		return reason, message
	}
	count := int32(len(ready)) //nolint:gosec // a namespace has fewer than 2³¹ pods
	switch {
	case w.desired < 1:
		return v1alpha1.SoakScaledToZero, fmt.Sprintf("%s is scaled to zero", w)
	case !w.current:
		return v1alpha1.SoakProgressing, fmt.Sprintf("%s: its controller hasn't observed the latest spec yet", w)
	}
	if reason, message := a.findOtherImage(subject, w, names, ready); reason != "" {
		return reason, message
	}
	if w.reason != "" {
		return w.reason, w.message
	}
	if have := min(w.ready, count); have < w.desired {
		return v1alpha1.SoakDegraded, fmt.Sprintf("%s has %d of %d pods ready", w, have, w.desired)
	}
	return "", ""
}

// findUnprobed finds a container without a readiness probe: its pod is always ready.
func findUnprobed(w *Workload, names []string, ready []*Pod) (v1alpha1.SoakReason, string) {
	for _, c := range w.containers {
		if slices.Contains(names, c.Name) && !c.Probed {
			return v1alpha1.SoakNoReadinessProbe, fmt.Sprintf("%s: container %q has no readinessProbe: add one, its readiness proves nothing", w, c.Name)
		}
	}
	for _, p := range ready {
		for _, name := range names {
			if c := p.Container(name); c != nil && !c.Probed {
				return v1alpha1.SoakNoReadinessProbe, fmt.Sprintf("pod %q of %s: container %q has no readinessProbe: add one, its readiness proves nothing", p.Name, w, name)
			}
		}
	}
	return "", ""
}

// findOtherImage finds a ready pod that runs something else.
func (a assessor) findOtherImage(subject Subject, w *Workload, names []string, ready []*Pod) (v1alpha1.SoakReason, string) {
	for _, p := range ready {
		for _, name := range names {
			c := p.Container(name)
			switch {
			case c == nil || c.Image.Digest != subject.Digest:
				return v1alpha1.SoakMixedDigests, fmt.Sprintf("pod %q of %s is ready and runs another digest", p.Name, w)
			case a.contradicts(subject.Repository, subject.Digest, c.ImageID):
				return v1alpha1.SoakOtherImage, fmt.Sprintf("pod %q of %s has this digest in its spec, but its node runs %s, which is another image", p.Name, w, c.ImageID.Digest)
			}
		}
	}
	return "", ""
}
