package chart

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/layers"
)

// Recipe is all that a rendering depends on beside the chart.
type Recipe struct {
	// Values are the result of Merge.
	Values map[string]any
	// KeepKinds refuses values of another kind than the chart's own, which Helm only warns
	// of, but for those at and below the paths of Nulls.
	KeepKinds bool
	Nulls     [][]string
	Release   Release
	// SkipCRDs leaves out the files of the chart's folders crds/, SkipTests the hooks
	// that `helm test` runs.
	SkipCRDs  bool
	SkipTests bool
	// AllowEmpty takes a rendering to nothing, which to Argo CD means to delete
	// everything.
	AllowEmpty bool
	// LiteralSecrets admits Secrets with values that another tool would have to resolve.
	LiteralSecrets bool
	// Pins are the digests that no object may deviate from.
	Pins []ladder.Pin
	// Preflight puts an inert object with all images in front; see guardsOf.
	Preflight bool
	// Stamps, nil for none.
	Stamps *Stamps
}

// Encode writes the recipe for DecodeRecipe of the same program. Equal recipes have equal
// encodings. Numbers keep their types.
func (r Recipe) Encode() ([]byte, error) {
	r.Values = mapValues(r.Values, encodeNumbers)
	return json.Marshal(r) //nolint:musttag // read by this program alone, so the names are Go's
}

// DecodeRecipe reads what Encode wrote.
func DecodeRecipe(data []byte) (Recipe, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var r Recipe
	if err := decoder.Decode(&r); err != nil { //nolint:musttag // as Encode has written it
		return Recipe{}, err
	}
	values, err := decodeNumbers(r.Values)
	if err != nil {
		return Recipe{}, err
	}
	r.Values, _ = values.(map[string]any)
	return r, nil
}

// Manifests renders the chart by the recipe. Where values are at fault the error is a
// *SchemaError or a *layers.KindsError; Explain says where they come from.
func (c *Chart) Manifests(r Recipe) (Manifests, error) {
	return c.manifests(r, nil)
}

// Trace is Manifests for who asks which template it is that does not end, or ends the
// process: report is told of each template before it is executed, before what it gave is
// parsed, and before that is checked and annotated; of "" where all are in work. What is
// rendered may differ from what Manifests gives, and isn't returned.
func (c *Chart) Trace(r Recipe, report func(template string)) error {
	_, err := c.manifests(r, report)
	return err
}

func (c *Chart) manifests(r Recipe, traced func(template string)) (Manifests, error) {
	if r.KeepKinds {
		if err := layers.CheckKinds(r.Values, r.Nulls, c.Defaults()); err != nil {
			return nil, err
		}
	}
	rendered, err := c.render(r, traced)
	if err == nil {
		rendered, err = rendered.leave(r)
	}
	if err != nil {
		return nil, fmt.Errorf("rendering chart %q: %w", c.Path, err)
	}
	if traced != nil {
		if err := rendered.finishEach(r, traced); err != nil {
			return nil, err
		}
	}
	return rendered.finish(r)
}

// finishEach does for each manifest alone what finish does for all.
func (ms Manifests) finishEach(r Recipe, traced func(template string)) error {
	defer traced("")
	for _, m := range ms {
		traced(m.Source)
		if _, err := (Manifests{m}).finish(r); err != nil {
			return err
		}
	}
	return nil
}

// leave takes out what the recipe leaves out, and refuses what is too little.
func (ms Manifests) leave(r Recipe) (Manifests, error) {
	kept := slices.DeleteFunc(ms, func(m Manifest) bool { return r.SkipCRDs && m.CRDs || r.SkipTests && m.Test })
	for _, m := range kept {
		if !utf8.ValidString(m.Content) {
			return nil, fmt.Errorf("template %q gives what isn't UTF-8 text, which Argo CD can't take", m.Source)
		}
	}
	if !r.AllowEmpty && !kept.HasObject() {
		return nil, errors.New("it renders to nothing with these values: to Argo CD that means to delete everything")
	}
	if !r.LiteralSecrets {
		return kept, kept.checkSecrets()
	}
	return kept, nil
}
