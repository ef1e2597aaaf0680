package watch

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/envladder/envladder/api/v1alpha1"
)

// topLevelWorkloads returns the workloads that no watched workload controls, sorted. The
// ReplicaSets of another controller are one workload together: they are the revisions of one
// Argo Rollout, for example, which may run side by side.
func (s Snapshot) topLevelWorkloads() []*Workload {
	var top []*Workload
	revisions := map[types.UID][]*Workload{}
	for _, w := range s.Workloads {
		switch {
		case w.controller.watched:
		case w.isRevision():
			revisions[w.controller.uid] = append(revisions[w.controller.uid], w)
		default:
			top = append(top, w)
		}
	}
	for _, members := range revisions {
		slices.SortFunc(members, compareIdentity)
		if w := s.group(members); len(w.containers) > 0 {
			top = append(top, w)
		}
	}
	slices.SortFunc(top, compareIdentity)
	return top
}

// isRevision reports whether a workload is one of those that a controller of another kind
// creates for each of its pod templates.
func (w *Workload) isRevision() bool {
	return w.controller.uid != "" && (w.Identity.Kind == "ReplicaSet" || w.Identity.Kind == "ReplicationController")
}

// group returns the workload of a controller's revisions. Revisions at zero are old, or
// haven't begun. Pods of different digests are found as they are in one Deployment.
func (s Snapshot) group(revisions []*Workload) *Workload {
	c := revisions[0].controller
	g := &Workload{
		Identity: v1alpha1.SoakWorkload{APIVersion: c.apiVersion, Kind: c.kind, Name: c.name, UID: string(c.uid)},
		uid:      c.uid, current: true,
	}
	first := true
	for _, w := range revisions {
		if w.desired < 1 && w.ready < 1 {
			continue
		}
		g.current = g.current && w.current
		g.desired += w.desired
		g.ready += w.ready
		g.containers = append(g.containers, w.containers...)
		if first {
			g.Stamps, g.Identity.TemplateDigest = w.Stamps, w.Identity.TemplateDigest
		} else {
			g.Stamps, g.Identity.TemplateDigest = g.common(w.Stamps), ""
		}
		first = false
	}
	if c.apiVersion != rolloutKind.GroupVersion().String() || c.kind != rolloutKind.Kind {
		return g
	}
	r := s.rollouts[c.uid]
	if r == nil {
		g.reason, g.message = v1alpha1.SoakProgressing, fmt.Sprintf("Rollout %q isn't known: may the observer watch Rollouts?", c.name)
		return g
	}
	g.reason, g.message = r.reason, r.message
	g.containers = append(g.containers, r.containers...)
	if r.stamps != (Stamps{}) {
		g.Stamps = r.stamps
	}
	return g
}
