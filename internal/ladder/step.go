package ladder

// Step is one environment (and target) of a Ladder with everything resolved that its
// rendering needs. Paths are relative to the repository's root.
type Step struct {
	Ladder      string
	Environment string
	Target      string
	// Chart is a folder or .tgz in the repository, or oci://…@sha256:….
	Chart string
	// Layers in order; the last wins.
	Layers []Layer
	// Overridable are patterns of the value paths that Override takes.
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

// TierOrigin begins the origin of a tier's layer.
const TierOrigin = "tier "

// Layer is one values file.
type Layer struct {
	// Path in the repository.
	Path string
	// Origin says why it is in the list: "layers", "tier lite", "environment dev",
	// "target eu".
	Origin string
}

// Pin is an image whose digest is decided.
type Pin struct {
	Image

	Digest string
	// Source is the pins file (path in the repository), for messages, and Line the
	// digest's place in it; 0 where it is no file.
	Source string
	Line   int
}
