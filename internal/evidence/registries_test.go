package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
)

// quirk is how a registry differs from the distribution specification.
type quirk struct {
	name string
	try  func(*testing.T)
}

// quirks are the rows of docs/registries.md, in its order.
var quirks = []quirk{
	{"GHCR redirects referrers to pages with a rate limit", tryRedirect},
	{"GHCR answers 404 about referrers", func(t *testing.T) {
		tryStatus(t, http.StatusNotFound, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`)
	}},
	{"GHCR lists bundles by the type of their config", func(t *testing.T) {
		tryList(t, registrytest.WithoutReferrers, "/manifests/sha256-", func(entry map[string]any) {
			entry["artifactType"] = "application/vnd.oci.empty.v1+json"
		})
	}},
	{"GitLab takes the tag for the digest", tryTagIsDigest},
	{"GitLab refuses media types that it doesn't know", func(t *testing.T) {
		tryRefusal(t, http.StatusBadRequest, `{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid","detail":"unknown media type"}]}`, "OCI 1.1 artifacts")
	}},
	{"tags are immutable", tryImmutableTags},
	{"ECR answers 404 about referrers", func(t *testing.T) { tryStatus(t, http.StatusNotFound, "") }},
	{"ECR sends OCI-Subject without a Referrers API", func(t *testing.T) { trySubjectHeader(t, registrytest.WithoutReferrers) }},
	{"ECR sends referrers in pages", func(t *testing.T) { tryPages(t, `</v2/shop/web/referrers/%s?nextToken=%d>; rel="next"`, "nextToken") }},
	{"ECR refuses manifests with a subject", func(t *testing.T) {
		tryRefusal(t, http.StatusMethodNotAllowed, `{"errors":[{"code":"UNSUPPORTED","message":"Invalid parameter at 'ImageManifest'"}]}`, "OCI 1.1 artifacts")
	}},
	{"ECR creates no repository", tryNoRepository},
	{"Harbor lists bundles by the type of their config", func(t *testing.T) {
		tryList(t, registrytest.WithReferrers, "/referrers/", func(entry map[string]any) {
			entry["artifactType"] = "application/vnd.oci.empty.v1+json"
		})
	}},
	{"Harbor ignores the filter by artifact type", tryNoFilter},
	{"Harbor's proxy cache lists no referrers", tryProxyCache},
	{"Harbor's proxy cache passes links of its upstream on", func(t *testing.T) {
		tryPages(t, `<https://upstream.example.com/v2/library/web/referrers/%s?last=%d>; rel="next"`, "last")
	}},
	{"Harbor's proxy cache lists new referrers late", tryLateList},
	{"Artifactory answers 406 about referrers", func(t *testing.T) { tryStatus(t, http.StatusNotAcceptable, "") }},
	{"Artifactory answers 403 about a tag that doesn't exist", tryForbiddenTag},
	{"Quay sends no OCI-Subject", func(t *testing.T) { trySubjectHeader(t, registrytest.WithReferrers) }},
	{"Quay lists referrers without types and annotations", func(t *testing.T) {
		tryList(t, registrytest.WithReferrers, "/referrers/", func(entry map[string]any) {
			delete(entry, "artifactType")
			delete(entry, "annotations")
		})
	}},
	{"Quay refuses artifact types that it doesn't know", func(t *testing.T) {
		tryRefusal(t, http.StatusUnsupportedMediaType, `{"errors":[{"code":"MANIFEST_INVALID","message":"manifest schema version not supported"}]}`, "OCI 1.1 artifacts")
	}},
	{"Quay lists what was pushed before the Referrers API later", tryMigration},
	{"Docker Hub refuses a subject that isn't there", trySubjectMissing},
	{"Docker Hub limits the rate of requests", tryRateLimit},
	{"a page is sent with 200 about referrers", tryPage},
	{"an empty list is sent without a Referrers API", tryEmptyList},
	{"referrers are forbidden", func(t *testing.T) { tryForbiddenReferrers(t) }},
	{"the list under a tag grows too large", tryLargeTag},
}

func TestRegistries(t *testing.T) {
	for _, q := range quirks {
		t.Run(q.name, func(t *testing.T) {
			t.Parallel()
			q.try(t)
		})
	}
}

// TestRegistriesAreDocumented: each row of the table names its test, and each test has a
// row.
func TestRegistriesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/registries.md")
	check(t, err)
	var documented, tested []string
	for _, match := range regexp.MustCompile("`TestRegistries/([^`]*)`").FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, match[1])
	}
	for _, q := range quirks {
		tested = append(tested, strings.ReplaceAll(q.name, " ", "_"))
	}
	if !slices.Equal(documented, tested) {
		t.Errorf("documented:\n%s\ntested:\n%s", strings.Join(documented, "\n"), strings.Join(tested, "\n"))
	}
}

// prove attests a signature and a soak, and wants both to be found.
func (w fixture) prove(t *testing.T) {
	t.Helper()
	ci, observer := newKey(t), newKey(t)
	w.attest(t, ci, gate.PredicateSignature, map[string]any{})
	w.attest(t, observer, gate.PredicateSoak, json.RawMessage(aSoak))
	got, err := w.fetch(t, inGate("ci", ci), inGate("observer", observer))
	if err != nil || len(got) != 2 {
		t.Errorf("%d of 2 statements are found, error %v", len(got), err)
	}
}

// tryAttest attests a signature, and returns the error.
func (w fixture) tryAttest(t *testing.T, signer *Signer) error {
	t.Helper()
	target, err := FindTarget(t.Context(), w.client, w.repository, w.digest)
	check(t, err)
	_, err = Attest(t.Context(), w.client, signer, target, gate.PredicateSignature, map[string]any{})
	return err
}

// wantAdvice wants an error that says what to do.
func wantAdvice(t *testing.T, err error, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want one with %q", err, part)
		}
	}
}

// on answers requests of a method for paths with this part.
func (w fixture) on(method, part string, answer http.HandlerFunc) {
	w.server.Also(func(response http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || !strings.Contains(r.URL.Path, part) {
			return false
		}
		answer(response, r)
		return true
	})
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

func tryRedirect(t *testing.T) {
	w := newFixture(t, registrytest.WithoutReferrers)
	var visits atomic.Int32
	pages := httptest.NewServer(http.HandlerFunc(func(response http.ResponseWriter, _ *http.Request) {
		visits.Add(1)
		response.WriteHeader(http.StatusTooManyRequests)
	}))
	t.Cleanup(pages.Close)
	w.on(http.MethodGet, "/referrers/", func(response http.ResponseWriter, r *http.Request) {
		http.Redirect(response, r, pages.URL+"/-/v2/packages/container/package/shop%2Fweb%2Freferrers%2Fsha256", http.StatusSeeOther)
	})
	w.prove(t)
	if visits.Load() > 0 {
		t.Errorf("the pages were visited %d times", visits.Load())
	}
}

// tryStatus has the registry answer so about referrers.
func tryStatus(t *testing.T, code int, body string) {
	w := newFixture(t, registrytest.WithoutReferrers)
	w.on(http.MethodGet, "/referrers/", status(code, body))
	w.prove(t)
}

// tryList has the registry list each referrer otherwise.
func tryList(t *testing.T, kind registrytest.Kind, path string, change func(entry map[string]any)) {
	w := newFixture(t, kind)
	w.server.Wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(response http.ResponseWriter, r *http.Request) {
			recorder := httptest.NewRecorder()
			next.ServeHTTP(recorder, r)
			body := recorder.Body.Bytes()
			var index map[string]any
			if r.Method == http.MethodGet && strings.Contains(r.URL.Path, path) && json.Unmarshal(body, &index) == nil {
				entries, _ := index["manifests"].([]any)
				for _, entry := range entries {
					change(entry.(map[string]any))
				}
				body, _ = json.Marshal(index)
				recorder.Header().Set("Content-Length", fmt.Sprint(len(body)))
			}
			maps.Copy(response.Header(), recorder.Header())
			response.WriteHeader(recorder.Code)
			_, _ = response.Write(body)
		})
	})
	w.prove(t)
}

func tryTagIsDigest(t *testing.T) {
	w := newFixture(t, registrytest.WithoutReferrers)
	w.digest, _ = w.server.Index(t, "shop/web", "linux/amd64", "linux/arm64")
	w.server.Wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(response http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet || r.Method == http.MethodHead {
				r.URL.Path = strings.Replace(r.URL.Path, "/v2/shop/web/manifests/sha256-", "/v2/shop/web/manifests/sha256:", 1)
			}
			next.ServeHTTP(response, r)
		})
	})
	ci := newKey(t)
	if listed, err := w.client.Referrers(t.Context(), w.repository, w.digest); err != nil || len(listed) != 0 {
		t.Errorf("the image's platforms are listed as its referrers: %v, %v", listed, err)
	}
	wantAdvice(t, w.tryAttest(t, ci), "--evidence")

	// In another repository the digest isn't there, so the tag is one.
	target, err := FindTarget(t.Context(), w.client, w.repository, w.digest)
	check(t, err)
	target.Evidence = w.server.Name("shop/evidence")
	_, err = Attest(t.Context(), w.client, ci, target, gate.PredicateSignature, map[string]any{})
	check(t, err)
	query := w.query(inGate("ci", ci))
	query.Image.Evidence = target.Evidence
	if got, err := w.store.Fetch(t.Context(), query); err != nil || len(got) != 1 {
		t.Errorf("evidence %+v, error %v", got, err)
	}
}

// tryRefusal has the registry refuse manifests with a subject.
func tryRefusal(t *testing.T, code int, body, advice string) {
	w := newFixture(t, registrytest.WithoutReferrers)
	w.server.Wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(response http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, "/v2/shop/web/manifests/") {
				content, _ := io.ReadAll(r.Body)
				if bytes.Contains(content, []byte(`"subject"`)) {
					status(code, body)(response, r)
					return
				}
				r.Body = io.NopCloser(bytes.NewReader(content))
			}
			next.ServeHTTP(response, r)
		})
	})
	ci := newKey(t)
	wantAdvice(t, w.tryAttest(t, ci), advice, "--evidence", "images[].evidence")
	if got, err := w.fetch(t, inGate("ci", ci)); err != nil || len(got) != 0 {
		t.Errorf("evidence %+v, error %v", got, err)
	}
}

func tryImmutableTags(t *testing.T) {
	w := newFixture(t, registrytest.WithoutReferrers)
	var writes atomic.Int32
	w.server.Also(func(response http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/sha256-") || writes.Add(1) == 1 {
			return false
		}
		status(http.StatusBadRequest, `{"errors":[{"code":"TAG_INVALID","message":"the image tag already exists and the repository is immutable"}]}`)(response, r)
		return true
	})
	ci := newKey(t)
	check(t, w.tryAttest(t, ci))
	wantAdvice(t, w.tryAttest(t, newKey(t)), "immutable", "--evidence")
	if got, err := w.fetch(t, inGate("ci", ci)); err != nil || len(got) != 1 {
		t.Errorf("evidence %+v, error %v", got, err)
	}
}

// trySubjectHeader has the registry send OCI-Subject where it has no Referrers API, and
// leave it out where it has one.
func trySubjectHeader(t *testing.T, kind registrytest.Kind) {
	w := newFixture(t, kind)
	w.server.Wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(response http.ResponseWriter, r *http.Request) {
			recorder := httptest.NewRecorder()
			next.ServeHTTP(recorder, r)
			maps.Copy(response.Header(), recorder.Header())
			response.Header().Del("Oci-Subject")
			if kind == registrytest.WithoutReferrers && r.Method == http.MethodPut {
				response.Header().Set("Oci-Subject", w.digest)
			}
			response.WriteHeader(recorder.Code)
			_, _ = response.Write(recorder.Body.Bytes())
		})
	})
	w.prove(t)
}

// tryPages has the registry send one referrer a page, with such a link to the next.
func tryPages(t *testing.T, link, parameter string) {
	w := newFixture(t, registrytest.WithReferrers)
	w.server.Wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(response http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/referrers/") {
				next.ServeHTTP(response, r)
				return
			}
			recorder := httptest.NewRecorder()
			next.ServeHTTP(recorder, r)
			var index map[string]any
			_ = json.Unmarshal(recorder.Body.Bytes(), &index)
			entries, _ := index["manifests"].([]any)
			slices.SortFunc(entries, func(a, b any) int {
				return strings.Compare(fmt.Sprint(a.(map[string]any)["digest"]), fmt.Sprint(b.(map[string]any)["digest"]))
			})
			page := 0
			_, _ = fmt.Sscan(r.URL.Query().Get(parameter), &page)
			if page+1 < len(entries) {
				response.Header().Set("Link", fmt.Sprintf(link, w.digest, page+1))
			}
			if page < len(entries) {
				index["manifests"] = entries[page : page+1]
			}
			response.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			_ = json.NewEncoder(response).Encode(index)
		})
	})
	w.prove(t)
}

func tryNoRepository(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	w.server.Also(func(response http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/v2/shop/evidence/") {
			return false
		}
		status(http.StatusNotFound, `{"errors":[{"code":"NAME_UNKNOWN","message":"The repository with name 'shop/evidence' does not exist in the registry"}]}`)(response, r)
		return true
	})
	ci := newKey(t)
	target, err := FindTarget(t.Context(), w.client, w.repository, w.digest)
	check(t, err)
	target.Evidence = w.server.Name("shop/evidence")
	_, err = Attest(t.Context(), w.client, ci, target, gate.PredicateSignature, map[string]any{})
	wantAdvice(t, err, "create the repository")
	query := w.query(inGate("ci", ci))
	query.Image.Evidence = target.Evidence
	if got, err := w.store.Fetch(t.Context(), query); err != nil || len(got) != 0 {
		t.Errorf("evidence %+v, error %v", got, err)
	}
}

func tryNoFilter(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	w.server.Also(func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, "/referrers/") && r.URL.RawQuery != "" {
			t.Errorf("the registry was asked for %q", r.URL.RawQuery)
		}
		return false
	})
	w.server.Attach(t, "shop/web", w.digest, "application/vnd.example.other", []byte("{}"), nil)
	w.prove(t)
}

func tryProxyCache(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	ci := newKey(t)
	w.attest(t, ci, gate.PredicateSignature, map[string]any{})
	proxy := registrytest.Start(t, registrytest.WithReferrers)
	query := w.query(inGate("ci", ci))
	query.Image.Repository = proxy.Name("shop/web")
	if got, err := w.store.Fetch(t.Context(), query); err != nil || len(got) != 0 {
		t.Errorf("by the proxy: evidence %+v, error %v", got, err)
	}
	if got, err := w.fetch(t, inGate("ci", ci)); err != nil || len(got) != 1 {
		t.Errorf("by its upstream: evidence %+v, error %v", got, err)
	}
}

func tryLateList(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	var reads atomic.Int32
	w.server.Also(func(response http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/referrers/") || reads.Add(1) > 2 {
			return false
		}
		emptyList(response, r)
		return true
	})
	w.server.Also(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/sha256-") {
			t.Error("the list was written under a tag")
		}
		return false
	})
	w.prove(t)
}

func emptyList(response http.ResponseWriter, _ *http.Request) {
	response.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	_, _ = io.WriteString(response, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`)
}

func tryForbiddenTag(t *testing.T) {
	denied := status(http.StatusForbidden, `{"errors":[{"code":"UNAUTHORIZED","message":"The client does not have permission for manifest"}]}`)
	with := newFixture(t, registrytest.WithReferrers)
	with.on(http.MethodGet, "/manifests/sha256-", denied)
	with.prove(t)

	without := newFixture(t, registrytest.WithoutReferrers)
	without.on(http.MethodGet, "/manifests/sha256-", denied)
	wantAdvice(t, without.tryAttest(t, newKey(t)), "a missing tag", "--evidence")
	var nothing *NothingReadError
	if _, err := without.fetch(t, inGate("ci", newKey(t))); !errors.As(err, &nothing) {
		t.Errorf("error %v, want that it isn't known", err)
	}
}

func tryMigration(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	ci, observer := newKey(t), newKey(t)
	w.on(http.MethodGet, "/referrers/", http.NotFound)
	w.attest(t, ci, gate.PredicateSignature, map[string]any{})
	before, err := w.client.Referrers(t.Context(), w.repository, w.digest)
	check(t, err)

	// The API comes, and lists what is pushed from now on.
	w.server.Before(func(http.ResponseWriter, *http.Request) bool { return false })
	w.server.Wrap(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(response http.ResponseWriter, r *http.Request) {
			if !strings.Contains(r.URL.Path, "/referrers/") {
				next.ServeHTTP(response, r)
				return
			}
			recorder := httptest.NewRecorder()
			next.ServeHTTP(recorder, r)
			var index map[string]any
			_ = json.Unmarshal(recorder.Body.Bytes(), &index)
			entries, _ := index["manifests"].([]any)
			index["manifests"] = slices.DeleteFunc(entries, func(entry any) bool {
				return entry.(map[string]any)["digest"] == before[0].Digest
			})
			response.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			_ = json.NewEncoder(response).Encode(index)
		})
	})
	w.attest(t, observer, gate.PredicateSoak, json.RawMessage(aSoak))
	if got, err := w.fetch(t, inGate("ci", ci), inGate("observer", observer)); err != nil || len(got) != 2 {
		t.Errorf("evidence %+v, error %v; want both", got, err)
	}
}

func trySubjectMissing(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	w.on(http.MethodPut, "/v2/shop/evidence/manifests/", status(http.StatusNotFound, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"subject unknown"}]}`))
	target, err := FindTarget(t.Context(), w.client, w.repository, w.digest)
	check(t, err)
	target.Evidence = w.server.Name("shop/evidence")
	_, err = Attest(t.Context(), w.client, newKey(t), target, gate.PredicateSignature, map[string]any{})
	wantAdvice(t, err, "attest next to the image")
	w.prove(t)
}

func tryRateLimit(t *testing.T) {
	w := newFixture(t, registrytest.WithReferrers)
	ci, observer := newKey(t), newKey(t)
	w.attest(t, ci, gate.PredicateSignature, map[string]any{})
	soak := w.attest(t, observer, gate.PredicateSoak, json.RawMessage(aSoak))
	w.on(http.MethodGet, "/manifests/"+soak.Digest, func(response http.ResponseWriter, r *http.Request) {
		response.Header().Set("Retry-After", "3600")
		status(http.StatusTooManyRequests, `{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit"}]}`)(response, r)
	})
	got, err := w.fetch(t, inGate("ci", ci), inGate("observer", observer))
	if len(got) != 1 || err == nil || !strings.Contains(err.Error(), "TOOMANYREQUESTS") {
		t.Errorf("evidence %+v, error %v; want the signature, and why there is no more", got, err)
	}
}

func tryPage(t *testing.T) {
	w := newFixture(t, registrytest.WithoutReferrers)
	w.on(http.MethodGet, "/referrers/", func(response http.ResponseWriter, _ *http.Request) {
		response.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(response, "<!doctype html><title>Sign in</title>")
	})
	w.prove(t)
}

func tryEmptyList(t *testing.T) {
	w := newFixture(t, registrytest.WithoutReferrers)
	w.on(http.MethodGet, "/referrers/", emptyList)
	w.prove(t)
}

// tryForbiddenReferrers: whether there is an API isn't known, so both lists are used, and
// a denial says what may be missing.
func tryForbiddenReferrers(t *testing.T) {
	for _, code := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusInternalServerError} {
		w := newFixture(t, registrytest.WithoutReferrers)
		w.on(http.MethodGet, "/referrers/", status(code, ""))
		ci := newKey(t)
		w.attest(t, ci, gate.PredicateSignature, map[string]any{})
		got, err := w.fetch(t, inGate("ci", ci))
		var failed *registry.Error
		if len(got) != 1 || !errors.As(err, &failed) || !strings.Contains(err.Error(), fmt.Sprint(code)) {
			t.Errorf("HTTP %d: evidence %+v, error %v", code, got, err)
		}
	}
}

func tryLargeTag(t *testing.T) {
	w := newFixture(t, registrytest.WithoutReferrers)
	w.on(http.MethodPut, "/manifests/sha256-", status(http.StatusRequestEntityTooLarge, ""))
	wantAdvice(t, w.tryAttest(t, newKey(t)), "larger than the registry allows", "--evidence")

	full := newFixture(t, registrytest.WithoutReferrers)
	full.on(http.MethodGet, "/manifests/sha256-", func(response http.ResponseWriter, _ *http.Request) {
		response.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
		_, _ = fmt.Fprintf(response, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"annotations":{"x":"%s"}}`,
			strings.Repeat("x", registry.MaxManifest-200))
	})
	wantAdvice(t, full.tryAttest(t, newKey(t)), "under tag", "--evidence")
}
