package webhook

import (
	"reflect"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/workload"
)

// object is an object that starts pods. Its images are there once readImages has read
// them: an UPDATE that changes none of them isn't read that far.
type object struct {
	*workload.Object

	images []workload.Image
	// rollout is how far that of a live StatefulSet is.
	rollout rollout
	// source is the live object that TemplateRef names. The images are its.
	source *object
	// lends is the digest of the pod template of what it owns, empty if not known; nil
	// where that is its own.
	lends *string
}

// Stamps returns the object's stamps, and where it has none those of its source.
func (o *object) Stamps() gate.Stamps {
	stamps := o.Object.Stamps()
	if o.source != nil {
		stamps = workload.Inherit(stamps, o.source.Stamps())
	}
	if o.lends != nil {
		stamps.TemplateDigest = *o.lends
	}
	return stamps
}

// readImages fills in the images.
func (o *object) readImages() (err error) {
	o.images, err = o.Images()
	return err
}

// sameTemplates compares pod templates as they were sent.
func sameTemplates(before, after *object) bool {
	return reflect.DeepEqual(before.Templates, after.Templates)
}
