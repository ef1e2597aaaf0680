package appset

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/scm"
)

// Registry returns the digest that a reference, a tag or a digest, names. An error that is
// registry.ErrNotFound means that the registry has none; any other, that it isn't known.
type Registry interface {
	Digest(ctx context.Context, repository, reference string) (string, error)
}

// maxEarlier is how many earlier commits are looked at for images: a preview that is so
// far behind its pull request shows something else.
const maxEarlier = 20

const (
	// searchAgain is how long it is believed that no earlier commit of a head has images:
	// CI may end the build of one when the next is pushed already.
	searchAgain = 10 * time.Minute
	// maxAgain bounds the pull requests of a ladder whose earlier commits are gone
	// through again for one answer: maxEarlier requests each, in about a second. The
	// others' turn comes with the next answer.
	maxAgain = 10
)

// images are what a pull request's preview runs.
type images struct {
	// sha of the commit that they are of: the head's, or an earlier one's.
	sha     string
	digests map[string]string
	// untagged is set where they are the head's, and their tag is gone.
	untagged bool
	// deleted names one that the registry doesn't have any more; empty where it has all.
	deleted string
}

// finder finds the images of a ladder's pull requests.
type finder struct {
	plan     plan
	registry Registry
	commits  func(ctx context.Context, number int) ([]string, error)
	now      func() time.Time
}

// find returns the images of the newest commit that has them all; nil where none has.
// It changes what is remembered of the pull request to what it found.
func (f finder) find(ctx context.Context, p scm.PullRequest, h *held) (*images, error) {
	found, err := f.of(ctx, p, p.HeadSHA, &h.Head)
	if err != nil || found != nil {
		f.remember(found, h)
		return found, err
	}
	if digests, ok := h.digests(f.plan.images); ok {
		deleted, err := f.deleted(ctx, p, digests, &h.Head)
		if err != nil {
			return nil, err
		}
		return &images{sha: h.SHA, digests: digests, untagged: h.SHA == p.HeadSHA, deleted: deleted}, nil
	}
	if h.Searched == p.HeadSHA {
		return nil, nil
	}
	return f.search(ctx, p, h)
}

// search goes through the pull request's earlier commits, and notes that it did.
func (f finder) search(ctx context.Context, p scm.PullRequest, h *held) (*images, error) {
	found, err := f.earlier(ctx, p, h)
	if err != nil {
		return nil, err
	}
	h.Earlier = nil
	f.remember(found, h)
	if found == nil {
		h.Searched, h.SearchedAt = p.HeadSHA, moment(f.now())
	}
	return found, nil
}

func (f finder) remember(found *images, h *held) {
	if found == nil {
		return
	}
	h.SHA, h.Images = found.sha, map[string]string{}
	for _, image := range f.plan.images {
		h.Images[image.Repository] = found.digests[image.Name]
	}
}

// deleted returns the name of the first image whose digest the registry doesn't have. A
// preview that runs it is left alone, and its report says so.
func (f finder) deleted(ctx context.Context, p scm.PullRequest, digests map[string]string, seen *lookups) (string, error) {
	for _, image := range f.plan.images {
		_, err := f.digest(ctx, seen, image.Repository, digests[image.Name])
		switch {
		case errors.Is(err, registry.ErrNotFound):
			return image.Name, nil
		case err != nil:
			return "", fmt.Errorf("finding image %s of pull request %d: %w", image.Name, p.Number, err)
		}
	}
	return "", nil
}

// earlier goes through the pull request's commits before its head, the newest first.
// It is how a service that was restarted knows the images of a preview whose next
// image is being built.
func (f finder) earlier(ctx context.Context, p scm.PullRequest, h *held) (*images, error) {
	commits, err := f.commits(ctx, p.Number)
	if err != nil {
		return nil, err
	}
	looked := 0
	for _, sha := range commits {
		if sha == p.HeadSHA {
			continue
		}
		if looked++; looked > maxEarlier {
			break
		}
		if found, err := f.of(ctx, p, sha, &h.Earlier); err != nil || found != nil {
			return found, err
		}
	}
	return nil, nil
}

// of returns the images of a commit; nil unless all exist.
func (f finder) of(ctx context.Context, p scm.PullRequest, sha string, seen *lookups) (*images, error) {
	found := &images{sha: sha, digests: map[string]string{}}
	if len(f.plan.images) == 0 {
		return found, nil
	}
	tag, err := f.plan.tag.Of(tagFields(p, sha))
	if err != nil {
		return nil, fmt.Errorf("finding the tag of pull request %d: %w", p.Number, err)
	}
	for _, image := range f.plan.images {
		digest, err := f.digest(ctx, seen, image.Repository, tag)
		switch {
		case errors.Is(err, registry.ErrNotFound):
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("finding image %s of pull request %d: %w", image.Name, p.Number, err)
		}
		found.digests[image.Name] = digest
	}
	return found, nil
}

func tagFields(p scm.PullRequest, sha string) map[string]string {
	return map[string]string{
		"number": strconv.Itoa(p.Number), "headSHA": sha, "headShortSHA": short(sha), "branchSlug": slug(p.Head),
	}
}

// short is as many digits as Argo CD's head_short_sha has.
func short(sha string) string { return sha[:min(len(sha), 8)] }
