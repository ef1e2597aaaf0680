package manifest

import (
	"slices"
	"strings"
)

// The annotations that make an object a hook, and the values with which Argo CD applies it
// in a sync (gitops-engine's pkg/sync/hook). It never applies objects in a sync that have
// other values only, such as the tests of `helm test`.
const (
	argoHook = "argocd.argoproj.io/hook"
	helmHook = "helm.sh/hook"
)

var (
	argoHooks  = []string{"PreSync", "Sync", "PostSync", "SyncFail"}
	otherHooks = []string{"Skip", "PreDelete", "PostDelete"}
	helmHooks  = []string{"pre-install", "pre-upgrade", "post-install", "post-upgrade"}
)

// IsHook reports whether an object is a hook of Helm or of Argo CD.
func IsHook(metadata map[string]any) bool {
	annotations, _ := metadata["annotations"].(map[string]any)
	return annotations[argoHook] != nil || annotations[helmHook] != nil
}

// IsApplied reports whether Argo CD applies an object in a sync: it skips hooks of other
// phases.
func IsApplied(metadata map[string]any) bool {
	annotations, _ := metadata["annotations"].(map[string]any)
	argo, isArgo := annotations[argoHook].(string)
	helm, isHelm := annotations[helmHook].(string)
	if !isArgo && (!isHelm || helm == "crd-install") {
		return true
	}
	// Argo CD's own annotation counts, unless Argo CD knows none of its values.
	if hasAny(argo, argoHooks) || hasAny(argo, otherHooks) {
		return hasAny(argo, argoHooks)
	}
	return hasAny(helm, helmHooks)
}

// hasAny reports whether one of the values, separated by commas, is wanted.
func hasAny(values string, wanted []string) bool {
	return slices.ContainsFunc(strings.Split(values, ","), func(value string) bool {
		return slices.Contains(wanted, strings.TrimSpace(value))
	})
}
