package ladder

// Resolved is one environment (and target) of a Ladder with everything that its rendering
// needs. Paths are relative to the repository's root.
type Resolved struct {
	Ladder      string
	Environment string
	Target      string
	// Chart is a folder or .tgz in the repository, or oci://…@sha256:….
	Chart string
	// Layers in order; the last wins.
	Layers []Layer
	// Overridable are patterns of the value paths that Override accepts.
	Overridable []string
	// Overrides are values to set after all layers.
	Overrides []Override
	// Pins are the digests to inject last.
	Pins   []Pin
	Stamps Stamps
	// LiteralSecrets is set where values that another tool would have to resolve are
	// rendered as they are written.
	LiteralSecrets bool
	// Preflight is set where a sync first submits all images to admission.
	Preflight bool
}

// TierOrigin is the start of the origin of a tier's layer.
const TierOrigin = "tier "

// Layer is one values file.
type Layer struct {
	// Path in the repository.
	Path string
	// Origin is the list that names it: "layers", "tier lite", "environment dev",
	// "target eu".
	Origin string
}

// Pin is an image whose digest is decided.
type Pin struct {
	Image

	Digest string
	// Source is the pins file's path in the repository, for messages, and Line the
	// digest's line in it; 0 where it isn't a file.
	Source string
	Line   int
}
