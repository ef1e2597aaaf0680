package chart

import (
	"bytes"
	"encoding/json"

	"github.com/envladder/envladder/internal/chart/postrender"
	"github.com/envladder/envladder/internal/ladder"
)

// RenderOptions is everything that a rendering depends on except the chart.
type RenderOptions struct {
	// Values are the merged layers.
	Values map[string]any
	// RejectTypeConflicts rejects values of another type than the chart's own, which Helm
	// only warns about, except those at and below the paths of Nulls.
	RejectTypeConflicts bool
	Nulls               [][]string
	Release             Release
	// SkipCRDs leaves out the files of the chart's folders crds/, SkipTests the hooks
	// that `helm test` runs.
	SkipCRDs  bool
	SkipTests bool
	// AllowEmpty accepts a rendering without objects. To Argo CD that means to delete
	// everything.
	AllowEmpty bool
	// LiteralSecrets admits Secrets with values that another tool would have to resolve.
	LiteralSecrets bool
	// Pins are the digests that no object may deviate from.
	Pins []ladder.Pin
	// Preflight puts an inert object with all images in front; see package postrender.
	Preflight bool
	// Stamps, nil for none.
	Stamps *postrender.Stamps
}

// postRender returns the options that are for package postrender.
func (o RenderOptions) postRender() postrender.Options {
	return postrender.Options{
		ReleaseName: o.Release.Name,
		Namespace:   o.Release.Namespace,
		Pins:        o.Pins,
		Preflight:   o.Preflight,
		Stamps:      o.Stamps,
	}
}

// Encode writes the options for DecodeRenderOptions of the same program. Equal options have
// equal encodings. Numbers keep their types.
func (o RenderOptions) Encode() ([]byte, error) {
	o.Values = mapValues(o.Values, encodeNumbers)
	return json.Marshal(o) //nolint:musttag // read by this program alone, so the names are Go's
}

// DecodeRenderOptions reads what Encode wrote.
func DecodeRenderOptions(data []byte) (RenderOptions, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var o RenderOptions
	if err := decoder.Decode(&o); err != nil { //nolint:musttag // as Encode has written it
		return RenderOptions{}, err
	}
	values, err := decodeNumbers(o.Values)
	if err != nil {
		return RenderOptions{}, err
	}
	o.Values, _ = values.(map[string]any)
	return o, nil
}
