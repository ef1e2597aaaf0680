package gatestatus

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/audit"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/webhook/policycache"
)

// Bounds on what a Gate's status lists; the API has the same ones.
const (
	maxRunning = 50
	maxRunners = 5
	maxCodes   = 64
	// maxNamedImages is how many images the condition's message names.
	maxNamedImages = 5
)

// summarize returns what runs in a Gate's namespaces and which of it the Gate would deny,
// nil if that isn't known, and the condition for it. Reasons are given by their codes
// alone: figures change by the minute, and a status shouldn't.
func summarize(g policycache.CachedGate, found map[string]audited) (*v1alpha1.RunningStatus, metav1.Condition) {
	condition := metav1.Condition{Type: v1alpha1.ConditionRunningAllowed, ObservedGeneration: g.Generation}
	unknown := func(cause string) (*v1alpha1.RunningStatus, metav1.Condition) {
		condition.Status, condition.Reason = metav1.ConditionUnknown, "AuditFailed"
		condition.Message = printable.Cut("cannot audit what runs: "+line(cause), maxCondition)
		return nil, condition
	}
	if g.DecodeError != nil {
		return unknown(g.DecodeError.Error())
	}
	var running v1alpha1.RunningStatus
	var recalled, denied []v1alpha1.RunningImage
	for _, namespace := range slices.Sorted(slices.Values(g.Spec.Namespaces)) {
		a := found[namespace]
		if a.err != nil {
			return unknown(fmt.Sprintf("namespace %q: %v", namespace, a.err))
		}
		running.Images += count(a.images)
		running.Unread += count(a.unreadable)
		for _, image := range a.images {
			codes := codesOfGate(g.Name, image)
			switch {
			case len(codes) == 0:
			case slices.Contains(codes, string(gate.Recalled)):
				recalled = append(recalled, runningImage(image, codes))
			default:
				denied = append(denied, runningImage(image, codes))
			}
		}
	}
	running.Recalled, running.Denied = count(recalled), count(recalled)+count(denied)
	running.List = slices.Concat(recalled, denied)
	running.List = running.List[:min(len(running.List), maxRunning)]
	condition.Status, condition.Reason, condition.Message = describe(running)
	return &running, condition
}

// codesOfGate returns the codes that a Gate denies an image with. A verdict that names no
// Gate counts for each of them.
func codesOfGate(name string, image audit.Image) []string {
	var codes []string
	for _, v := range image.Verdicts {
		if v.Allowed || cmp.Or(v.Gate.Name, name) != name {
			continue
		}
		for _, reason := range v.Reasons {
			codes = append(codes, string(reason.Code))
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

func runningImage(image audit.Image, codes []string) v1alpha1.RunningImage {
	return v1alpha1.RunningImage{
		Namespace: image.Namespace, Image: image.Image,
		Objects: image.Objects[:min(len(image.Objects), maxRunners)], Codes: codes[:min(len(codes), maxCodes)],
	}
}

// describe returns the condition's status, reason and message.
func describe(running v1alpha1.RunningStatus) (metav1.ConditionStatus, string, string) {
	if running.Denied == 0 && running.Unread == 0 {
		return metav1.ConditionTrue, "Allowed", fmt.Sprintf("images that run: %d; all would be admitted again", running.Images)
	}
	reason := "Denied"
	if running.Recalled > 0 {
		reason = "Recalled"
	}
	texts := []string{fmt.Sprintf("images that run: %d, would be denied: %d, recalled among these: %d; objects that can't be read: %d",
		running.Images, running.Denied, running.Recalled, running.Unread)}
	for _, image := range running.List[:min(len(running.List), maxNamedImages)] {
		texts = append(texts, fmt.Sprintf("%s: %s: %s", image.Namespace, line(image.Image), strings.Join(image.Codes, ", ")))
	}
	return metav1.ConditionFalse, reason, printable.Cut(strings.Join(texts, "; "), maxCondition)
}

func count[T any](list []T) int32 {
	return int32(len(list)) //nolint:gosec // an audit is bounded far below
}
