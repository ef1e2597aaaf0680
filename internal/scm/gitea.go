package scm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"code.gitea.io/sdk/gitea"
)

// giteaRepository is a repository of Gitea or Forgejo.
type giteaRepository struct{ common }

// giteaPage is Gitea's default maximum page size ([api] MAX_RESPONSE_ITEMS).
const giteaPage = 50

// api returns a client for one call: the SDK's has the context in it.
func (r giteaRepository) api(ctx context.Context) (*gitea.Client, error) {
	token, err := r.readToken()
	if err != nil {
		return nil, err
	}
	return gitea.NewClient(r.base.String(),
		// The SDK doesn't query the version then: nothing here is newer than 1.14.
		gitea.SetGiteaVersion(""),
		gitea.SetHTTPClient(r.client), gitea.SetContext(ctx), gitea.SetToken(token), gitea.SetUserAgent("envladder"))
}

// call makes one call with its own client.
func (r giteaRepository) call(ctx context.Context, action string, call func(context.Context, *gitea.Client) (*http.Response, error)) error {
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	api, err := r.api(ctx)
	if err != nil {
		return r.failed(action, nil, err)
	}
	response, err := call(ctx, api) //nolint:bodyclose // the SDK has read and closed it
	return r.failed(action, response, err)
}

func (r giteaRepository) Open(ctx context.Context) (all []PullRequest, err error) {
	err = r.call(ctx, "listing the pull requests", func(ctx context.Context, api *gitea.Client) (*http.Response, error) {
		var response *http.Response
		var err error
		all, response, err = list(ctx, r.page(api))
		return response, err
	})
	return all, err
}

func (r giteaRepository) page(api *gitea.Client) page {
	return func(_ context.Context, number int) ([]PullRequest, *http.Response, error) {
		// Oldest first, so that new pull requests come last.
		listed, response, err := api.ListRepoPullRequests(r.owner, r.name, gitea.ListPullRequestsOptions{
			ListOptions: gitea.ListOptions{Page: number, PageSize: giteaPage}, State: gitea.StateOpen, Sort: "oldest",
		})
		if err != nil {
			return nil, httpOf(response), err
		}
		all := make([]PullRequest, len(listed))
		for i, p := range listed {
			all[i] = r.pullRequest(p)
		}
		return all, httpOf(response), nil
	}
}

// Check lists one pull request, also right after the repository's first push.
func (r giteaRepository) Check(ctx context.Context) error {
	return r.settled(ctx, func() error {
		return r.call(ctx, "listing the pull requests", func(_ context.Context, api *gitea.Client) (*http.Response, error) {
			_, response, err := api.ListRepoPullRequests(r.owner, r.name, gitea.ListPullRequestsOptions{
				ListOptions: gitea.ListOptions{Page: 1, PageSize: 1}, State: gitea.StateOpen,
			})
			return httpOf(response), err
		})
	})
}

// Find searches the list: a query by branches returns closed ones too, the oldest first.
func (r giteaRepository) Find(ctx context.Context, head, base string) (PullRequest, bool, error) {
	all, err := r.From(ctx, head)
	if err != nil {
		return PullRequest{}, false, err
	}
	found, ok := find(all, head, base)
	return found, ok, nil
}

// From searches the list, as Find does.
func (r giteaRepository) From(ctx context.Context, head string) (all []PullRequest, err error) {
	err = r.settled(ctx, func() error {
		all, err = r.Open(ctx)
		return err
	})
	return withHead(all, head), err
}

// Commits lists one page: Gitea returns the newest first.
func (r giteaRepository) Commits(ctx context.Context, number int) (all []string, err error) {
	err = r.call(ctx, fmt.Sprintf("listing the commits of pull request %d", number), func(_ context.Context, api *gitea.Client) (*http.Response, error) {
		listed, response, err := api.ListPullRequestCommits(r.owner, r.name, int64(number),
			gitea.ListPullRequestCommitsOptions{ListOptions: gitea.ListOptions{Page: 1, PageSize: giteaPage}})
		if err != nil {
			return httpOf(response), err
		}
		for _, c := range listed {
			if c == nil || c.CommitMeta == nil {
				all = append(all, "")
				continue
			}
			all = append(all, c.SHA)
		}
		return nil, checkCommits(all)
	})
	return all, err
}

// Create opens a pull request, also right after the repository's first push.
func (r giteaRepository) Create(ctx context.Context, change Change) (created PullRequest, err error) {
	err = r.settled(ctx, func() error {
		created, err = r.create(ctx, change)
		return err
	})
	return created, err
}

func (r giteaRepository) create(ctx context.Context, change Change) (created PullRequest, err error) {
	err = r.call(ctx, "opening a pull request", func(_ context.Context, api *gitea.Client) (*http.Response, error) {
		p, response, err := api.CreatePullRequest(r.owner, r.name, gitea.CreatePullRequestOption{
			Head: change.Head, Base: change.Base, Title: giteaTitle(change), Body: change.Body,
		})
		if err == nil {
			created = r.pullRequest(p)
			err = checkNumber(created)
		}
		return httpOf(response), err
	})
	return created, err
}

func (r giteaRepository) Update(ctx context.Context, number int, change Change) (PullRequest, error) {
	return r.edit(ctx, "updating a pull request", number, gitea.EditPullRequestOption{Title: giteaTitle(change), Body: &change.Body})
}

func (r giteaRepository) Draft(ctx context.Context, open PullRequest) (PullRequest, error) {
	return r.edit(ctx, "making a draft of a pull request", open.Number, gitea.EditPullRequestOption{Title: giteaDraft + open.Title})
}

func (r giteaRepository) Close(ctx context.Context, number int, body string) (PullRequest, error) {
	closed := gitea.StateClosed
	return r.edit(ctx, "closing a pull request", number, gitea.EditPullRequestOption{State: &closed, Body: &body})
}

func (r giteaRepository) edit(ctx context.Context, action string, number int, option gitea.EditPullRequestOption) (edited PullRequest, err error) {
	err = r.call(ctx, action, func(_ context.Context, api *gitea.Client) (*http.Response, error) {
		p, response, err := api.EditPullRequest(r.owner, r.name, int64(number), option)
		if err == nil {
			edited = r.pullRequest(p)
			err = checkNumber(edited)
		}
		return httpOf(response), err
	})
	return edited, err
}

// giteaDraft is the prefix of a title by which Gitea recognizes a draft.
const giteaDraft = "WIP: "

func giteaTitle(change Change) string {
	if change.Draft {
		return giteaDraft + change.Title
	}
	return change.Title
}

func (r giteaRepository) pullRequest(p *gitea.PullRequest) PullRequest {
	if p == nil {
		return PullRequest{}
	}
	pr := PullRequest{
		Number: int(p.Index), Title: strings.TrimPrefix(p.Title, giteaDraft), Draft: p.Draft, URL: p.HTMLURL, Fork: true,
		CreatedAt: moment(p.Created), UpdatedAt: moment(p.Updated),
	}
	var login string
	if p.Poster != nil {
		login = p.Poster.UserName
	}
	pr.Author = authorOf(login)
	if p.Base != nil {
		pr.Base = p.Base.Ref
	}
	if p.Head != nil {
		pr.Head, pr.HeadSHA = p.Head.Ref, p.Head.Sha
		if p.Head.Repository != nil {
			pr.HeadRepository = p.Head.Repository.FullName
		}
		// Compared by ID: names can change, and differ in case.
		pr.Fork = p.Base == nil || p.Head.RepoID == 0 || p.Head.RepoID != p.Base.RepoID
	}
	for _, label := range p.Labels {
		if label != nil {
			pr.Labels = append(pr.Labels, label.Name)
		}
	}
	return pr
}

func httpOf(response *gitea.Response) *http.Response {
	if response == nil {
		return nil
	}
	return response.Response
}

func moment(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// withHead returns the pull requests from a branch of the repository itself.
func withHead(all []PullRequest, head string) []PullRequest {
	return slices.DeleteFunc(all, func(p PullRequest) bool { return p.Fork || p.Head != head })
}

// find returns the pull request between two branches of the repository itself.
func find(all []PullRequest, head, base string) (PullRequest, bool) {
	for _, p := range all {
		if !p.Fork && p.Head == head && p.Base == base {
			return p, true
		}
	}
	return PullRequest{}, false
}

// checkNumber rejects a response without the pull request's number.
func checkNumber(p PullRequest) error {
	if p.Number <= 0 {
		return errors.New("the response has a pull request without a number, unlike this forge's API")
	}
	return nil
}

// IsStatus reports whether a forge responded with an HTTP status.
func IsStatus(err error, status int) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Status == status
}
