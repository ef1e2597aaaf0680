// Package audit reports the running images of a cluster that its Gates would deny: before
// the Gates are enforced, and after a digest was recalled.
//
// internal/workload reads the images of an object, and internal/verdict judges them.
package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/verdict"
)

// Judge returns the verdicts of Gates on an image. internal/verdict implements it.
type Judge interface {
	Judge(ctx context.Context, query verdict.Query) []verdict.GateVerdict
}

// Options of an audit.
type Options struct {
	// Gates to judge by; the images that run in their namespaces are judged.
	Gates []verdict.Gate
	// Recalls that count.
	Recalls []v1alpha1.Recall
	// Exceptions of the cluster, all of them.
	Exceptions []v1alpha1.Exception
	// Policies are ClusterImagePolicies, by their names: those that the Gates name.
	Policies map[string][]byte
	// Cluster that the images run in, as in gate.Request.
	Cluster string
	// Deploy judges every image as newly deployed: the age of evidence counts. Without it,
	// images are judged as rescheduled where they run.
	Deploy bool
	Judge  Judge
	Now    time.Time
}

// Report lists the running images, and those that would be denied.
type Report struct {
	// Gates of the audit.
	Gates []gate.Ref `json:"gates"`
	// Images that run in their namespaces, the denied ones first.
	Images []Image `json:"images"`
	// Unread are objects whose images can't be read; each would be denied.
	Unread []Unread `json:"unread,omitempty"`
}

// Image is an image in a namespace.
type Image struct {
	Namespace string `json:"namespace"`
	Image     string `json:"image"`
	// Allowed reports whether it would be admitted again, taking the actions Warn and Audit
	// for Deny.
	Allowed bool `json:"allowed"`
	// Recalled reports whether a Recall names its digest.
	Recalled bool `json:"recalled"`
	// Objects that run it: KIND/NAME.
	Objects []string `json:"objects"`
	// Verdicts of the Gates that deny it; of all that judge it if none does.
	Verdicts []gate.Verdict `json:"verdicts"`
}

// Exempted returns the Exception that would admit it, or nil.
func (i *Image) Exempted() *gate.Exempted {
	for _, v := range i.Verdicts {
		if v.Allowed && v.Exception != nil {
			return v.Exception
		}
	}
	return nil
}

// Unread is an object whose images can't be read.
type Unread struct {
	Namespace string `json:"namespace"`
	Object    string `json:"object"`
	Why       string `json:"why"`
}

// Denied reports whether anything in the report would be denied.
func (r Report) Denied() bool {
	return len(r.Unread) > 0 || slices.ContainsFunc(r.Images, func(i Image) bool { return !i.Allowed })
}

// parallel bounds how many images are judged concurrently, to limit the load.
const parallel = 8

// Run judges all images that run in the Gates' namespaces. It returns an error if the cluster
// couldn't be read, since the report would be incomplete.
func Run(ctx context.Context, cluster *Cluster, options Options) (Report, error) {
	report := Report{Gates: []gate.Ref{}, Images: []Image{}}
	var namespaces []string
	for _, g := range options.Gates {
		report.Gates = append(report.Gates, gate.RefTo(g.Gate))
		namespaces = append(namespaces, g.Spec.Namespaces...)
	}
	slices.Sort(namespaces)
	for _, namespace := range slices.Compact(namespaces) {
		images, unread, err := Namespace(ctx, cluster, options, namespace)
		if err != nil {
			return Report{}, err
		}
		report.Images = append(report.Images, images...)
		report.Unread = append(report.Unread, unread...)
	}
	slices.SortStableFunc(report.Images, func(a, b Image) int { return boolsFirst(!a.Allowed, !b.Allowed) })
	return report, nil
}

// Namespace judges all images that run in one namespace, by the Gates that name it. The denied
// images come first.
func Namespace(ctx context.Context, cluster *Cluster, options Options, namespace string) ([]Image, []Unread, error) {
	options.Gates = slices.DeleteFunc(slices.Clone(options.Gates), func(g verdict.Gate) bool { return !slices.Contains(g.Spec.Namespaces, namespace) })
	reviews, unread, err := cluster.running(ctx, namespace)
	if err != nil {
		return nil, nil, err
	}
	images := judge(ctx, options, reviews)
	if err := ctx.Err(); err != nil {
		return nil, nil, errors.Join(errors.New("timed out before all images were judged"), context.Cause(ctx))
	}
	slices.SortFunc(unread, func(a, b Unread) int { return strings.Compare(a.Object, b.Object) })
	return images, unread, nil
}

// imageReview is an image to be judged, with the stamps of the objects that run it.
type imageReview struct {
	namespace, image string
	stamps           gate.Stamps
	objects          []string
	// ran are digests that pods ran for it, if it is referenced by tag.
	ran []string
}

func judge(ctx context.Context, options Options, reviews []imageReview) []Image {
	var mu sync.Mutex
	images := map[string]*Image{}
	var group errgroup.Group
	group.SetLimit(parallel)
	for _, q := range reviews {
		group.Go(func() error {
			outcomes := options.Judge.Judge(ctx, verdict.Query{
				Gates: options.Gates, Recalls: options.Recalls, Exceptions: options.Exceptions, Policies: options.Policies,
				Namespace: q.namespace, Cluster: options.Cluster, Reference: q.image, Stamps: q.stamps, Rescheduled: !options.Deploy, Now: options.Now,
			})
			mu.Lock()
			defer mu.Unlock()
			if images[q.image] == nil {
				images[q.image] = &Image{Namespace: q.namespace, Image: printable.Line(q.image, maxName), Allowed: true}
			}
			images[q.image].add(q, outcomes, options.Recalls)
			return nil
		})
	}
	_ = group.Wait() // there are no errors
	all := []Image{}
	for _, image := range images {
		image.compact()
		all = append(all, *image)
	}
	slices.SortFunc(all, func(a, b Image) int {
		return cmp.Or(boolsFirst(!a.Allowed, !b.Allowed), strings.Compare(a.Image, b.Image))
	})
	return all
}

func boolsFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}

// maxName bounds a reference in the report.
const maxName = 512

func (i *Image) add(q imageReview, outcomes []verdict.GateVerdict, recalls []v1alpha1.Recall) {
	i.Objects = append(i.Objects, q.objects...)
	for _, outcome := range outcomes {
		i.Allowed = i.Allowed && outcome.Allowed
		i.Recalled = i.Recalled || slices.ContainsFunc(outcome.Reasons, func(r gate.Reason) bool { return r.Code == gate.Recalled })
		i.Verdicts = append(i.Verdicts, outcome.Verdict)
	}
	for _, recall := range recalls {
		for _, digest := range q.ran {
			if slices.Contains(recall.Spec.Digests, digest) && !i.Recalled {
				v := gate.Deny(gate.Image{}, gate.Ref{}, gate.NewReason(gate.Recalled, "Recall %q names %s, which a pod runs for this tag: %s", recall.Name, digest, printable.Line(recall.Spec.Reason, maxName)))
				v.Image = i.Image
				i.Allowed, i.Recalled, i.Verdicts = false, true, append(i.Verdicts, v)
			}
		}
	}
}

// compact removes repeated objects and verdicts, and the allowing verdicts of a denied image.
func (i *Image) compact() {
	slices.Sort(i.Objects)
	i.Objects = slices.Compact(i.Objects)
	if !i.Allowed {
		i.Verdicts = slices.DeleteFunc(i.Verdicts, func(v gate.Verdict) bool { return v.Allowed })
	}
	seen := map[string]bool{}
	i.Verdicts = slices.DeleteFunc(i.Verdicts, func(v gate.Verdict) bool {
		key := fmt.Sprint(v.Gate.Name, v.Reasons, v.Exception != nil)
		defer func() { seen[key] = true }()
		return seen[key]
	})
	slices.SortFunc(i.Verdicts, func(a, b gate.Verdict) int {
		return cmp.Or(strings.Compare(a.Gate.Name, b.Gate.Name), strings.Compare(fmt.Sprint(a.Reasons), fmt.Sprint(b.Reasons)))
	})
}
