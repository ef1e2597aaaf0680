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
	// Pins are the digests to inject last.
	Pins   []Pin
	Stamps Stamps
	// Guard is set where a sync begins by asking the cluster about all images.
	Guard bool
}

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
	// Source is the pins file (path in the repository), for messages.
	Source string
}
