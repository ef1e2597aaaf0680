package appset

import (
	"fmt"
	"strconv"
	"time"

	"github.com/envladder/envladder/internal/printable"
	"github.com/envladder/envladder/internal/scm"
)

// Reason is why a pull request has a preview, or none.
type Reason string

// The reasons. With the first three it has one.
const (
	// ReasonCurrent: the images of its head exist.
	ReasonCurrent Reason = "Current"
	// ReasonPreviousCommit: the images of its head don't exist yet; it has those of an
	// earlier commit until then.
	ReasonPreviousCommit Reason = "PreviousCommit"
	// ReasonImageDeleted: it keeps its images although the registry no longer has one of
	// them.
	ReasonImageDeleted Reason = "ImageDeleted"
	// ReasonNoImage: none of its commits has its images yet.
	ReasonNoImage Reason = "NoImage"
	// ReasonFork: its head is in another repository, and the ladder says forks: Deny.
	ReasonFork Reason = "Fork"
	// ReasonExpired: nothing happened in it for the ladder's ttl.
	ReasonExpired Reason = "Expired"
	// ReasonMaxReached: as many as the ladder's max have a preview already.
	ReasonMaxReached Reason = "MaxReached"
)

// Report is the report on each open pull request of a ladder.
type Report struct {
	Ladder   string    `json:"ladder"`
	Previews []Preview `json:"pullRequests"`
	// Error is why the report failed; it has no pull requests then.
	Error string `json:"error,omitempty"`
}

// Preview is the report on one pull request. Its texts are safe to print.
type Preview struct {
	Number  int       `json:"number"`
	Title   string    `json:"title"`
	Branch  string    `json:"branch"`
	Author  string    `json:"author"`
	HeadSHA string    `json:"headSHA"`
	Draft   bool      `json:"draft"`
	Updated time.Time `json:"updatedAt"`
	In      bool      `json:"in"`
	Reason  Reason    `json:"reason"`
	Message string    `json:"message"`
	// ImageSHA is the commit of the images.
	ImageSHA string            `json:"imageSHA,omitempty"`
	Images   map[string]string `json:"images,omitempty"`

	row row
}

// row has the parameters for a template of an ApplicationSet. They are strings, since Go
// templates print JSON numbers as floats, and none is as its author wrote it, since they are
// used in names and templates.
type row struct {
	Number       string            `json:"number"`
	Name         string            `json:"name"`
	BranchSlug   string            `json:"branchSlug"`
	TargetSlug   string            `json:"targetBranchSlug"`
	HeadSHA      string            `json:"headSHA"`
	HeadShortSHA string            `json:"headShortSHA"`
	ImageSHA     string            `json:"imageSHA"`
	Author       string            `json:"author"`
	Ladder       string            `json:"ladder"`
	Images       map[string]string `json:"images"`
}

func newPreview(p scm.PullRequest) Preview {
	return Preview{
		Number: p.Number, Title: printable.Line(p.Title, maxTitle), Branch: printable.Line(p.Head, maxTitle), Author: printable.Line(p.Author, maxTitle),
		HeadSHA: p.HeadSHA, Draft: p.Draft, Updated: p.UpdatedAt,
	}
}

func (p *Preview) exclude(reason Reason, message string) {
	p.In, p.Reason, p.Message = false, reason, message
}

func (p *Preview) include(pull scm.PullRequest, ladder string, found images) {
	p.In, p.ImageSHA, p.Images = true, found.sha, found.digests
	p.Reason, p.Message = found.reason(pull.HeadSHA)
	p.row = row{
		Number: strconv.Itoa(pull.Number), Name: "pr-" + strconv.Itoa(pull.Number),
		BranchSlug: slug(pull.Head), TargetSlug: slug(pull.Base), HeadSHA: pull.HeadSHA, HeadShortSHA: short(pull.HeadSHA),
		ImageSHA: found.sha, Author: slug(pull.Author), Ladder: ladder, Images: found.digests,
	}
}

// reason returns why a preview runs these images.
func (i images) reason(head string) (Reason, string) {
	switch {
	case i.deleted != "":
		return ReasonImageDeleted, fmt.Sprintf("the registry no longer has image %s of %s: running pods stay, but new ones can't pull it: build it again, or push another commit", i.deleted, short(i.sha))
	case i.sha != head:
		return ReasonPreviousCommit, "the images of " + short(head) + " don't exist yet: it keeps those of " + short(i.sha)
	case i.untagged:
		return ReasonCurrent, "its images exist, though their tag is gone"
	}
	return ReasonCurrent, "its images exist"
}

// rows returns the rows of the previews, never nil, which JSON would encode as null.
func (r Report) rows() []row {
	rows := make([]row, 0, len(r.Previews))
	for _, p := range r.Previews {
		if p.In {
			rows = append(rows, p.row)
		}
	}
	return rows
}
