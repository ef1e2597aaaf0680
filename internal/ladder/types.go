// Package ladder knows the two documents that a team keeps in Git: the Ladder, which
// declares a service's environments in order, and the pins, which say which digests an
// environment runs. It parses them strictly, validates them, and puts an environment's
// layers in order. What is inside a layer it leaves to internal/chart.
package ladder

// NamePattern is what names look like: DNS labels, since they become parts of the names
// of Kubernetes' objects.
const NamePattern = `^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`

// APIVersion and Kind of the document.
const (
	APIVersion = "envladder.dev/v1alpha1"
	Kind       = "Ladder"
	// FileName of the Ladder in the Application's folder.
	FileName = "ladder.yaml"
)

// The tag max bounds a list or a mapping, so that a small hostile file can't make work
// that grows with the square or the cube of its size: 100 items compared in pairs are
// 10,000 comparisons. The bounds are meant to be out of a real ladder's way: a target in
// each region of the largest clouds makes a few dozen, and a list of 100 layers is one
// that nobody can say the outcome of. A group of mayDiffer has a pattern for each value,
// not for each file, so it gets 200. What parameters may override is meant to be little:
// 50. A chart has an image in a place or two: 20.

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
	// Images whose digests the pins decide.
	Images []Image `json:"images,omitempty" max:"100"`
	// Layers of every environment, values files; later ones win.
	Layers []LayerEntry `json:"layers,omitempty" max:"100"`
	// Tiers are the layers of the dependency tiers.
	Tiers *Tiers `json:"tiers,omitempty"`
	// MayDiffer are the value paths that may differ between environments.
	MayDiffer *MayDiffer `json:"mayDiffer,omitempty"`
	// Overrides are patterns of the value paths that parameters of an Application may
	// set, as mayDiffer's. Whoever can write .argocd-source.yaml can write those.
	Overrides []string `json:"overrides,omitempty" max:"50"`
	// Environments in the order of the climb.
	Environments []Environment `json:"environments" max:"100"`
	// Preview is the template of the environments of pull requests.
	Preview *Preview `json:"preview,omitempty"`
	// Stamps: Off leaves the envladder.dev annotations out of what is rendered.
	Stamps Stamps `json:"stamps,omitempty"`
	// UnresolvedSecrets: Literal renders values that SOPS has encrypted, and placeholders
	// of argocd-vault-plugin and vals, as they are written. Deny (the default) makes them
	// an error, since nothing resolves them.
	UnresolvedSecrets UnresolvedSecrets `json:"unresolvedSecrets,omitempty"`
}

// UnresolvedSecrets is what becomes of values that another tool would have to decrypt or
// replace: Deny (the default) or Literal.
type UnresolvedSecrets string

// The values of UnresolvedSecrets.
const (
	UnresolvedSecretsDeny    UnresolvedSecrets = "Deny"
	UnresolvedSecretsLiteral UnresolvedSecrets = "Literal"
)

// Stamps says whether rendered objects are stamped: On (the default) or Off.
type Stamps string

// The values of Stamps.
const (
	StampsOn  Stamps = "On"
	StampsOff Stamps = "Off"
)

// Image is built once; its digest climbs.
type Image struct {
	// Name in the pins: a DNS label.
	Name string `json:"name"`
	// Repository with its registry, without tag or digest: the pins say which digest.
	Repository string `json:"repository"`
	// ValuesPath is the path of the map that gets `repository` and `digest`.
	ValuesPath string `json:"valuesPath,omitempty"`
	// Set is for charts that want the image in another form, or in several places: a
	// template by the dotted path of the value that it gives. The fields are
	// {{.Repository}}, its parts {{.Registry}} and {{.Path}}, {{.Digest}}, and
	// {{.Hex}}, the digest without sha256:.
	Set map[string]string `json:"set,omitempty" max:"20"`
}

// LayerEntry names a values file, or several by a glob. It may be written as its path
// alone.
type LayerEntry struct {
	// Path of the file. *, ? and […] in its last element name all files that match, in
	// the order of their names, but for those that the ladder names itself.
	Path string `json:"path"`
	// Optional: a file that isn't there is left out.
	Optional bool `json:"optional,omitempty"`
}

// Short is the field that an entry may be written as.
func (LayerEntry) Short() string { return "path" }

// Tier names the dependencies that an environment brings along.
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

// MayDiffer groups patterns of value paths by what they are for. `*` stands for one
// element of a path, a last `**` for all below.
type MayDiffer struct {
	// Scale: replicas, autoscaling, resources.
	Scale []string `json:"scale,omitempty" max:"200"`
	// Endpoints: hosts, buckets, issuers.
	Endpoints []string `json:"endpoints,omitempty" max:"200"`
	// Flags of features.
	Flags []string `json:"flags,omitempty" max:"200"`
	// Secrets: where they are kept, never what they are.
	Secrets []string `json:"secrets,omitempty" max:"200"`
	// Rollout: how a change is rolled out.
	Rollout []string `json:"rollout,omitempty" max:"200"`
}

// Promotion says how a candidate enters an environment: Commit or PullRequest.
type Promotion string

// The ways of promotion.
const (
	PromotionCommit      Promotion = "Commit"
	PromotionPullRequest Promotion = "PullRequest"
)

// Data says what data an environment works on: Throwaway, Synthetic or Real.
type Data string

// The kinds of data.
const (
	DataThrowaway Data = "Throwaway"
	DataSynthetic Data = "Synthetic"
	DataReal      Data = "Real"
)

// Preflight reports whether a sync first submits all images to admission: On or Off
// (the default).
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
	// Tier of the dependencies that it brings along; declared in spec.tiers.
	Tier Tier `json:"tier,omitempty"`
	// Layers of this environment alone, after those of all and the tier's.
	Layers []LayerEntry `json:"layers,omitempty" max:"100"`
	// Pins is the file that says which digests it runs; no other place shares it.
	// Without it local runs dev's digests.
	Pins string `json:"pins,omitempty"`
	// Promotion says how a candidate enters: by a commit, or by a pull request.
	Promotion Promotion `json:"promotion,omitempty"`
	// Data says what data it works on.
	Data Data `json:"data,omitempty"`
	// Gate is the platform's document that guards the environment, so that the
	// command line can say beforehand what the cluster will say.
	Gate string `json:"gate,omitempty"`
	// Preflight: On has a sync begin with an inert object that names all images, so that
	// one which the cluster denies changes nothing.
	Preflight Preflight `json:"preflight,omitempty"`
	// Overrides in place of spec.overrides; an empty list allows none.
	Overrides []string `json:"overrides,omitempty" max:"50"`
	// Targets are the places that it runs in; without them it is one place itself.
	Targets []Target `json:"targets,omitempty" max:"100"`
}

// Target is one place that an environment runs in.
type Target struct {
	// Name of the target: a DNS label.
	Name string `json:"name"`
	// Cluster as Argo CD names it.
	Cluster string `json:"cluster,omitempty"`
	// Layers of this target alone, the last of all.
	Layers []LayerEntry `json:"layers,omitempty" max:"100"`
	// Pins is the file that says which digests it runs, in place of the
	// environment's; no other place shares it.
	Pins string `json:"pins,omitempty"`
	// After names the target that is promoted before this one.
	After string `json:"after,omitempty"`
}

// Preview is the template of the environments pr-<n>.
type Preview struct {
	// Tier of the dependencies that a preview brings along; declared in spec.tiers.
	Tier Tier `json:"tier,omitempty"`
	// Layers of every preview, after those of all and the tier's.
	Layers []LayerEntry `json:"layers,omitempty" max:"100"`
	// Overrides in place of spec.overrides; an empty list allows none.
	Overrides []string `json:"overrides,omitempty" max:"50"`
	// Source is where the pull requests are.
	Source *Source `json:"source,omitempty"`
	// Tag is a template of the tag that CI gives the pull request's image.
	Tag string `json:"tag,omitempty"`
	// TTL after which a preview goes away: a duration such as 72h.
	TTL string `json:"ttl,omitempty"`
	// Max previews at a time.
	Max int `json:"max,omitempty"`
	// Forks: Deny or Allow pull requests from forks.
	Forks Forks `json:"forks,omitempty"`
}

// Forks says whether pull requests from forks get a preview.
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

// Pins says which digests an environment or target runs.
type Pins struct {
	// Images is the digest (sha256:…) by the image's name in the Ladder.
	Images map[string]string `json:"images,omitempty" max:"100"`
	// Chart is a packaged chart in place of the Ladder's: a file relative to the Ladder, or
	// oci://host/repository@sha256:….
	Chart string `json:"chart,omitempty"`
}
