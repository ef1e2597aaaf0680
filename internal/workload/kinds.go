package workload

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Kinds has the kinds that start pods. The zero value has none; NewKinds returns those that
// need no configuration.
type Kinds struct {
	kinds map[schema.GroupVersionKind]kind
}

// kind has the paths of a kind's pod templates, and the controllers that create its pods.
type kind struct {
	// paths of the pod templates. A path without steps is the object itself.
	paths []path
	// reference is a field that names the object whose pod template is used where it has
	// none of its own.
	reference []string
	// controller is the built-in controller's name: that of its ServiceAccount in
	// kube-controller-manager's source (cmd/kube-controller-manager/app), not that of
	// its --controllers flag. Empty where no controller creates pods for it.
	controller string
	// users has the users of configured controllers.
	users []string
	// configured is set for kinds that more paths may be added to.
	configured bool
}

// path is the path of pod templates: keys of mappings, and lists with a template in every
// entry.
type path []step

type step struct {
	key  string
	list bool
}

func (p path) String() string {
	var text strings.Builder
	for i, s := range p {
		if i > 0 {
			text.WriteByte('.')
		}
		text.WriteString(s.key)
		if s.list {
			text.WriteString("[]")
		}
	}
	return text.String()
}

// NewKinds returns the kinds that are known without configuration. The chart's
// envladder.templateChanges lists the same paths, to select what is sent to the webhook.
func NewKinds() *Kinds {
	at := func(controller string, keys ...string) kind {
		p := path{}
		for _, key := range keys {
			p = append(p, step{key: key})
		}
		return kind{paths: []path{p}, controller: controller}
	}
	template := []string{"spec", "template"}
	rollout := at("", template...)
	rollout.reference = []string{"spec", "workloadRef"} // a Deployment's, which is judged as a Deployment
	return &Kinds{map[schema.GroupVersionKind]kind{
		{Version: "v1", Kind: "Pod"}:                                         at(""),
		{Version: "v1", Kind: "PodTemplate"}:                                 at("", "template"),
		{Version: "v1", Kind: "ReplicationController"}:                       at("replication-controller", template...),
		{Group: "apps", Version: "v1", Kind: "DaemonSet"}:                    at("daemon-set-controller", template...),
		{Group: "apps", Version: "v1", Kind: "Deployment"}:                   at("deployment-controller", template...),
		{Group: "apps", Version: "v1", Kind: "ReplicaSet"}:                   at("replicaset-controller", template...),
		{Group: "apps", Version: "v1", Kind: "StatefulSet"}:                  at("statefulset-controller", template...),
		{Group: "batch", Version: "v1", Kind: "CronJob"}:                     at("cronjob-controller", "spec", "jobTemplate", "spec", "template"),
		{Group: "batch", Version: "v1", Kind: "Job"}:                         at("job-controller", template...),
		{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout"}:         rollout,
		{Group: "serving.knative.dev", Version: "v1", Kind: "Service"}:       at("", template...),
		{Group: "serving.knative.dev", Version: "v1", Kind: "Configuration"}: at("", template...),
	}}
}

var (
	kindPattern = regexp.MustCompile(`^([a-z0-9.-]+)/(v[a-z0-9]+)/([A-Z][A-Za-z0-9]*)$`)
	stepPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*(\[\])?$`)
)

// parseKind parses group/version/Kind.
func parseKind(text string) (schema.GroupVersionKind, error) {
	match := kindPattern.FindStringSubmatch(text)
	if match == nil {
		return schema.GroupVersionKind{}, fmt.Errorf("%q isn't a kind: write group/version/Kind (argoproj.io/v1alpha1/Rollout)", text)
	}
	return schema.GroupVersionKind{Group: match[1], Version: match[2], Kind: match[3]}, nil
}

// AddPath adds a pod template of a kind, written group/version/Kind=PATH. PATH has keys
// separated by dots; a list's key is followed by [], and each of the list's entries has a
// template (spec.tasks[].template). A kind may have several paths. Those of kinds that are
// known without configuration can't be changed.
func (k *Kinds) AddPath(text string) error {
	name, steps, ok := strings.Cut(text, "=")
	if !ok {
		return fmt.Errorf("%q has no path: write group/version/Kind=spec.template", text)
	}
	gvk, err := parseKind(name)
	if err != nil {
		return err
	}
	var p path
	for key := range strings.SplitSeq(steps, ".") {
		if !stepPattern.MatchString(key) {
			return fmt.Errorf("%q in %q isn't a key: write keys separated by dots, and [] after the key of a list (spec.tasks[].template)", key, text)
		}
		bare, list := strings.CutSuffix(key, "[]")
		p = append(p, step{bare, list})
	}
	known, ok := k.kinds[gvk]
	if ok && !known.configured {
		return fmt.Errorf("%s is already known, with its pod template at %s", name, known.paths[0])
	}
	known.configured = true
	known.paths = append(known.paths, p)
	k.kinds[gvk] = known
	return nil
}

// AddController adds the user that creates pods, or the objects that create them, for objects
// of a kind, written group/version/Kind=USER. An object that a controller creates for a live
// owner isn't a new deployment.
func (k *Kinds) AddController(text string) error {
	name, user, ok := strings.Cut(text, "=")
	if !ok || user == "" {
		return fmt.Errorf("%q has no user: write group/version/Kind=system:serviceaccount:NAMESPACE:NAME", text)
	}
	gvk, err := parseKind(name)
	if err != nil {
		return err
	}
	known, ok := k.kinds[gvk]
	if !ok || known.controller != "" {
		return fmt.Errorf("%s can't have a controller: the path of its pod template isn't known, or its controller is part of Kubernetes", name)
	}
	known.users = append(slices.Clone(known.users), user)
	k.kinds[gvk] = known
	return nil
}

const (
	// allControllers is the user of all controllers of kube-controller-manager, unless it
	// runs with --use-service-account-credentials.
	allControllers = "system:kube-controller-manager"
	// oneController is the start of each controller's user otherwise; its name follows.
	oneController = "system:serviceaccount:kube-system:"
)

// Owns reports whether objects of this kind have a controller that creates others for them.
func (k *Kinds) Owns(owner schema.GroupVersionKind) bool {
	known := k.kinds[owner]
	return known.controller != "" || len(known.users) > 0
}

// MakesFor reports whether this user is the controller that creates objects for owners of
// this kind.
func (k *Kinds) MakesFor(user string, owner schema.GroupVersionKind) bool {
	known := k.kinds[owner]
	if known.controller != "" {
		return user == allControllers || user == oneController+known.controller
	}
	return slices.Contains(known.users, user)
}

// All returns the kinds, sorted.
func (k *Kinds) All() []schema.GroupVersionKind {
	return slices.SortedFunc(maps.Keys(k.kinds), func(a, b schema.GroupVersionKind) int {
		return strings.Compare(a.String(), b.String())
	})
}
