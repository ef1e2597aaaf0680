package scm_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/envladder/envladder/internal/scm"
	"github.com/envladder/envladder/internal/scm/scmtest"
)

// FuzzOpen gives any bytes as a forge's page: nothing panics, and what is listed was a
// whole list.
func FuzzOpen(f *testing.F) {
	sha := scmtest.SHA(1)
	for _, seed := range []string{
		"", "null", "[]", "[null]", "[] []", `[{"number": 1, "head": {"sha": "` + sha + `"}}]`,
		`[{"number": 1, "head": null, "base": {"repo": null}, "labels": [null], "user": null}]`, `{"message": "no"}`, "<html>",
	} {
		f.Add(seed)
	}
	var body atomic.Pointer[string]
	servers := map[scm.Forge]*scmtest.Server{scm.GitHub: scmtest.GitHub(f), scm.Gitea: scmtest.Gitea(f)}
	for _, server := range servers {
		server.Before(func(w http.ResponseWriter, r *http.Request) bool {
			if page := r.URL.Query().Get("page"); page == "1" || page == "" {
				fmt.Fprint(w, *body.Load())
			} else {
				fmt.Fprint(w, "[]")
			}
			return true
		})
	}
	f.Fuzz(func(t *testing.T, page string) {
		body.Store(&page)
		for forge, server := range servers {
			all, err := repository(t, forge, server.URL).Open(t.Context())
			if err != nil {
				continue
			}
			var list []json.RawMessage
			if json.Unmarshal([]byte(page), &list) != nil || len(all) > len(list) || len(list) > 0 && len(all) == 0 {
				t.Errorf("%s: %d pull requests of %q", forge, len(all), page)
			}
		}
	})
}
