package promotetest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi" //nolint:gosec // git implements it, and this Go has the fix
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Token is the token that the forge accepts.
const Token = "t0ken-of-the-test" //nolint:gosec // a test's

// PullRequest is a pull request on the forge.
type PullRequest struct {
	Number            int
	Title, Body       string
	Head, Base, State string
}

// Forge serves the repositories of a folder (OWNER/NAME.git) over HTTP, and the pull
// requests of Gitea's API.
type Forge struct {
	// URL of the forge.
	URL string
	// Root is the folder of the repositories.
	Root string

	mu     sync.Mutex
	pulls  []*PullRequest
	writes int
	before func(method string)
	draft  string
}

// StartForge starts a forge that ends with the test.
func StartForge(t T) *Forge {
	t.Helper()
	root, err := os.MkdirTemp("", "promotetest-")
	check(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(root) })
	f := &Forge{Root: root, draft: "WIP:"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/repos/{owner}/{name}/pulls", f.list)
	mux.HandleFunc("POST /api/v1/repos/{owner}/{name}/pulls", f.create)
	mux.HandleFunc("PATCH /api/v1/repos/{owner}/{name}/pulls/{number}", f.edit)
	mux.Handle("/", gitHandler(t, root))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	f.URL = server.URL
	return f
}

// gitHandler returns git's own HTTP server.
func gitHandler(t T, root string) http.Handler {
	out, err := exec.Command("git", "--exec-path").Output() //nolint:noctx // a test's
	check(t, err)
	return &cgi.Handler{
		Stderr: io.Discard, // clients get the error
		Path:   filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"),
		Env: []string{
			"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "REMOTE_USER=ana",
			"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		},
	}
}

// PullRequests returns copies of all pull requests, including closed ones.
func (f *Forge) PullRequests() []PullRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	pulls := make([]PullRequest, len(f.pulls))
	for i, p := range f.pulls {
		pulls[i] = *p
	}
	return pulls
}

// Close closes a pull request, as people do.
func (f *Forge) Close(number int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pulls[number-1].State = "closed"
}

// Writes returns the number of requests that change something.
func (f *Forge) Writes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes
}

// Before sets a function that is called before each request.
func (f *Forge) Before(call func(method string)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = call
}

// DraftPrefix sets the prefix of a draft's title (Gitea's WORK_IN_PROGRESS_PREFIXES) in
// place of `WIP:`.
func (f *Forge) DraftPrefix(prefix string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.draft = prefix
}

// enter authenticates and counts a request.
func (f *Forge) enter(w http.ResponseWriter, r *http.Request) bool {
	f.mu.Lock()
	before := f.before
	if r.Method != http.MethodGet {
		f.writes++
	}
	f.mu.Unlock()
	if before != nil {
		before(r.Method)
	}
	if r.Header.Get("Authorization") != "token "+Token {
		respond(w, http.StatusUnauthorized, map[string]string{"message": "invalid username, password or token"})
		return false
	}
	return true
}

func (f *Forge) list(w http.ResponseWriter, r *http.Request) {
	if !f.enter(w, r) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	all := []map[string]any{}
	for _, p := range f.pulls {
		if p.State == "open" && r.URL.Query().Get("page") == "1" {
			all = append(all, f.json(r, p))
		}
	}
	respond(w, http.StatusOK, all)
}

type change struct {
	Title string  `json:"title"`
	Body  *string `json:"body"`
	Head  string  `json:"head"`
	Base  string  `json:"base"`
	State string  `json:"state"`
}

func (f *Forge) create(w http.ResponseWriter, r *http.Request) {
	var c change
	if !f.enter(w, r) || !read(w, r, &c) {
		return
	}
	if f.sha(r, c.Head) == "" || f.sha(r, c.Base) == "" {
		respond(w, http.StatusNotFound, map[string]string{"message": "The target couldn't be found."})
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if slices.ContainsFunc(f.pulls, func(p *PullRequest) bool { return p.State == "open" && p.Head == c.Head && p.Base == c.Base }) {
		respond(w, http.StatusConflict, map[string]string{"message": "pull request already exists for these targets"})
		return
	}
	p := &PullRequest{Number: len(f.pulls) + 1, Title: c.Title, Head: c.Head, Base: c.Base, State: "open"}
	if c.Body != nil {
		p.Body = *c.Body
	}
	f.pulls = append(f.pulls, p)
	respond(w, http.StatusCreated, f.json(r, p))
}

func (f *Forge) edit(w http.ResponseWriter, r *http.Request) {
	var c change
	if !f.enter(w, r) || !read(w, r, &c) {
		return
	}
	number, err := strconv.Atoi(r.PathValue("number"))
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil || number < 1 || number > len(f.pulls) {
		respond(w, http.StatusNotFound, map[string]string{"message": "no such pull request"})
		return
	}
	p := f.pulls[number-1]
	if c.Title != "" {
		p.Title = c.Title
	}
	if c.Body != nil {
		p.Body = *c.Body
	}
	if c.State == "closed" {
		p.State = c.State
	}
	respond(w, http.StatusCreated, f.json(r, p))
}

// json returns a pull request in Gitea's form.
func (f *Forge) json(r *http.Request, p *PullRequest) map[string]any {
	owner, name := r.PathValue("owner"), r.PathValue("name")
	side := func(branch string) map[string]any {
		return map[string]any{
			"label": branch, "ref": branch, "sha": f.sha(r, branch), "repo_id": 1,
			"repo": map[string]any{"id": 1, "name": name, "full_name": owner + "/" + name},
		}
	}
	return map[string]any{
		"id": p.Number, "number": p.Number, "title": p.Title, "body": p.Body, "state": p.State,
		"draft":    strings.HasPrefix(p.Title, f.draft),
		"html_url": fmt.Sprintf("%s/%s/%s/pulls/%d", f.URL, owner, name, p.Number),
		"head":     side(p.Head), "base": side(p.Base),
		"user": map[string]any{"login": "ana"}, "created_at": "2026-11-24T10:00:00Z", "updated_at": "2026-11-24T10:00:00Z",
	}
}

// sha returns the commit of a branch, or "".
func (f *Forge) sha(r *http.Request, branch string) string {
	bare := filepath.Join(f.Root, r.PathValue("owner"), r.PathValue("name")+".git")
	out, err := exec.CommandContext(r.Context(), "git", "-C", bare, "rev-parse", "--verify", "--quiet", "refs/heads/"+branch).Output() //nolint:gosec // a test's
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

func read(w http.ResponseWriter, r *http.Request, into any) bool {
	const most = 1 << 20 // far above a pull request's body
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, most)).Decode(into); err != nil {
		respond(w, http.StatusUnprocessableEntity, map[string]string{"message": err.Error()})
		return false
	}
	return true
}

func respond(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client is gone
}
