package chart

import (
	"slices"
	"strings"
)

// The annotations that make an object a hook, and their values with which Argo CD applies
// it in a sync (gitops-engine's pkg/sync/hook). Objects with others only, such as the
// tests of `helm test`, it never applies in one.
const (
	argoHook = "argocd.argoproj.io/hook"
	helmHook = "helm.sh/hook"
)

var (
	argoHooks  = []string{"PreSync", "Sync", "PostSync", "SyncFail"}
	otherHooks = []string{"Skip", "PreDelete", "PostDelete"}
	helmHooks  = []string{"pre-install", "pre-upgrade", "post-install", "post-upgrade"}
)

// isHook says whether an object is a hook, of Helm's or of Argo CD's.
func isHook(metadata map[string]any) bool {
	annotations, _ := metadata["annotations"].(map[string]any)
	return annotations[argoHook] != nil || annotations[helmHook] != nil
}

// applied says whether a sync of Argo CD applies an object: all but hooks of kinds that
// aren't of a sync.
func applied(metadata map[string]any) bool {
	annotations, _ := metadata["annotations"].(map[string]any)
	argo, isArgo := annotations[argoHook].(string)
	helm, isHelm := annotations[helmHook].(string)
	if !isArgo && (!isHelm || helm == "crd-install") {
		return true
	}
	// Argo CD's own annotation counts, unless it says nothing that Argo CD knows.
	if names(argo, argoHooks) || names(argo, otherHooks) {
		return names(argo, argoHooks)
	}
	return names(helm, helmHooks)
}

// names says whether one of the values, separated by commas, is among the wanted.
func names(values string, wanted []string) bool {
	return slices.ContainsFunc(strings.Split(values, ","), func(value string) bool {
		return slices.Contains(wanted, strings.TrimSpace(value))
	})
}
