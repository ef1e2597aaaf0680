package webhook

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
)

// Bounds on what a Gate's status lists; the API has the same ones.
const (
	maxRunning = 50
	maxRunners = 5
	maxCodes   = 64
	// maxSentences is how many images the condition's message names.
	maxSentences = 5
)

// summarize is what runs in a Gate's namespaces, as far as it is the Gate's to refuse;
// nil where that isn't known. Reasons are given by their codes alone: figures change by
// the minute, and a status shouldn't.
func summarize(g guard, found map[string]audited) (*v1alpha1.RunningStatus, metav1.Condition) {
	condition := metav1.Condition{Type: v1alpha1.ConditionRunningAllowed, ObservedGeneration: g.Generation}
	unknown := func(why string) (*v1alpha1.RunningStatus, metav1.Condition) {
		condition.Status, condition.Reason = metav1.ConditionUnknown, "AuditFailed"
		condition.Message = printable.Cut("what runs couldn't be audited: "+line(why), maxCondition)
		return nil, condition
	}
	if g.unreadable != nil {
		return unknown(g.unreadable.Error())
	}
	var running v1alpha1.RunningStatus
	var recalled, refused []v1alpha1.RunningImage
	for _, namespace := range slices.Sorted(slices.Values(g.Spec.Namespaces)) {
		one := found[namespace]
		if one.err != nil {
			return unknown(fmt.Sprintf("namespace %s: %v", namespace, one.err))
		}
		running.Images += count(one.images)
		running.Unread += count(one.unread)
		for _, image := range one.images {
			codes := codesBy(g.Name, image)
			switch {
			case len(codes) == 0:
			case slices.Contains(codes, string(gate.Recalled)):
				recalled = append(recalled, listed(image, codes))
			default:
				refused = append(refused, listed(image, codes))
			}
		}
	}
	running.Recalled, running.Refused = count(recalled), count(recalled)+count(refused)
	running.List = slices.Concat(recalled, refused)
	running.List = running.List[:min(len(running.List), maxRunning)]
	condition.Status, condition.Reason, condition.Message = verdictOn(running)
	return &running, condition
}

// codesBy are the codes that a Gate refuses an image with. Whatever no Gate is named for
// counts for all of them.
func codesBy(name string, image audit.Image) []string {
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

func listed(image audit.Image, codes []string) v1alpha1.RunningImage {
	return v1alpha1.RunningImage{
		Namespace: image.Namespace, Image: image.Image,
		Objects: image.Objects[:min(len(image.Objects), maxRunners)], Codes: codes[:min(len(codes), maxCodes)],
	}
}

// verdictOn is the condition's status, reason and message.
func verdictOn(running v1alpha1.RunningStatus) (metav1.ConditionStatus, string, string) {
	if running.Refused == 0 && running.Unread == 0 {
		return metav1.ConditionTrue, "Allowed", fmt.Sprintf("images that run: %d; all would be let in again", running.Images)
	}
	reason := "Refused"
	if running.Recalled > 0 {
		reason = "Recalled"
	}
	texts := []string{fmt.Sprintf("images that run: %d, that would be refused: %d, of these recalled: %d; objects that can't be read: %d",
		running.Images, running.Refused, running.Recalled, running.Unread)}
	for _, image := range running.List[:min(len(running.List), maxSentences)] {
		texts = append(texts, fmt.Sprintf("%s: %s: %s", image.Namespace, line(image.Image), strings.Join(image.Codes, ", ")))
	}
	return metav1.ConditionFalse, reason, printable.Cut(strings.Join(texts, "; "), maxCondition)
}

func count[T any](list []T) int32 {
	return int32(len(list)) //nolint:gosec // an audit is bounded far below
}
