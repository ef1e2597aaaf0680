package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// maxListed bounds the bytes of all pages of one list: MaxReferrers descriptors of
	// 1 to 2 KiB have 4 MiB, and a few of them may carry long annotations. The list is
	// read as a stream, so this isn't held.
	maxListed = 32 << 20
	// maxListedText bounds each stored text of a list: media types and predicate
	// types are URLs of some dozen bytes.
	maxListedText = 256
)

// referrerList gathers a list of referrers from its pages.
type referrerList struct {
	keep []string // annotations
	left int64    // bytes that may still be read
	all  []Descriptor
}

func newReferrerList(annotations []string) *referrerList {
	return &referrerList{keep: annotations, left: maxListed}
}

// read reads a page as a stream. Entries that were read before an error are stored.
func (l *referrerList) read(body io.Reader) error {
	limited := &io.LimitedReader{R: body, N: l.left + 1}
	err := l.decode(json.NewDecoder(limited))
	l.left = limited.N - 1
	if l.left < 0 {
		l.left = 0
		return fmt.Errorf("the list has more than %d bytes: %w", maxListed, ErrTooLarge)
	}
	if err != nil && !errors.Is(err, ErrTooLarge) {
		return fmt.Errorf("parsing the list of referrers: %w", err)
	}
	return err
}

// decode reads an index's manifests and skips its other fields.
func (l *referrerList) decode(decoder *json.Decoder) error {
	switch token, err := decoder.Token(); {
	case err != nil:
		return err
	case token != json.Delim('{'):
		return errors.New("it is no object")
	}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return err
		}
		if name == "manifests" {
			err = l.manifests(decoder)
		} else {
			err = decoder.Decode(new(json.RawMessage))
		}
		if err != nil {
			return err
		}
	}
	_, err := decoder.Token()
	return err
}

func (l *referrerList) manifests(decoder *json.Decoder) error {
	switch token, err := decoder.Token(); {
	case err != nil:
		return err
	case token == nil: // null: none
		return nil
	case token != json.Delim('['):
		return errors.New("manifests is no list")
	}
	for decoder.More() {
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return err
		}
		descriptor, ok := parseDescriptor(raw)
		if !ok {
			continue // one broken entry must not hide the others
		}
		if len(l.all) == MaxReferrers {
			return fmt.Errorf("more than %d referrers: %w", MaxReferrers, ErrTooLarge)
		}
		l.all = append(l.all, l.clipped(descriptor))
	}
	_, err := decoder.Token()
	return err
}

// clipped returns a descriptor with the requested annotations and clipped texts.
func (l *referrerList) clipped(d Descriptor) Descriptor {
	kept := Descriptor{
		MediaType: clip(d.MediaType), ArtifactType: clip(d.ArtifactType),
		Digest: d.Digest, Size: d.Size, Platform: clip(d.Platform),
	}
	for _, name := range l.keep {
		if text, ok := d.Annotations[name]; ok {
			if kept.Annotations == nil {
				kept.Annotations = map[string]string{}
			}
			kept.Annotations[name] = clip(text)
		}
	}
	return kept
}

// clip returns a copy of a text's beginning, so that the long text isn't held in memory.
func clip(text string) string { return strings.Clone(text[:min(len(text), maxListedText)]) }
