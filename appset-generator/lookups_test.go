package appset

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/scm/scmtest"
)

// fail responds to requests whose path contains a part.
func fail(part string, status int, body string) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, part) {
			return false
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
		return true
	}
}

func onPage(number int, answer func(http.ResponseWriter, *http.Request) bool) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		return max(page, 1) == number && answer(w, r)
	}
}

func TestUnavailableForge(t *testing.T) {
	cases := map[string]struct {
		answer func(http.ResponseWriter, *http.Request) bool
		want   string
	}{
		"500":             {fail("/pulls", 500, `{"message": "database is locked"}`), "500: Internal Server Error"},
		"401":             {fail("/pulls", 401, `{"message": "Bad credentials"}`), "doesn't know the token"},
		"404":             {fail("/pulls", 404, `{"message": "Not Found"}`), "no such repository, or the token may not see it"},
		"429":             {fail("/pulls", 429, `{"message": "slow down"}`), "429: too many requests"},
		"an empty answer": {fail("/pulls", 200, ""), "empty"},
		"null":            {fail("/pulls", 200, "null"), "is not of its API"},
		"half a page":     {fail("/pulls", 200, `[{"number": 1, "ti`), "is not valid JSON"},
		"a login page":    {fail("/pulls", 200, "<html>Sign in"), "is not valid JSON"},
		"hung up":         {func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, "EOF"},
	}
	onEach(t, func(t *testing.T, w *fixture) {
		const count = 105
		tags := map[string]string{}
		for n := 1; n <= count; n++ {
			w.forge.Add(scmtest.Pull{Number: n, Updated: w.clock.Now()})
			tags[fmt.Sprintf("pr-%d-%s", n, scmtest.SHA("pull", n)[:8])] = digestOf(n)
		}
		w.images = registryFunc(func(_ context.Context, _, tag string) (string, error) {
			if digest, ok := tags[tag]; ok {
				return digest, nil
			}
			return "", registry.ErrNotFound
		})
		w.start("")
		for name, c := range cases {
			for _, page := range []int{1, 2} {
				t.Run(fmt.Sprintf("%s on page %d", name, page), func(t *testing.T) {
					v := *w
					v.t = t
					w := &v
					w.forge.Before(onPage(page, c.answer))
					w.wantError("shop", http.StatusBadGateway, c.want)
					w.forge.Before(nil)
					w.clock.pass(2 * time.Minute) // a limit ends
					if rows := w.rows(); len(rows) != count {
						t.Errorf("healed, there are %d of %d", len(rows), count)
					}
				})
			}
		}
	})
}

func digestOf(n int) string { return fmt.Sprintf("sha256:%064x", n) }

func TestUnreachableForgeFailsInTime(t *testing.T) {
	onEach(t, func(t *testing.T, w *fixture) {
		w.open(scmtest.Pull{Number: 1})
		w.rows()
		w.timeout = 200 * time.Millisecond
		w.start("")
		released := make(chan struct{})
		t.Cleanup(func() { close(released) })
		w.forge.Before(func(_ http.ResponseWriter, r *http.Request) bool {
			select {
			case <-released:
			case <-r.Context().Done():
			}
			return true
		})
		began := time.Now()
		w.wantError("shop", http.StatusGatewayTimeout, "deadline exceeded")
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestUnavailableRegistry(t *testing.T) {
	onEach(t, func(t *testing.T, w *fixture) {
		digest := w.open(scmtest.Pull{Number: 1})
		w.rows()
		for status, body := range map[int]string{500: "{}", 401: `{"errors": [{"code": "UNAUTHORIZED"}]}`, 403: "{}", 200: "<html>Sign in"} {
			w.registry.Before(fail("/manifests/", status, body))
			w.wantError("shop", http.StatusBadGateway, "finding image web of pull request 1")
		}
		w.registry.Before(func(http.ResponseWriter, *http.Request) bool { return false })
		if diff := cmp.Diff(map[string]string{"pr-1": digest}, w.running()); diff != "" {
			t.Error("healed (-want +got)", diff)
		}
		w.registry.Stop()
		w.wantError("shop", http.StatusBadGateway, "finding image web of pull request 1")
		w.start("")
		w.wantError("shop", http.StatusBadGateway, "finding image web of pull request 1")
	})
}

func TestPanicIsAnError(t *testing.T) {
	w := newFixture(t, ladder.ForgeGitea)
	w.open(scmtest.Pull{Number: 1})
	w.images = registryFunc(func(context.Context, string, string) (string, error) { panic("a bug") })
	w.start("")
	w.wantError("shop", http.StatusInternalServerError, "internal error: a bug")
	if log := w.log.String(); !strings.Contains(log, "lookups_test.go") {
		t.Errorf("the log has no stack: %s", log)
	}
	if status, _ := w.request(http.MethodGet, "/healthz", "", ""); status != http.StatusOK {
		t.Error("the service ended")
	}
}

func TestInvalidLadders(t *testing.T) {
	w := newFixture(t, ladder.ForgeGitea)
	w.open(scmtest.Pull{Number: 1})
	good := w.document("shop", "")
	replace := func(from, to string) string { return strings.Replace(good, from, to, 1) }
	for name, c := range map[string]struct {
		content string
		status  int
		want    string
	}{
		"unknown field":        {replace("  chart: chart", "  chrat: chart"), 500, `shop.yaml:5:3: spec.chrat: unknown field`},
		"no YAML":              {"a: [", 500, "isn't valid YAML"},
		"an empty file":        {"", 500, "shop.yaml"},
		"too large":            {"# " + strings.Repeat("x", 2<<20), 500, "is larger than"},
		"other name":           {replace("name: shop", "name: other"), 500, `shop.yaml has the ladder "other"`},
		"no previews":          {good[:strings.Index(good, "  preview:")], 422, "the ladder has no previews"},
		"no source":            {replace("    source: {forge: Gitea, repository: shop/web}\n", ""), 422, "source is missing"},
		"no tag":               {replace(`    tag: "pr-{{.number}}-{{.headShortSHA}}"`+"\n", ""), 422, "tag is missing"},
		"invalid tag":          {replace("{{.headShortSHA}}", "{{.branch}}"), 500, "spec.preview.tag"},
		"forge not configured": {replace("forge: Gitea", "forge: GitHub"), 422, "choosing the forge GitHub: it is not configured: set --github-url"},
		"no owner/name":        {replace("repository: shop/web}", "repository: a/b/c}"), 422, "want owner/name"},
	} {
		t.Run(name, func(t *testing.T) {
			v := *w
			v.t = t
			v.write("ladders/shop.yaml", c.content)
			v.wantError("shop", c.status, c.want)
		})
	}
	w.write("ladders/shop.yaml", good)
	if len(w.rows()) != 1 {
		t.Error("the fixed ladder has no row")
	}
	w.ladder("broken", "max: none")
	if len(w.rows()) != 1 {
		t.Error("another ladder that is broken stops this one")
	}
	w.wantError("other", 404, `finding ladder "other": this service has no other.yaml (it has broken, shop)`)
	w.wantError("../token", 400, "not a ladder's name")
	w.write("ladders/shop/ladder.yaml", good)
	w.wantError("shop", 500, "both shop.yaml and shop/ladder.yaml")
	if err := os.RemoveAll(filepath.Join(w.dir, "ladders")); err != nil {
		t.Fatal(err)
	}
	w.wantError("shop", 500, "opening the folder of ladders")
	if status, _ := w.request(http.MethodGet, "/readyz", "", ""); status != http.StatusServiceUnavailable {
		t.Errorf("readyz is %d", status)
	}
}

// TestLadderInConfigMap changes the ladder as a kubelet does, by moving a symbolic link.
func TestLadderInConfigMap(t *testing.T) {
	w := newFixture(t, ladder.ForgeGitea)
	w.open(scmtest.Pull{Number: 1})
	w.open(scmtest.Pull{Number: 2})
	folder := filepath.Join(w.dir, "ladders")
	if err := os.Remove(filepath.Join(folder, "shop.yaml")); err != nil {
		t.Fatal(err)
	}
	mount := func(version, more string) {
		t.Helper()
		w.write("ladders/.."+version+"/shop.yaml", w.document("shop", more))
		link := filepath.Join(folder, "..data_tmp")
		if err := os.Symlink(".."+version, link); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link, filepath.Join(folder, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	mount("2026_11_01", "")
	if err := os.Symlink("..data/shop.yaml", filepath.Join(folder, "shop.yaml")); err != nil {
		t.Fatal(err)
	}
	if rows := w.rows(); len(rows) != 2 {
		t.Errorf("%+v", rows)
	}
	mount("2026_11_02", "max: 1")
	if rows := w.rows(); len(rows) != 1 {
		t.Errorf("changed: %+v", rows)
	}
	names, err := w.names()
	if diff := cmp.Diff([]string{"shop"}, names); diff != "" || err != nil {
		t.Error(err, "(-want +got)", diff)
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(folder, "host.yaml")); err != nil {
		t.Fatal(err)
	}
	w.wantError("host", 500, `reading ladder "host"`) // what leads out isn't read
}

func (w *fixture) names() ([]string, error) { return folder(filepath.Join(w.dir, "ladders")).names() }
