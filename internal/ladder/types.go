// Package ladder reads the two documents that a team stores in Git: the Ladder, which
// declares a service's environments in order, and the pins, which list the digests that an
// environment runs. It parses them strictly, validates them, and puts an environment's
// layers in order. It doesn't read the content of layers; package layers does.
package ladder

// NamePattern matches names: DNS labels, since they become parts of the names of
// Kubernetes objects.
const NamePattern = `^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`

// APIVersion and Kind of the document.
const (
	APIVersion = "envladder.dev/v1alpha1"
	Kind       = "Ladder"
	// FileName of the Ladder in the Application's folder.
	FileName = "ladder.yaml"
)

// The tag max bounds a list or a mapping. Without it, a small hostile file could cause work
// that grows with the square or the cube of its size: 100 items compared in pairs are
// 10,000 comparisons. Real ladders stay below the bounds: one target in each region of the
// largest clouds makes a few dozen, and no one can predict the result of 100 layers. A
// group of mayDiffer may have 200 patterns, since it has one for each value, not for each
// file. Parameters should override little, so overrides may have 50. A chart uses an image
// in one or two values, so set may have 20.

// Ladder declares a service's environments in order. Paths are slash-separated and
// relative to the file; `../` is allowed inside the repository.
type Ladder struct {
	// APIVersion is envladder.dev/v1alpha1.
	APIVersion string `json:"apiVersion"`
	// Kind is Ladder.
	Kind string `json:"kind"`
	// Metadata names the ladder.
	Metadata Metadata `json:"metadata"`
	// Spec is the ladder itself.
	Spec Spec `json:"spec"`
}

// Metadata names the ladder.
type Metadata struct {
	// Name of the ladder: a DNS label.
	Name string `json:"name"`
}

// Spec is the ladder itself.
type Spec struct {
	// Chart for every environment: a folder, a packaged chart (.tgz), or
	// oci://host/repository@sha256:….
	Chart string `json:"chart"`
	// Images whose digests the pins set.
	Images []Image `json:"images,omitempty" max:"100"`
	// Layers of every environment, values files; later ones win.
	Layers []LayerEntry `json:"layers,omitempty" max:"100"`
	// Tiers are the layers of the dependency tiers.
	Tiers *Tiers `json:"tiers,omitempty"`
	// MayDiffer are the value paths that may differ between environments.
	MayDiffer *MayDiffer `json:"mayDiffer,omitempty"`
	// Overrides are patterns of the value paths that parameters of an Application may
	// set, in the syntax of mayDiffer. Anyone who can write .argocd-source.yaml can set
	// parameters.
	Overrides []string `json:"overrides,omitempty" max:"50"`
	// Environments in the order of promotion.
	Environments []Environment `json:"environments" max:"100"`
	// Preview is the template of the environments of pull requests.
	Preview *Preview `json:"preview,omitempty"`
	// Stamps: Off leaves the envladder.dev annotations out of the rendered objects.
	Stamps Stamps `json:"stamps,omitempty"`
	// UnresolvedSecrets: Literal renders values that SOPS has encrypted, and placeholders
	// of argocd-vault-plugin and vals, as they are written. Deny (the default) rejects
	// them, since nothing resolves them.
	UnresolvedSecrets UnresolvedSecrets `json:"unresolvedSecrets,omitempty"`
}

// UnresolvedSecrets is the treatment of values that another tool would have to decrypt or
// replace: Deny (the default) or Literal.
type UnresolvedSecrets string

// The values of UnresolvedSecrets.
const (
	UnresolvedSecretsDeny    UnresolvedSecrets = "Deny"
	UnresolvedSecretsLiteral UnresolvedSecrets = "Literal"
)

// Stamps turns the stamps on rendered objects On (the default) or Off.
type Stamps string

// The values of Stamps.
const (
	StampsOn  Stamps = "On"
	StampsOff Stamps = "Off"
)

// Image is an image of the service. It is built once; its digest is promoted.
type Image struct {
	// Name in the pins: a DNS label.
	Name string `json:"name"`
	// Repository with its registry, without tag or digest: the pins set the digest.
	Repository string `json:"repository"`
	// ValuesPath is the path of the map that gets `repository` and `digest`.
	ValuesPath string `json:"valuesPath,omitempty"`
	// Set is for charts that need the image in another form, or in several values. It maps
	// the path of a value to a template. The fields are {{.Repository}}, its parts
	// {{.Registry}} and {{.Path}}, {{.Digest}}, and {{.Hex}}, the digest without sha256:.
	Set map[string]string `json:"set,omitempty" max:"20"`
}

// LayerEntry names a values file, or several by a glob. It may be written as its path
// alone.
type LayerEntry struct {
	// Path of the file. *, ? and […] in its last element select all matching files, sorted
	// by name, except those that the ladder names without a glob.
	Path string `json:"path"`
	// Optional: a missing file is left out.
	Optional bool `json:"optional,omitempty"`
}

// Short returns the field that an entry may be written as.
func (LayerEntry) Short() string { return "path" }

// Tier names the dependencies that are deployed with an environment.
type Tier string

// The tiers.
const (
	TierLite     Tier = "lite"
	TierStandard Tier = "standard"
	TierFull     Tier = "full"
)

// Tiers are the values files of the tiers.
type Tiers struct {
	// Lite is the values file of tier lite.
	Lite string `json:"lite,omitempty"`
	// Standard is the values file of tier standard.
	Standard string `json:"standard,omitempty"`
	// Full is the values file of tier full.
	Full string `json:"full,omitempty"`
}

// MayDiffer groups patterns of value paths by purpose. `*` matches one element of a path,
// a last `**` everything below.
type MayDiffer struct {
	// Scale: replicas, autoscaling, resources.
	Scale []string `json:"scale,omitempty" max:"200"`
	// Endpoints: hosts, buckets, issuers.
	Endpoints []string `json:"endpoints,omitempty" max:"200"`
	// Flags of features.
	Flags []string `json:"flags,omitempty" max:"200"`
	// Secrets: the names of secrets and their stores, never their content.
	Secrets []string `json:"secrets,omitempty" max:"200"`
	// Rollout: how a change is rolled out.
	Rollout []string `json:"rollout,omitempty" max:"200"`
}

// Promotion is how a candidate enters an environment: Commit or PullRequest.
type Promotion string

// The values of Promotion.
const (
	PromotionCommit      Promotion = "Commit"
	PromotionPullRequest Promotion = "PullRequest"
)

// Data is the kind of data that an environment has: Throwaway, Synthetic or Real.
type Data string

// The kinds of data.
const (
	DataThrowaway Data = "Throwaway"
	DataSynthetic Data = "Synthetic"
	DataReal      Data = "Real"
)

// Preflight turns the check of all images at the start of a sync On or Off (the default).
type Preflight string

// The values of Preflight.
const (
	PreflightOn  Preflight = "On"
	PreflightOff Preflight = "Off"
)

// Environment is one step of the ladder.
type Environment struct {
	// Name of the environment: a DNS label; preview and pr-<n> are taken.
	Name string `json:"name"`
	// Tier of the environment's dependencies; declared in spec.tiers.
	Tier Tier `json:"tier,omitempty"`
	// Layers of this environment only, after those of all environments and the tier's.
	Layers []LayerEntry `json:"layers,omitempty" max:"100"`
	// Pins is the file with the digests that the environment runs. No other environment or
	// target may name it. Without it local runs dev's digests.
	Pins string `json:"pins,omitempty"`
	// Promotion is how a candidate enters the environment: by a commit or by a pull
	// request.
	Promotion Promotion `json:"promotion,omitempty"`
	// Data is the kind of data that the environment has.
	Data Data `json:"data,omitempty"`
	// Gate is the file of the platform's Gate for the environment. The command line checks
	// candidates against it before the cluster does.
	Gate string `json:"gate,omitempty"`
	// Preflight: On starts each sync with an inert object that names all images. If the
	// cluster denies an image, the sync then changes nothing.
	Preflight Preflight `json:"preflight,omitempty"`
	// Overrides replaces spec.overrides; an empty list allows none.
	Overrides []string `json:"overrides,omitempty" max:"50"`
	// Targets are the clusters or namespaces that the environment runs in. An environment
	// without targets runs once.
	Targets []Target `json:"targets,omitempty" max:"100"`
}

// Target is one cluster or namespace that an environment runs in.
type Target struct {
	// Name of the target: a DNS label.
	Name string `json:"name"`
	// Cluster as Argo CD names it.
	Cluster string `json:"cluster,omitempty"`
	// Layers of this target only, after all others.
	Layers []LayerEntry `json:"layers,omitempty" max:"100"`
	// Pins is the file with the digests that the target runs. It replaces the
	// environment's. No other environment or target may name it.
	Pins string `json:"pins,omitempty"`
	// After names the target that is promoted before this one.
	After string `json:"after,omitempty"`
}

// Preview is the template of the environments pr-<n>.
type Preview struct {
	// Tier of a preview's dependencies; declared in spec.tiers.
	Tier Tier `json:"tier,omitempty"`
	// Layers of every preview, after those of all environments and the tier's.
	Layers []LayerEntry `json:"layers,omitempty" max:"100"`
	// Overrides replaces spec.overrides; an empty list allows none.
	Overrides []string `json:"overrides,omitempty" max:"50"`
	// Source is where the pull requests are.
	Source *Source `json:"source,omitempty"`
	// Tag is a template of the tag that CI gives the pull request's image.
	Tag string `json:"tag,omitempty"`
	// TTL after which a preview is removed: a duration such as 72h.
	TTL string `json:"ttl,omitempty"`
	// Max is the number of previews at a time.
	Max int `json:"max,omitempty"`
	// Forks: Deny or Allow pull requests from forks.
	Forks Forks `json:"forks,omitempty"`
}

// Forks denies or allows previews for pull requests from forks.
type Forks string

// The values of Forks.
const (
	ForksDeny  Forks = "Deny"
	ForksAllow Forks = "Allow"
)

// Forge is a kind of code host.
type Forge string

// The forges.
const (
	ForgeGitea  Forge = "Gitea"
	ForgeGitHub Forge = "GitHub"
)

// Source is where pull requests are.
type Source struct {
	// Forge is the kind of code host.
	Forge Forge `json:"forge"`
	// Repository as the forge names it: owner/name.
	Repository string `json:"repository"`
}

// Pins lists the digests that an environment or target runs.
type Pins struct {
	// Images maps the image's name in the Ladder to its digest (sha256:…).
	Images map[string]string `json:"images,omitempty" max:"100"`
	// Chart is a packaged chart that replaces the Ladder's: a file relative to the Ladder,
	// or oci://host/repository@sha256:….
	Chart string `json:"chart,omitempty"`
}
