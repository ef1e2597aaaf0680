package rollout

import (
	"reflect"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/workload"
)

// object is an object that starts pods. Its images are empty before readImages: an UPDATE
// that changes none of them isn't read that far.
type object struct {
	*workload.Object

	images []workload.Image
	// revisions of a live StatefulSet.
	revisions revisions
	// source is the live object that TemplateRef names. The images are its images.
	source *object
	// childTemplateDigest is the digest of the pod template of what the object owns, empty
	// if unknown; nil if that is the object's own template.
	childTemplateDigest *string
}

// Stamps returns the object's stamps, completed by those of its source.
func (o *object) Stamps() gate.Stamps {
	stamps := o.Object.Stamps()
	if o.source != nil {
		stamps = workload.Inherit(stamps, o.source.Stamps())
	}
	if o.childTemplateDigest != nil {
		stamps.TemplateDigest = *o.childTemplateDigest
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
