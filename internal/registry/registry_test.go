package registry_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
)

const artifactType = "application/vnd.example.note+json"

func push(t *testing.T, client *registry.Client, repository, digest, content string) string {
	t.Helper()
	subject, err := client.Manifest(t.Context(), repository, digest)
	if err != nil {
		t.Fatal(err)
	}
	attached, err := client.Push(t.Context(), repository, subject.Descriptor, registry.Artifact{
		Type: artifactType, Content: []byte(content), Annotations: map[string]string{"a": "b"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return attached
}

func TestPushIsListed(t *testing.T) {
	for name, kind := range registrytest.Kinds {
		t.Run(name, func(t *testing.T) {
			server := registrytest.Start(t, kind)
			client := registry.NewClient()
			repository := server.Name("shop/web")
			digest := server.Image(t, "shop/web")

			attached := push(t, client, repository, digest, "hello")
			listed, err := client.Referrers(t.Context(), repository, digest)
			if err != nil || len(listed) != 1 || listed[0].Digest != attached {
				t.Fatalf("Referrers = %+v, %v; want %s alone", listed, err, attached)
			}
			manifest, err := client.Manifest(t.Context(), repository, attached)
			if err != nil {
				t.Fatal(err)
			}
			if manifest.ArtifactType != artifactType || manifest.Annotations["a"] != "b" || len(manifest.Layers) != 1 {
				t.Fatalf("manifest = %+v", manifest)
			}
			blob, err := client.Blob(t.Context(), repository, manifest.Layers[0].Digest, manifest.Layers[0].Size)
			if err != nil || string(blob) != "hello" {
				t.Fatalf("Blob = %q, %v", blob, err)
			}
		})
	}
}

func TestPushConcurrentlyWithReferrersAPI(t *testing.T) {
	server := registrytest.Start(t, registrytest.WithReferrers)
	client := registry.NewClient()
	repository := server.Name("shop/web")
	digest := server.Image(t, "shop/web")
	subject, err := client.Manifest(t.Context(), repository, digest)
	if err != nil {
		t.Fatal(err)
	}
	const pushers = 8
	var group sync.WaitGroup
	for i := range pushers {
		group.Go(func() {
			if _, err := client.Push(t.Context(), repository, subject.Descriptor, registry.Artifact{Type: artifactType, Content: fmt.Append(nil, i)}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if listed, err := client.Referrers(t.Context(), repository, digest); err != nil || len(listed) != pushers {
		t.Errorf("%d are listed, %v; want %d", len(listed), err, pushers)
	}
}

func TestPushRepeatsOverwrittenTag(t *testing.T) {
	server := registrytest.Start(t, registrytest.WithoutReferrers)
	client := registry.NewClient()
	repository := server.Name("shop/web")
	digest := server.Image(t, "shop/web")
	// The first time that the list is written, it gets lost.
	var lost atomic.Bool
	tag := strings.Replace(digest, ":", "-", 1)
	server.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/"+tag) && lost.CompareAndSwap(false, true) {
			w.WriteHeader(http.StatusCreated)
			return true
		}
		return false
	})
	attached := push(t, client, repository, digest, "hello")
	if !lost.Load() {
		t.Fatal("nothing was lost")
	}
	listed, err := client.Referrers(t.Context(), repository, digest)
	if err != nil || len(listed) != 1 || listed[0].Digest != attached {
		t.Fatalf("Referrers = %+v, %v; want %s alone", listed, err, attached)
	}
}

func TestReferrersOfUnknownImage(t *testing.T) {
	for name, kind := range registrytest.Kinds {
		t.Run(name, func(t *testing.T) {
			server := registrytest.Start(t, kind)
			client := registry.NewClient()
			listed, err := client.Referrers(t.Context(), server.Name("shop/web"), "sha256:"+strings.Repeat("0", 64))
			if err != nil || len(listed) != 0 {
				t.Errorf("Referrers = %v, %v", listed, err)
			}
			if _, err := client.Manifest(t.Context(), server.Name("shop/web"), "sha256:"+strings.Repeat("0", 64)); !errors.Is(err, registry.ErrNotFound) {
				t.Errorf("Manifest: %v, want ErrNotFound", err)
			}
		})
	}
}

func TestTagsAndIndexes(t *testing.T) {
	server := registrytest.Start(t, registrytest.WithReferrers)
	client := registry.NewClient()
	repository := server.Name("shop/web")
	digest, children := server.Index(t, "shop/web", "linux/amd64", "linux/arm64/v8", "unknown/unknown")
	server.Tag(t, "shop/web", "v1", digest)

	got, err := client.Digest(t.Context(), repository, "v1")
	if err != nil || got != digest {
		t.Errorf("Digest = %s, %v; want %s", got, err, digest)
	}
	if _, err := client.Digest(t.Context(), repository, "v2"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("Digest of a tag that isn't there: %v", err)
	}
	manifest, err := client.Manifest(t.Context(), repository, digest)
	if err != nil {
		t.Fatal(err)
	}
	var platforms, digests []string
	for _, child := range manifest.Children {
		platforms, digests = append(platforms, child.Platform), append(digests, child.Digest)
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64/v8", "unknown/unknown"}, platforms); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(children, digests); diff != "" {
		t.Error(diff)
	}
}

// answer has a server answer every read of a path with this.
func answer(server *registrytest.Server, path string, status int, header map[string]string, body string) {
	server.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, path) {
			return false
		}
		for key, value := range header {
			w.Header().Set(key, value)
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
		return true
	})
}

func TestBlobIsBoundedAndVerified(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0", 64)
	for name, test := range map[string]struct {
		path string
		body string
		read func(*registry.Client, context.Context, string) error
		want error // or any, where nil
	}{
		"a manifest that is too large": {
			"/manifests/", strings.Repeat(" ", registry.MaxManifest+1),
			func(c *registry.Client, ctx context.Context, repository string) error {
				_, err := c.Manifest(ctx, repository, digest)
				return err
			}, registry.ErrTooLarge,
		},
		"a manifest with other content": {
			"/manifests/", "{}",
			func(c *registry.Client, ctx context.Context, repository string) error {
				_, err := c.Manifest(ctx, repository, digest)
				return err
			}, nil,
		},
		"a blob that is too large": {
			"/blobs/", strings.Repeat(" ", registry.MaxBlob+1),
			func(c *registry.Client, ctx context.Context, repository string) error {
				_, err := c.Blob(ctx, repository, digest, registry.MaxBlob+1)
				return err
			}, registry.ErrTooLarge,
		},
		"a blob that is larger than its manifest says": {
			"/blobs/", strings.Repeat(" ", registry.MaxBlob),
			func(c *registry.Client, ctx context.Context, repository string) error {
				_, err := c.Blob(ctx, repository, digest, 1)
				return err
			}, registry.ErrOtherSize,
		},
		"a blob that is smaller than its manifest says": {
			"/blobs/", "{}",
			func(c *registry.Client, ctx context.Context, repository string) error {
				_, err := c.Blob(ctx, repository, digestOf("{}"), 3)
				return err
			}, registry.ErrOtherSize,
		},
		"a list of referrers larger than its bound": {
			"/referrers/", `{"x":"` + strings.Repeat("x", 32<<20) + `","manifests":[]}`,
			func(c *registry.Client, ctx context.Context, repository string) error {
				_, err := c.Referrers(ctx, repository, digest)
				return err
			}, registry.ErrTooLarge,
		},
		"a blob with other content": {
			"/blobs/", "{}",
			func(c *registry.Client, ctx context.Context, repository string) error {
				_, err := c.Blob(ctx, repository, digest, 2)
				return err
			}, nil,
		},
		"a list of referrers that is no JSON": {
			"/referrers/", "<html>",
			func(c *registry.Client, ctx context.Context, repository string) error {
				_, err := c.Referrers(ctx, repository, digest)
				return err
			}, nil,
		},
		"more referrers than anybody has": {
			"/referrers/", `{"manifests":[` + strings.Repeat(`{"digest":"`+digest+`"},`, registry.MaxReferrers) + `{"digest":"` + digest + `"}]}`,
			func(c *registry.Client, ctx context.Context, repository string) error {
				_, err := c.Referrers(ctx, repository, digest)
				return err
			}, registry.ErrTooLarge,
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := registrytest.Start(t, registrytest.WithReferrers)
			answer(server, test.path, http.StatusOK, map[string]string{"Content-Type": "application/vnd.oci.image.index.v1+json"}, test.body)
			err := test.read(registry.NewClient(), t.Context(), server.Name("shop/web"))
			if err == nil || test.want != nil && !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
		})
	}
}

func TestPaginationStaysInRegistry(t *testing.T) {
	server := registrytest.Start(t, registrytest.WithReferrers)
	digest := "sha256:" + strings.Repeat("0", 64)
	server.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/referrers/") {
			return false
		}
		w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
		page := r.URL.Query().Get("page")
		if page == "" {
			// The registry must not choose the host of the link.
			w.Header().Set("Link", `<http://169.254.169.254/steal?page=2>; rel="next"`)
			page = "1"
		}
		fmt.Fprintf(w, `{"manifests":[{"digest":"sha256:%s"}]}`, strings.Repeat(page, 64))
		return true
	})
	listed, err := registry.NewClient().Referrers(t.Context(), server.Name("shop/web"), digest)
	if err != nil || len(listed) != 2 || listed[1].Digest != "sha256:"+strings.Repeat("2", 64) {
		t.Errorf("Referrers = %+v, %v", listed, err)
	}
}

// TestPaginationReadsLongList: annotations of one digest's referrers may have more bytes than a
// manifest may.
func TestPaginationReadsLongList(t *testing.T) {
	for name, kind := range registrytest.Kinds {
		t.Run(name, func(t *testing.T) {
			server := registrytest.Start(t, kind)
			path := map[registrytest.Kind]string{registrytest.WithReferrers: "/referrers/", registrytest.WithoutReferrers: "/manifests/sha256-"}[kind]
			junk := fmt.Sprintf(`{"digest":"sha256:%s","annotations":{"note":"%s","kind":"%[2]s"}},`, strings.Repeat("1", 64), strings.Repeat("x", 1<<20))
			answer(server, path, http.StatusOK, map[string]string{"Content-Type": "application/vnd.oci.image.index.v1+json"},
				`{"manifests":[`+strings.Repeat(junk, 5)+`{"digest":"`+digestOf("proof")+`","size":7,"annotations":{"kind":"proof"}}]}`)
			listed, err := registry.NewClient().Referrers(t.Context(), server.Name("shop/web"), digestOf("image"), "kind")
			if err != nil || len(listed) != 6 {
				t.Fatalf("%d are listed, %v", len(listed), err)
			}
			if got := listed[5]; got.Digest != digestOf("proof") || got.Size != 7 || got.Annotations["kind"] != "proof" {
				t.Errorf("the last is %+v", got)
			}
			if got := listed[0].Annotations; len(got) != 1 || len(got["kind"]) != 256 {
				t.Errorf("of long annotations is kept: %d, %d bytes", len(got), len(got["kind"]))
			}
		})
	}
}

func TestPaginationReturnsPartialListWithError(t *testing.T) {
	server := registrytest.Start(t, registrytest.WithReferrers)
	answer(server, "/referrers/", http.StatusOK, map[string]string{"Content-Type": "application/vnd.oci.image.index.v1+json"},
		`{"manifests":[{"digest":"`+digestOf("proof")+`"},{"dig`)
	listed, err := registry.NewClient().Referrers(t.Context(), server.Name("shop/web"), digestOf("image"))
	if err == nil || len(listed) != 1 {
		t.Errorf("Referrers = %+v, %v", listed, err)
	}
}

func digestOf(content string) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content)))
}

func TestErrorsNameRepository(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0", 64)
	for _, status := range []int{401, 403, 429, 500, 503} {
		server := registrytest.Start(t, registrytest.WithReferrers)
		answer(server, "/referrers/", status, nil, "")
		_, err := registry.NewClient().Referrers(t.Context(), server.Name("shop/web"), digest)
		var failed *registry.Error
		if !errors.As(err, &failed) || failed.Repository != server.Name("shop/web") {
			t.Errorf("HTTP %d: error %v", status, err)
		}
	}
}

func TestClientRetriesRecoveredRegistry(t *testing.T) {
	server := registrytest.Start(t, registrytest.WithReferrers)
	digest := server.Image(t, "shop/web")
	client := registry.NewClient()
	answer(server, "/", http.StatusInternalServerError, nil, "")
	if _, err := client.Manifest(t.Context(), server.Name("shop/web"), digest); err == nil {
		t.Fatal("read from a registry that is down")
	}
	server.Before(func(http.ResponseWriter, *http.Request) bool { return false })
	if _, err := client.Manifest(t.Context(), server.Name("shop/web"), digest); err != nil {
		t.Error(err)
	}
}

func TestRedirectRejectsPrivateAddress(t *testing.T) {
	server := registrytest.Start(t, registrytest.WithReferrers)
	digest := "sha256:" + strings.Repeat("0", 64)
	for _, to := range []string{"http://169.254.169.254/latest", "http://10.0.0.1/", "http://[fe80::1]/", "http://localhost:1/"} {
		answer(server, "/blobs/", http.StatusTemporaryRedirect, map[string]string{"Location": to + "?token=secret"}, "")
		_, err := registry.NewClient().Blob(t.Context(), server.Name("shop/web"), digest, 2)
		if err == nil || !strings.Contains(err.Error(), "refusing a redirect") {
			t.Errorf("a redirect to %s: %v", to, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error tells the query: %v", err)
		}
	}
}

func TestReferrersSkipInvalidEntry(t *testing.T) {
	server := registrytest.Start(t, registrytest.WithReferrers)
	good := "sha256:" + strings.Repeat("1", 64)
	answer(server, "/referrers/", http.StatusOK, map[string]string{"Content-Type": "application/vnd.oci.image.index.v1+json; charset=utf-8"},
		`{"manifests":[{"digest":"../../evil"},{"digest":5},null,[],{"digest":"sha256:`+strings.Repeat("A", 64)+`"},{"digest":"`+good+`","size":"x"},{"digest":"`+good+`"}]}`)
	listed, err := registry.NewClient().Referrers(t.Context(), server.Name("shop/web"), good)
	if err != nil || len(listed) != 1 || listed[0].Digest != good {
		t.Errorf("Referrers = %+v, %v", listed, err)
	}
}

func TestCredentialsStayWithRegistry(t *testing.T) {
	server, other := registrytest.Start(t, registrytest.WithReferrers), registrytest.Start(t, registrytest.WithReferrers)
	digest := server.Image(t, "shop/web")
	seen := func(s *registrytest.Server, password string) *atomic.Int32 {
		var credentials atomic.Int32
		s.Before(func(w http.ResponseWriter, r *http.Request) bool {
			_, given, ok := r.BasicAuth()
			if ok {
				credentials.Add(1)
			}
			if given == password {
				return false
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return true
		})
		return &credentials
	}
	asked, askedOther := seen(server, "pa55word"), seen(other, "pa55word")
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	login := func(password string) {
		config := fmt.Sprintf(`{"auths":{%q:{"username":"ana","password":%q}}}`, server.Host, password)
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	login("pa55word")
	if _, err := registry.NewClient().Manifest(t.Context(), server.Name("shop/web"), digest); err != nil || asked.Load() == 0 {
		t.Errorf("with the password: %v", err)
	}
	if _, err := registry.NewClient().Manifest(t.Context(), other.Name("shop/web"), digest); err == nil || askedOther.Load() != 0 {
		t.Errorf("another registry got the credentials %d times; error %v", askedOther.Load(), err)
	}
	login("wr0ngword")
	_, err := registry.NewClient().Manifest(t.Context(), server.Name("shop/web"), digest)
	if err == nil || strings.Contains(err.Error(), "wr0ngword") {
		t.Errorf("with a wrong password: %v", err)
	}
}

// TestDigestNotFoundRequiresRegistryCode: a proxy that knows no such path answers 404
// too, and who asked would take the image for gone.
func TestDigestNotFoundRequiresRegistryCode(t *testing.T) {
	server := registrytest.Start(t, registrytest.WithReferrers)
	server.Image(t, "shop/web")
	client := registry.NewClient()
	if _, err := client.Digest(t.Context(), server.Name("shop/web"), "nonesuch"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("of a tag that isn't there: %v", err)
	}
	for _, page := range []string{"default backend - 404", "", `{"errors":[]}`, `{"errors":[{"message":"no route"}]}`} {
		server.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/manifests/") {
				return false
			}
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(page))
			return true
		})
		_, err := client.Digest(t.Context(), server.Name("shop/web"), "v1")
		if err == nil || errors.Is(err, registry.ErrNotFound) || !strings.Contains(err.Error(), "isn't known") {
			t.Errorf("404 with %q: %v", page, err)
		}
	}
}

// A context that ends while the body of a 404 is read is no answer of the registry.
func TestDigestNotFoundBodyIsBoundByContext(t *testing.T) {
	server := registrytest.Start(t, registrytest.WithReferrers)
	server.Image(t, "shop/web")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server.Before(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/manifests/") {
			return false
		}
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"errors":[`))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return true
	})
	client := registry.NewClientOver(roundTripper(func(r *http.Request) (*http.Response, error) {
		response, err := http.DefaultTransport.RoundTrip(r)
		if err == nil && response.StatusCode == http.StatusNotFound {
			response.Body = readHook{response.Body, cancel}
		}
		return response, err
	}))
	_, err := client.Digest(ctx, server.Name("shop/web"), "v1")
	var wrapped *registry.Error
	if !errors.Is(err, context.Canceled) || !errors.As(err, &wrapped) || errors.Is(err, registry.ErrNotFound) {
		t.Errorf("got %v, want the context's error, wrapped", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// readHook calls a function before each read.
type readHook struct {
	io.ReadCloser

	hook func()
}

func (b readHook) Read(p []byte) (int, error) {
	b.hook()
	return b.ReadCloser.Read(p)
}

// TestReferrers: the API and the tag are read at once, and what only one of them lists
// counts.
func TestReferrers(t *testing.T) {
	t.Parallel()
	server := registrytest.Start(t, registrytest.WithoutReferrers)
	digest := server.Image(t, "team/web")
	client := registry.NewClient()
	attached := server.Attach(t, "team/web", digest, "application/example", []byte("one"), nil)
	listed := func(t *testing.T, want ...string) {
		t.Helper()
		got, err := client.Referrers(t.Context(), server.Name("team/web"), digest)
		if err != nil {
			t.Fatal(err)
		}
		var digests []string
		for _, d := range got {
			digests = append(digests, d.Digest)
		}
		if diff := cmp.Diff(want, digests); diff != "" {
			t.Errorf("listed (-want +got):\n%s", diff)
		}
	}
	t.Run("the API's answer waits for the tag's request", func(t *testing.T) {
		tagged := make(chan struct{})
		var once sync.Once
		server.Before(func(_ http.ResponseWriter, r *http.Request) bool {
			switch {
			case strings.Contains(r.URL.Path, "/manifests/sha256-"):
				once.Do(func() { close(tagged) })
			case strings.Contains(r.URL.Path, "/referrers/"):
				select {
				case <-tagged:
				case <-r.Context().Done(): // they aren't sent at once
				}
			}
			return false
		})
		listed(t, attached)
	})
	t.Run("the API lists other ones", func(t *testing.T) {
		api := registrytest.DigestOf([]byte("by the API"))
		server.Before(listing(api, attached))
		listed(t, api, attached)
		server.Before(listing(api))
		listed(t, api, attached)
	})
	t.Run("a tag that takes too long is given up", func(t *testing.T) {
		api := registrytest.DigestOf([]byte("by the API"))
		server.Before(listing(api))
		server.Also(func(_ http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/manifests/sha256-") {
				return false
			}
			<-r.Context().Done()
			return true
		})
		got, err := client.Referrers(t.Context(), server.Name("team/web"), digest)
		if len(got) != 1 || err == nil || !strings.Contains(err.Error(), "didn't answer within 2s") {
			t.Errorf("listed %v, error %v", got, err)
		}
	})
}

// listing has a registry's Referrers API list these digests.
func listing(digests ...string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, "/referrers/") {
			return false
		}
		var entries []string
		for _, digest := range digests {
			entries = append(entries, fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":2}`, digest))
		}
		w.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
		fmt.Fprintf(w, `{"schemaVersion":2,"manifests":[%s]}`, strings.Join(entries, ","))
		return true
	}
}

// TestErrorsAreTruncated: pages and long messages stay out of what people read.
func TestErrorsAreTruncated(t *testing.T) {
	server := registrytest.Start(t, registrytest.WithReferrers)
	digest := digestOf("image")
	for name, body := range map[string]string{
		"a page":         "<html>" + strings.Repeat("x", 10_000),
		"a long message": `{"errors":[{"code":"DENIED","message":"` + strings.Repeat("x", 10_000) + `","detail":{"x":"` + strings.Repeat("x", 10_000) + `"}}]}`,
		"many messages":  `{"errors":[` + strings.Repeat(`{"code":"DENIED","message":"no"},`, 1000) + `{"code":"DENIED","message":"no"}]}`,
	} {
		answer(server, "/manifests/", http.StatusForbidden, nil, body)
		_, err := registry.NewClient().Manifest(t.Context(), server.Name("shop/web"), digest)
		if err == nil || len(err.Error()) > 1000 || !strings.Contains(err.Error(), "403") && !strings.Contains(err.Error(), "DENIED") {
			t.Errorf("%s: error of %d bytes: %.200s", name, len(fmt.Sprint(err)), err)
		}
	}
}
