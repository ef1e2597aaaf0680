package scmtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

type object = map[string]any

// gitHub serves what https://docs.github.com/rest/pulls describes.
func (s *Server) gitHub(path string) http.Handler {
	mux := http.NewServeMux()
	repository := path + "/repos/" + Repository
	mux.HandleFunc("GET "+repository+"/pulls", s.gitHubList)
	mux.HandleFunc("POST "+repository+"/pulls", s.gitHubCreate)
	mux.HandleFunc("PATCH "+repository+"/pulls/{number}", s.gitHubEdit)
	mux.HandleFunc("GET "+repository+"/pulls/{number}/commits", s.gitHubCommits)
	mux.HandleFunc("POST "+strings.TrimSuffix(path, "/v3")+"/graphql", s.gitHubGraphQL)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { gitHubError(w, http.StatusNotFound, "Not Found") })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+Token {
			gitHubError(w, http.StatusUnauthorized, "Bad credentials")
			return
		}
		w.Header().Set("X-Ratelimit-Limit", "5000")
		w.Header().Set("X-Ratelimit-Remaining", "4999")
		w.Header().Set("X-Ratelimit-Reset", strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10))
		mux.ServeHTTP(w, r)
	})
}

func gitHubError(w http.ResponseWriter, status int, message string, details ...string) {
	document := object{"message": message, "documentation_url": "https://docs.github.com/rest", "status": strconv.Itoa(status)}
	var errors []object
	for _, detail := range details {
		errors = append(errors, object{"resource": "PullRequest", "code": "custom", "message": detail})
	}
	if errors != nil {
		document["errors"] = errors
	}
	answer(w, status, document)
}

func (s *Server) gitHubList(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	query := r.URL.Query()
	all := s.open(func(p *Pull) bool {
		head := query.Get("head")
		return (head == "" || head == ownerOf(p.Repository)+":"+p.Branch) && (query.Get("base") == "" || query.Get("base") == p.Base)
	})
	size := size(query, "per_page", 100)
	page, begin, end := window(r, len(all), size)
	link(w, r, page, size, len(all))
	documents := make([]object, 0, size)
	for _, p := range all[begin:end] {
		documents = append(documents, gitHubPull(p))
	}
	answer(w, http.StatusOK, documents)
}

func (s *Server) gitHubCreate(w http.ResponseWriter, r *http.Request) {
	var change struct {
		Title string `json:"title"`
		Head  string `json:"head"`
		Base  string `json:"base"`
		Body  string `json:"body"`
		Draft bool   `json:"draft"`
	}
	if json.NewDecoder(r.Body).Decode(&change) != nil {
		gitHubError(w, http.StatusBadRequest, "Problems parsing JSON")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.branches[change.Head] || !s.branches[change.Base] {
		gitHubError(w, http.StatusUnprocessableEntity, "Validation Failed", "head is invalid")
		return
	}
	if there := s.open(func(p *Pull) bool { return p.Branch == change.Head && p.Base == change.Base }); there != nil {
		gitHubError(w, http.StatusUnprocessableEntity, "Validation Failed",
			fmt.Sprintf("A pull request already exists for %s:%s.", ownerOf(Repository), change.Head))
		return
	}
	p := &Pull{Title: change.Title, Body: change.Body, Branch: change.Head, Base: change.Base, Draft: change.Draft}
	s.add(p)
	answer(w, http.StatusCreated, gitHubPull(p))
}

func (s *Server) gitHubEdit(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	number, _ := strconv.Atoi(r.PathValue("number"))
	p, ok := s.pulls[number]
	if !ok {
		gitHubError(w, http.StatusNotFound, "Not Found")
		return
	}
	// As GitHub: what isn't sent stays; `draft` isn't among what can be edited.
	var change struct {
		Title *string `json:"title"`
		Body  *string `json:"body"`
		State string  `json:"state"`
	}
	if json.NewDecoder(r.Body).Decode(&change) != nil {
		gitHubError(w, http.StatusBadRequest, "Problems parsing JSON")
		return
	}
	if change.Title != nil {
		p.Title = *change.Title
	}
	if change.Body != nil {
		p.Body = *change.Body
	}
	p.Closed = p.Closed || change.State == "closed"
	answer(w, http.StatusOK, gitHubPull(p))
}

// gitHubCommits lists the oldest first, and 250 at most.
func (s *Server) gitHubCommits(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	number, _ := strconv.Atoi(r.PathValue("number"))
	p, ok := s.pulls[number]
	if !ok {
		gitHubError(w, http.StatusNotFound, "Not Found")
		return
	}
	commits := p.Commits[:min(len(p.Commits), 250)]
	size := size(r.URL.Query(), "per_page", 100)
	page, begin, end := window(r, len(commits), size)
	link(w, r, page, size, len(commits))
	documents := make([]object, 0, size)
	for _, sha := range commits[begin:end] {
		documents = append(documents, object{"sha": sha, "node_id": "C_" + sha, "commit": object{"message": "change"}})
	}
	answer(w, http.StatusOK, documents)
}

// gitHubGraphQL knows the two mutations of a draft. Its errors come with 200.
func (s *Server) gitHubGraphQL(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Query     string `json:"query"`
		Variables struct {
			ID string `json:"id"`
		} `json:"variables"`
	}
	if json.NewDecoder(r.Body).Decode(&request) != nil {
		answer(w, http.StatusBadRequest, object{"message": "Problems parsing JSON"})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	number, _ := strconv.Atoi(strings.TrimPrefix(request.Variables.ID, "PR_"))
	p, ok := s.pulls[number]
	mutation := "markPullRequestReadyForReview"
	if strings.Contains(request.Query, "convertPullRequestToDraft") {
		mutation = "convertPullRequestToDraft"
	}
	if !ok {
		answer(w, http.StatusOK, object{
			"data": object{mutation: nil},
			"errors": []object{{
				"type": "NOT_FOUND", "path": []string{mutation},
				"message": fmt.Sprintf("Could not resolve to a node with the global id of '%s'.", request.Variables.ID),
			}},
		})
		return
	}
	p.Draft = mutation == "convertPullRequestToDraft"
	answer(w, http.StatusOK, object{"data": object{mutation: object{"pullRequest": object{"isDraft": p.Draft}}}})
}

func gitHubPull(p *Pull) object {
	labels := make([]object, 0, len(p.Labels))
	for _, label := range p.Labels {
		labels = append(labels, object{"id": id(label), "name": label, "color": "ededed"})
	}
	return object{
		"id": 1000 + p.Number, "node_id": fmt.Sprintf("PR_%d", p.Number), "number": p.Number,
		"html_url": fmt.Sprintf("https://github.example/%s/pull/%d", Repository, p.Number),
		"state":    "open", "locked": false, "title": p.Title, "body": p.Body, "draft": p.Draft,
		"user": user(p.Author), "labels": labels,
		"created_at": p.Created, "updated_at": p.Updated, "closed_at": nil, "merged_at": nil,
		"head": gitHubBranch(p.Repository, p.Branch, p.Commits[len(p.Commits)-1]),
		"base": gitHubBranch(Repository, p.Base, SHA(p.Base)),
	}
}

func gitHubBranch(repository, branch, sha string) object {
	b := object{"label": ownerOf(repository) + ":" + branch, "ref": branch, "sha": sha, "repo": nil}
	if repository != Gone {
		b["repo"] = object{"id": id(repository), "full_name": repository, "fork": repository != Repository}
	}
	return b
}

func ownerOf(repository string) string {
	owner, _, _ := strings.Cut(repository, "/")
	return owner
}
