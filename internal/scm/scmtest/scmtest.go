package scmtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// T is what is needed of a *testing.T; scripts have another one.
type T interface {
	Helper()
	Fatal(arguments ...any)
	Cleanup(clean func())
}

// Token is the only one that the forges know.
const Token = "forge-token-5f2d1c" //nolint:gosec // of a fake

// Repository is the one that the forges have, Fork another's copy of it, and Gone a copy
// that was deleted.
const (
	Repository = "shop/web"
	Fork       = "mallory/web"
	Gone       = "gone"
)

// Pull is a pull request as the forge keeps it.
type Pull struct {
	Number int
	Title  string
	Body   string
	Branch string
	Base   string
	// Commits of it, the oldest first; the last is its head.
	Commits []string
	// Repository that the head is in: Repository, Fork or Gone.
	Repository string
	// Author is a login, or Gone where the account was deleted.
	Author  string
	Draft   bool
	Closed  bool
	Labels  []string
	Created time.Time
	Updated time.Time
}

// Server is a forge on a loopback port.
type Server struct {
	// URL of its API, as internal/scm is given it.
	URL string

	mu       sync.Mutex
	pulls    map[int]*Pull
	branches map[string]bool
	requests []string
	before   func(w http.ResponseWriter, r *http.Request) bool
}

// GitHub starts a fake of api.github.com.
func GitHub(t T) *Server { return start(t, (*Server).gitHub, "") }

// GitHubEnterprise starts a fake of an Enterprise Server, whose API has a path.
func GitHubEnterprise(t T) *Server { return start(t, (*Server).gitHub, "/api/v3") }

// Gitea starts a fake of Gitea.
func Gitea(t T) *Server { return start(t, (*Server).gitea, "") }

func start(t T, routes func(*Server, string) http.Handler, path string) *Server {
	t.Helper()
	s := &Server{pulls: map[int]*Pull{}, branches: map[string]bool{"main": true}}
	handler := routes(s, path)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
		before := s.before
		s.mu.Unlock()
		if before != nil && before(w, r) {
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL + path
	return s
}

// Before sets a function that sees each request first; it returns true if it responded.
func (s *Server) Before(answer func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before = answer
}

// Requests are those that were made, as METHOD PATH?QUERY.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// SHA is a commit's name, the same for the same words.
func SHA(words ...any) string {
	return strings.Repeat(fmt.Sprintf("%08x", hash(fmt.Sprint(words...))), 5)
}

func hash(s string) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = (h ^ uint32(s[i])) * 16777619
	}
	return h
}

// Add opens a pull request or changes it. What is empty gets what is usual.
func (s *Server) Add(p Pull) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(&p)
}

func (s *Server) add(p *Pull) {
	if p.Number == 0 {
		p.Number = 1 + slices.Max(append(slices.Collect(maps.Keys(s.pulls)), 0))
	}
	p.Branch = cmp.Or(p.Branch, fmt.Sprintf("feature/%d", p.Number))
	p.Title = cmp.Or(p.Title, fmt.Sprintf("Feature %d", p.Number))
	p.Base = cmp.Or(p.Base, "main")
	p.Repository = cmp.Or(p.Repository, Repository)
	p.Author = cmp.Or(p.Author, "ana")
	if p.Commits == nil {
		p.Commits = []string{SHA("pull", p.Number)}
	}
	if p.Created.IsZero() {
		p.Created = time.Date(2026, 11, 1, 12, p.Number%60, 0, 0, time.UTC)
	}
	if p.Updated.IsZero() {
		p.Updated = p.Created
	}
	s.pulls[p.Number] = p
}

// Change changes a pull request.
func (s *Server) Change(number int, change func(p *Pull)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s.pulls[number])
}

// Close closes a pull request, unmerged.
func (s *Server) Close(number int) { s.Change(number, func(p *Pull) { p.Closed = true }) }

// Push makes a branch that a pull request can be opened from.
func (s *Server) Push(branch string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.branches[branch] = true
}

// Empty removes all branches: the state of a repository until the forge has processed
// at its first push.
func (s *Server) Empty() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.branches)
}

// Pull is a pull request as it is now.
func (s *Server) Pull(number int) Pull {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *s.pulls[number]
}

// open are the open pull requests that a listing selects, the oldest first.
func (s *Server) open(selected func(*Pull) bool) []*Pull {
	var all []*Pull
	for _, number := range slices.Sorted(maps.Keys(s.pulls)) {
		if p := s.pulls[number]; !p.Closed && selected(p) {
			all = append(all, p)
		}
	}
	return all
}

// window is the part of a list that a page has.
func window(r *http.Request, total, size int) (page, begin, end int) {
	page, _ = strconv.Atoi(r.URL.Query().Get("page"))
	page = max(page, 1)
	begin = min((page-1)*size, total)
	return page, begin, min(begin+size, total)
}

// link is the header that names the other pages.
func link(w http.ResponseWriter, r *http.Request, page, size, total int) {
	last := (total + size - 1) / size
	var links []string
	add := func(rel string, number int) {
		u := *r.URL
		u.Scheme, u.Host = "http", r.Host
		query := u.Query()
		query.Set("page", strconv.Itoa(number))
		u.RawQuery = query.Encode()
		links = append(links, fmt.Sprintf("<%s>; rel=%q", u.String(), rel))
	}
	if page < last {
		add("next", page+1)
		add("last", last)
	}
	if page > 1 {
		add("prev", page-1)
		add("first", 1)
	}
	if links != nil {
		w.Header().Set("Link", strings.Join(links, ", "))
	}
}

// size returns the requested page size, at most the forge's maximum.
func size(query url.Values, key string, most int) int {
	requested, err := strconv.Atoi(query.Get(key))
	if err != nil || requested <= 0 {
		return 30 // both forges' own
	}
	return min(requested, most)
}

func answer(w http.ResponseWriter, status int, document any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document) // who went away needs no answer
}

// user returns an account; nil for one that was deleted.
func user(login string) object {
	if login == Gone {
		return nil
	}
	return object{"login": login, "id": id(login), "type": "User"}
}

// ids of the repositories.
func id(repository string) int64 { return int64(hash(repository)) }
