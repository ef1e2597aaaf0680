package scm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-github/v84/github"
)

// gitHubRepository is a repository of GitHub, or of a GitHub Enterprise Server.
type gitHubRepository struct{ common }

// gitHubPage is GitHub's maximum page size.
const gitHubPage = 100

func (r gitHubRepository) api() (*github.Client, error) {
	token, err := r.readToken()
	if err != nil {
		return nil, err
	}
	api := github.NewClient(r.client)
	if token != "" {
		api = api.WithAuthToken(token)
	}
	base := *r.base
	base.Path = strings.TrimSuffix(base.Path, "/") + "/"
	api.BaseURL = &base
	api.UserAgent = "envladder"
	api.DisableRateLimitCheck = true // limited stores it for all clients of the host
	return api, nil
}

// call makes one call with its own client, since the token may have changed.
func (r gitHubRepository) call(ctx context.Context, action string, call func(context.Context, *github.Client) (*http.Response, error)) error {
	ctx, cancel := withTimeout(ctx)
	defer cancel()
	api, err := r.api()
	if err != nil {
		return r.failed(action, nil, err)
	}
	response, err := call(ctx, api) //nolint:bodyclose // the library has read and closed it
	return r.failed(action, response, gitHubMessage(err))
}

// gitHubMessage returns an error without the URL that the library prepends.
func gitHubMessage(err error) error {
	answer, ok := errors.AsType[*github.ErrorResponse](err)
	if !ok {
		return err
	}
	text := answer.Message
	for _, e := range answer.Errors {
		if detail := gitHubDetail(e); detail != "" {
			text += ": " + detail
		}
	}
	if text == "" { // not a response of GitHub, but of a proxy
		text = http.StatusText(answer.Response.StatusCode)
	}
	return errors.New(text)
}

// gitHubDetail returns what is wrong with a field of a request. Only a custom error has a
// message; the others have a code, such as invalid or already_exists.
func gitHubDetail(e github.Error) string {
	field := strings.Trim(e.Resource+"."+e.Field, ".")
	switch {
	case e.Message != "" && e.Field != "":
		return field + ": " + e.Message
	case e.Message != "":
		return e.Message
	}
	return strings.TrimSpace(field + " " + strings.ReplaceAll(e.Code, "_", " "))
}

// Check lists one pull request.
func (r gitHubRepository) Check(ctx context.Context) error {
	return r.call(ctx, "listing the pull requests", func(ctx context.Context, api *github.Client) (*http.Response, error) {
		_, response, err := api.PullRequests.List(ctx, r.owner, r.name, &github.PullRequestListOptions{State: "open", ListOptions: github.ListOptions{PerPage: 1}})
		return responseOf(response), err
	})
}

func (r gitHubRepository) Open(ctx context.Context) ([]PullRequest, error) {
	return r.open(ctx, github.PullRequestListOptions{})
}

func (r gitHubRepository) open(ctx context.Context, options github.PullRequestListOptions) (all []PullRequest, err error) {
	// Oldest first, so that new pull requests come last.
	options.State, options.Sort, options.Direction = "open", "created", "asc"
	err = r.call(ctx, "listing the pull requests", func(ctx context.Context, api *github.Client) (*http.Response, error) {
		var response *http.Response
		var err error
		all, response, err = list(ctx, r.page(api, options))
		return response, err
	})
	return all, err
}

func (r gitHubRepository) page(api *github.Client, options github.PullRequestListOptions) page {
	return func(ctx context.Context, number int) ([]PullRequest, *http.Response, error) {
		options.ListOptions = github.ListOptions{Page: number, PerPage: gitHubPage}
		listed, response, err := api.PullRequests.List(ctx, r.owner, r.name, &options)
		if err != nil {
			return nil, responseOf(response), err
		}
		all := make([]PullRequest, len(listed))
		for i, p := range listed {
			all[i] = r.pullRequest(p)
		}
		return all, responseOf(response), nil
	}
}

func (r gitHubRepository) Find(ctx context.Context, head, base string) (PullRequest, bool, error) {
	all, err := r.open(ctx, github.PullRequestListOptions{Head: r.owner + ":" + head, Base: base})
	if err != nil {
		return PullRequest{}, false, err
	}
	found, ok := find(all, head, base)
	return found, ok, nil
}

// From queries by branch; the list has only open pull requests.
func (r gitHubRepository) From(ctx context.Context, head string) ([]PullRequest, error) {
	all, err := r.open(ctx, github.PullRequestListOptions{Head: r.owner + ":" + head})
	return withHead(all, head), err
}

// maxCommitPages covers the 250 commits that GitHub lists of a pull request at most.
const maxCommitPages = 3

// Commits reverses the list, since GitHub returns the oldest first.
func (r gitHubRepository) Commits(ctx context.Context, number int) (all []string, err error) {
	err = r.call(ctx, fmt.Sprintf("listing the commits of pull request %d", number), func(ctx context.Context, api *github.Client) (*http.Response, error) {
		for page := 1; page <= maxCommitPages; page++ {
			listed, response, err := api.PullRequests.ListCommits(ctx, r.owner, r.name, number, &github.ListOptions{Page: page, PerPage: gitHubPage})
			if err != nil {
				return responseOf(response), err
			}
			for _, c := range listed {
				all = append(all, c.GetSHA())
			}
			if len(listed) < gitHubPage {
				break
			}
		}
		return nil, checkCommits(all)
	})
	slices.Reverse(all)
	return all, err
}

func (r gitHubRepository) Create(ctx context.Context, change Change) (created PullRequest, err error) {
	err = r.call(ctx, "opening a pull request", func(ctx context.Context, api *github.Client) (*http.Response, error) {
		p, response, err := api.PullRequests.Create(ctx, r.owner, r.name, &github.NewPullRequest{
			Title: &change.Title, Head: &change.Head, Base: &change.Base, Body: &change.Body, Draft: &change.Draft,
		})
		if err == nil {
			created = r.pullRequest(p)
			err = checkNumber(created)
		}
		return responseOf(response), err
	})
	return created, err
}

func (r gitHubRepository) Update(ctx context.Context, number int, change Change) (PullRequest, error) {
	edit := &github.PullRequest{Title: &change.Title, Body: &change.Body}
	return r.edit(ctx, "updating a pull request", number, edit, change.Draft)
}

// Draft sends the title unchanged: the response has the ID of the pull request in GraphQL.
func (r gitHubRepository) Draft(ctx context.Context, open PullRequest) (PullRequest, error) {
	return r.edit(ctx, "making a draft of a pull request", open.Number, &github.PullRequest{Title: &open.Title}, true)
}

// Close doesn't change the draft state.
func (r gitHubRepository) Close(ctx context.Context, number int, body string) (PullRequest, error) {
	closed := "closed"
	done, _, err := r.editREST(ctx, "closing a pull request", number, &github.PullRequest{State: &closed, Body: &body})
	return done, err
}

func (r gitHubRepository) edit(ctx context.Context, action string, number int, edit *github.PullRequest, draft bool) (PullRequest, error) {
	edited, node, err := r.editREST(ctx, action, number, edit)
	if err != nil || edited.Draft == draft {
		return edited, err
	}
	return r.turn(ctx, edited, node, draft)
}

// editREST also returns the pull request's ID in GraphQL.
func (r gitHubRepository) editREST(ctx context.Context, action string, number int, edit *github.PullRequest) (edited PullRequest, node string, err error) {
	err = r.call(ctx, action, func(ctx context.Context, api *github.Client) (*http.Response, error) {
		p, response, err := api.PullRequests.Edit(ctx, r.owner, r.name, number, edit)
		if err == nil {
			edited, node = r.pullRequest(p), p.GetNodeID()
			err = checkNumber(edited)
		}
		return responseOf(response), err
	})
	return edited, node, err
}

// turn makes a pull request a draft, or ready for review.
func (r gitHubRepository) turn(ctx context.Context, p PullRequest, node string, draft bool) (PullRequest, error) {
	err := r.call(ctx, "changing the draft state of a pull request", func(ctx context.Context, api *github.Client) (*http.Response, error) {
		response, err := r.setDraft(ctx, api, node, draft)
		return responseOf(response), err
	})
	if err == nil {
		p.Draft = draft
	}
	return p, err
}

// setDraft uses GraphQL's mutations: the REST API can't change the draft state.
func (r gitHubRepository) setDraft(ctx context.Context, api *github.Client, node string, draft bool) (*github.Response, error) {
	mutation := "markPullRequestReadyForReview"
	if draft {
		mutation = "convertPullRequestToDraft"
	}
	request, err := api.NewRequest(http.MethodPost, graphQL(api.BaseURL), map[string]any{
		"query":     fmt.Sprintf("mutation($id: ID!) {%s(input: {pullRequestId: $id}) {pullRequest {isDraft}}}", mutation),
		"variables": map[string]string{"id": node},
	})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data map[string]*struct {
			PullRequest *struct {
				IsDraft bool `json:"isDraft"`
			} `json:"pullRequest"`
		} `json:"data"`
		Errors []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
	response, err := api.Do(ctx, request, &answer)
	if err != nil {
		return response, err
	}
	if len(answer.Errors) > 0 { // GraphQL's errors come with 200
		return response, errors.New(answer.Errors[0].Message)
	}
	if done := answer.Data[mutation]; done == nil || done.PullRequest == nil || done.PullRequest.IsDraft != draft {
		return response, errors.New("GitHub's response doesn't confirm the change")
	}
	return response, nil
}

// graphQL returns the URL of GraphQL: /graphql, or /api/graphql on an Enterprise Server,
// whose REST API is /api/v3.
func graphQL(rest *url.URL) string {
	u := *rest
	u.Path = strings.TrimSuffix(u.Path, "v3/") + "graphql"
	return u.String()
}

func (r gitHubRepository) pullRequest(p *github.PullRequest) PullRequest {
	if p == nil {
		return PullRequest{}
	}
	pr := PullRequest{
		Number: p.GetNumber(), Title: p.GetTitle(), Draft: p.GetDraft(), URL: p.GetHTMLURL(),
		Head: p.GetHead().GetRef(), HeadSHA: p.GetHead().GetSHA(), Base: p.GetBase().GetRef(),
		HeadRepository: p.GetHead().GetRepo().GetFullName(),
		Author:         authorOf(p.GetUser().GetLogin()),
		CreatedAt:      p.GetCreatedAt().Time, UpdatedAt: p.GetUpdatedAt().Time,
	}
	head, base := p.GetHead().GetRepo().GetID(), p.GetBase().GetRepo().GetID()
	pr.Fork = head == 0 || head != base // a deleted fork has no ID
	for _, label := range p.Labels {
		pr.Labels = append(pr.Labels, label.GetName())
	}
	return pr
}

func responseOf(response *github.Response) *http.Response {
	if response == nil {
		return nil
	}
	return response.Response
}
