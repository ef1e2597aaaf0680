package scmtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// gitea serves what Gitea's routers/api/v1/repo/pull.go does.
func (s *Server) gitea(string) http.Handler {
	mux := http.NewServeMux()
	const repository = "/api/v1/repos/" + Repository
	mux.HandleFunc("GET "+repository+"/branches", s.giteaBranches)
	mux.HandleFunc("GET "+repository+"/pulls", s.giteaAllowed(s.giteaList))
	mux.HandleFunc("POST "+repository+"/pulls", s.giteaAllowed(s.giteaCreate))
	mux.HandleFunc("PATCH "+repository+"/pulls/{number}", s.giteaEdit)
	mux.HandleFunc("GET "+repository+"/pulls/{number}/commits", s.giteaCommits)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { giteaNotFound(w) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "token "+Token {
			giteaError(w, http.StatusUnauthorized, "invalid username, password or token")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func giteaError(w http.ResponseWriter, status int, message string) {
	answer(w, status, object{"message": message, "url": "https://git.example/api/swagger"})
}

func giteaNotFound(w http.ResponseWriter) {
	answer(w, http.StatusNotFound, object{"errors": []string{}, "message": "The target couldn't be found.", "url": "https://git.example/api/swagger"})
}

// giteaAllowed is its mustAllowPulls: of an empty repository it knows no pull requests.
func (s *Server) giteaAllowed(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		empty := len(s.branches) == 0
		s.mu.Unlock()
		if empty {
			giteaNotFound(w)
			return
		}
		serve(w, r)
	}
}

func (s *Server) giteaBranches(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.branches) == 0 {
		answer(w, http.StatusOK, nil) // null, as Gitea's
		return
	}
	names := slices.Sorted(maps.Keys(s.branches))
	size := size(r.URL.Query(), "limit", giteaMost)
	_, begin, end := window(r, len(names), size)
	documents := make([]object, 0, size)
	for _, name := range names[begin:end] {
		documents = append(documents, object{"name": name, "commit": object{"id": SHA(name)}})
	}
	answer(w, http.StatusOK, documents)
}

// giteaMost is its MAX_RESPONSE_ITEMS.
const giteaMost = 50

func (s *Server) giteaList(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.open(func(*Pull) bool { return true })
	size := size(r.URL.Query(), "limit", giteaMost)
	page, begin, end := window(r, len(all), size)
	link(w, r, page, size, len(all))
	w.Header().Set("X-Total-Count", strconv.Itoa(len(all)))
	documents := make([]object, 0, size)
	for _, p := range all[begin:end] {
		documents = append(documents, giteaPull(p))
	}
	answer(w, http.StatusOK, documents)
}

func (s *Server) giteaCreate(w http.ResponseWriter, r *http.Request) {
	var change struct {
		Title string `json:"title"`
		Head  string `json:"head"`
		Base  string `json:"base"`
		Body  string `json:"body"`
	}
	if json.NewDecoder(r.Body).Decode(&change) != nil {
		giteaError(w, http.StatusUnprocessableEntity, "[]: invalid JSON")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.branches[change.Head] || !s.branches[change.Base] {
		giteaNotFound(w)
		return
	}
	if there := s.open(func(p *Pull) bool { return p.Branch == change.Head && p.Base == change.Base }); there != nil {
		giteaError(w, http.StatusConflict, fmt.Sprintf("pull request already exists for these targets [id: %d]", there[0].Number))
		return
	}
	p := &Pull{Title: change.Title, Body: change.Body, Branch: change.Head, Base: change.Base}
	s.add(p)
	answer(w, http.StatusCreated, giteaPull(p))
}

func (s *Server) giteaEdit(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	number, _ := strconv.Atoi(r.PathValue("number"))
	p, ok := s.pulls[number]
	if !ok {
		giteaNotFound(w)
		return
	}
	var change struct {
		Title string  `json:"title"`
		Body  *string `json:"body"`
		State string  `json:"state"`
	}
	if json.NewDecoder(r.Body).Decode(&change) != nil {
		giteaError(w, http.StatusUnprocessableEntity, "[]: invalid JSON")
		return
	}
	if change.Title != "" {
		p.Title = change.Title
	}
	if change.Body != nil {
		p.Body = *change.Body
	}
	p.Closed = p.Closed || change.State == "closed"
	answer(w, http.StatusCreated, giteaPull(p))
}

// giteaCommits lists the newest first.
func (s *Server) giteaCommits(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	number, _ := strconv.Atoi(r.PathValue("number"))
	p, ok := s.pulls[number]
	if !ok {
		giteaNotFound(w)
		return
	}
	size := size(r.URL.Query(), "limit", giteaMost)
	page, begin, end := window(r, len(p.Commits), size)
	link(w, r, page, size, len(p.Commits))
	w.Header().Set("X-Total-Count", strconv.Itoa(len(p.Commits)))
	documents := make([]object, 0, size)
	for i := begin; i < end; i++ {
		documents = append(documents, object{"sha": p.Commits[len(p.Commits)-1-i], "commit": object{"message": "change"}})
	}
	answer(w, http.StatusOK, documents)
}

func giteaPull(p *Pull) object {
	labels := make([]object, 0, len(p.Labels))
	for _, label := range p.Labels {
		labels = append(labels, object{"id": id(label), "name": label, "color": "ededed"})
	}
	return object{
		"id": 1000 + p.Number, "number": p.Number, "user": user(p.Author),
		"title": p.Title, "body": p.Body, "labels": labels, "state": "open",
		// The title decides whether it is a draft: [repository.pull-request] WORK_IN_PROGRESS_PREFIXES.
		"draft":      strings.HasPrefix(strings.ToUpper(p.Title), "WIP:") || strings.HasPrefix(strings.ToUpper(p.Title), "[WIP]"),
		"html_url":   fmt.Sprintf("https://git.example/%s/pulls/%d", Repository, p.Number),
		"head":       giteaBranch(p.Repository, p.Branch, p.Commits[len(p.Commits)-1]),
		"base":       giteaBranch(Repository, p.Base, SHA(p.Base)),
		"created_at": p.Created, "updated_at": p.Updated, "closed_at": nil,
	}
}

func giteaBranch(repository, branch, sha string) object {
	b := object{"label": branch, "ref": branch, "sha": sha, "repo_id": 0, "repo": nil}
	if repository != Gone {
		b["repo_id"], b["repo"] = id(repository), object{"id": id(repository), "full_name": repository}
	}
	return b
}
