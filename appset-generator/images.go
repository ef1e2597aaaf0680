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

// Registry resolves references. Digest returns registry.ErrNotFound where the registry has
// no such tag or digest, and other errors where that is unknown.
type Registry interface {
	Digest(ctx context.Context, repository, reference string) (string, error)
}

// maxEarlier bounds the search of earlier commits for images: a preview that is further
// behind its pull request shows something else.
const maxEarlier = 20

const (
	// searchInterval is how long a search without success isn't repeated: CI may finish
	// the build of a commit after the next is pushed.
	searchInterval = 10 * time.Minute
	// maxSearches bounds the repeated searches for one response: maxEarlier requests each,
	// in about a second. The next response continues with the others.
	maxSearches = 10
)

// images are the images of a pull request's preview.
type images struct {
	// sha of their commit: the head, or an earlier one.
	sha     string
	digests map[string]string
	// untagged is set where they belong to the head, and their tag is gone.
	untagged bool
	// deleted is an image that the registry no longer has, or "".
	deleted string
}

// finder finds the images of a ladder's pull requests.
type finder struct {
	plan     plan
	registry Registry
	commits  func(ctx context.Context, number int) ([]string, error)
	now      func() time.Time
}

// find returns the images of the newest commit that has all of them, or nil. It updates the
// state of the pull request.
func (f finder) find(ctx context.Context, p scm.PullRequest, state *pullState) (*images, error) {
	found, err := f.imagesAt(ctx, p, p.HeadSHA, &state.Head)
	if err != nil || found != nil {
		f.remember(found, state)
		return found, err
	}
	if digests, ok := state.digests(f.plan.images); ok {
		deleted, err := f.deleted(ctx, p, digests, &state.Head)
		if err != nil {
			return nil, err
		}
		return &images{sha: state.SHA, digests: digests, untagged: state.SHA == p.HeadSHA, deleted: deleted}, nil
	}
	if state.Searched == p.HeadSHA {
		return nil, nil
	}
	return f.search(ctx, p, state)
}

// search searches the pull request's earlier commits, and notes that in its state.
func (f finder) search(ctx context.Context, p scm.PullRequest, state *pullState) (*images, error) {
	found, err := f.searchEarlier(ctx, p, state)
	if err != nil {
		return nil, err
	}
	state.Earlier = nil
	f.remember(found, state)
	if found == nil {
		state.Searched, state.SearchedAt = p.HeadSHA, stateTime(f.now())
	}
	return found, nil
}

func (f finder) remember(found *images, state *pullState) {
	if found == nil {
		return
	}
	state.SHA, state.Images = found.sha, map[string]string{}
	for _, image := range f.plan.images {
		state.Images[image.Repository] = found.digests[image.Name]
	}
}

// deleted returns the name of the first image whose digest the registry doesn't have, or
// "". A preview with it is left as it is, and the report shows that.
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

// searchEarlier searches the commits before the head, the newest first.
// It is how a service that was restarted knows the images of a preview whose next
// image is being built.
func (f finder) searchEarlier(ctx context.Context, p scm.PullRequest, state *pullState) (*images, error) {
	commits, err := f.commits(ctx, p.Number)
	if err != nil {
		return nil, err
	}
	searched := 0
	for _, sha := range commits {
		if sha == p.HeadSHA {
			continue
		}
		if searched++; searched > maxEarlier {
			break
		}
		if found, err := f.imagesAt(ctx, p, sha, &state.Earlier); err != nil || found != nil {
			return found, err
		}
	}
	return nil, nil
}

// imagesAt returns the images of a commit, or nil unless all exist.
func (f finder) imagesAt(ctx context.Context, p scm.PullRequest, sha string, seen *lookups) (*images, error) {
	found := &images{sha: sha, digests: map[string]string{}}
	if len(f.plan.images) == 0 {
		return found, nil
	}
	tag, err := f.plan.tag.Execute(tagFields(p, sha))
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

// short returns as many digits as Argo CD's head_short_sha has.
func short(sha string) string { return sha[:min(len(sha), 8)] }
