package appset

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/scm"
	"github.com/envladder/envladder/internal/scm/scmtest"
)

// slowRegistry responds to a number of lookups. The next one hangs until the evaluation
// times out, which it does at that moment: no test depends on how fast the machine is.
type slowRegistry struct {
	mu      sync.Mutex
	left    int
	tags    map[string]string
	lookups map[string]int
	broken  map[string]error
	expire  func() // ends the evaluation
}

// expiring is a context whose deadline passes when expired is closed.
type expiring struct {
	context.Context
	expired chan struct{}
}

func (c expiring) Done() <-chan struct{} { return c.expired }

func (c expiring) Err() error {
	select {
	case <-c.expired:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// withTimeout returns the context of an evaluation, which ends when the registry hangs.
func (r *slowRegistry) withTimeout(ctx context.Context, _ time.Duration) (context.Context, context.CancelFunc) {
	c := expiring{ctx, make(chan struct{})}
	expire := sync.OnceFunc(func() { close(c.expired) })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expire = expire
	return c, expire
}

func newSlowRegistry() *slowRegistry {
	return &slowRegistry{tags: map[string]string{}, lookups: map[string]int{}, broken: map[string]error{}}
}

func (r *slowRegistry) give(lookups int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.left = lookups
}

func (r *slowRegistry) set(reference, digest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tags[reference] = digest
}

func (r *slowRegistry) remove(reference string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.tags, reference)
}

// Digest implements Registry.
func (r *slowRegistry) Digest(ctx context.Context, repository, reference string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left == 0 {
		if r.expire != nil {
			r.expire()
		}
		r.mu.Unlock()
		<-ctx.Done()
		r.mu.Lock()
		return "", &registry.Error{Action: "resolving", Repository: repository, Err: errors.New("the answer was cut off")}
	}
	r.left--
	r.lookups[reference]++
	if err := r.broken[reference]; err != nil {
		return "", &registry.Error{Action: "resolving", Repository: repository, Err: err}
	}
	if digest, ok := r.tags[reference]; ok {
		return digest, nil
	}
	return "", registry.ErrNotFound
}

func tagOf(number int, sha string) string { return fmt.Sprintf("pr-%d-%s", number, sha[:8]) }

func TestEvaluateResumesLookupsOfSlowRegistry(t *testing.T) {
	const pulls, commits, atATime = 30, 6, 20
	for name, restarts := range map[string]bool{"by one process": false, "by one that restarts after each request": true} {
		t.Run(name, func(t *testing.T) {
			w := newFixture(t, ladder.ForgeGitea)
			file := filepath.Join(w.dir, "state.json")
			slow := newSlowRegistry()
			w.images = slow
			w.start(file)
			for n := 1; n <= pulls; n++ {
				w.forge.Add(scmtest.Pull{Number: n, Commits: shas(n, commits), Updated: w.clock.Now()})
			}
			slow.set(tagOf(9, shas(9, commits)[commits-1]), digestOf(9))

			requests := 0
			for known := -1; ; requests++ {
				slow.give(atATime)
				status, answer := w.execute("shop")
				if status == http.StatusOK {
					break
				}
				var total, now int
				if _, err := fmt.Sscanf(answer, `{"error":"finding the images of %d pull requests: %d are known`, &total, &now); err != nil || status != http.StatusGatewayTimeout {
					t.Fatalf("%d: %s", status, answer)
				}
				if total != pulls || now < known || requests > pulls*commits/atATime+1 {
					t.Fatalf("request %d: %s, %d were known before", requests, answer, known)
				}
				known = now
				if restarts {
					w.start(file)
				}
			}
			if requests < 5 {
				t.Errorf("it was answered after %d failures: the registry wasn't slow", requests)
			}
			for reference, n := range slow.lookups {
				if n > 1 {
					t.Errorf("%s was looked up %d times", reference, n)
				}
			}

			// From now on there is one lookup each.
			w.start(file)
			slow.give(pulls)
			if diff := cmp.Diff(map[string]string{"pr-9": digestOf(9)}, w.running()); diff != "" {
				t.Error("(-want +got)", diff)
			}
		})
	}
}

// shas returns the commits of a pull request, the oldest first.
func shas(number, count int) []string {
	all := make([]string, count)
	for i := range all {
		all[i] = scmtest.SHA("pull", number, "commit", i)
	}
	return all
}

func TestEvaluateFailureIsNotAnswered(t *testing.T) {
	w := newFixture(t, ladder.ForgeGitea)
	w.ladder("shop", "max: 1")
	slow := newSlowRegistry()
	w.images = slow
	w.start("")
	for n := 1; n <= 3; n++ {
		w.forge.Add(scmtest.Pull{Number: n, Updated: w.clock.Now()})
		slow.set(tagOf(n, scmtest.SHA("pull", n)), digestOf(n))
	}
	slow.give(1)
	w.wantError("shop", http.StatusGatewayTimeout, "finding the images of 3 pull requests: 1 are known")
	slow.give(100)
	if rows := w.rows(); len(rows) != 3 { // any of them may have one already
		t.Errorf("%+v", rows)
	}
}

func TestEvaluateFailureRemovesNoPreview(t *testing.T) {
	w := newFixture(t, ladder.ForgeGitea)
	slow := newSlowRegistry()
	w.images = slow
	w.start("")
	w.ladder("shop", "max: 1")
	w.forge.Add(scmtest.Pull{Number: 2, Updated: w.clock.Now()})
	slow.set(tagOf(2, scmtest.SHA("pull", 2)), digestOf(2))
	slow.give(100)
	want := map[string]string{"pr-2": digestOf(2)}
	if diff := cmp.Diff(want, w.running()); diff != "" {
		t.Error("(-want +got)", diff)
	}
	w.forge.Add(scmtest.Pull{Number: 1, Updated: w.clock.Now()})
	slow.set(tagOf(1, scmtest.SHA("pull", 1)), digestOf(1))
	slow.give(0)
	w.wantError("shop", http.StatusGatewayTimeout, "0 are known")
	slow.give(100)
	if diff := cmp.Diff(want, w.running()); diff != "" {
		t.Error("after a failure (-want +got)", diff)
	}
}

func TestLookupOrder(t *testing.T) {
	var all []*candidate
	for _, n := range []int{5, 1, 4, 2, 3} {
		c := &candidate{pull: scm.PullRequest{Number: n}}
		switch n {
		case 1:
			c.preview.exclude(ReasonFork, "")
		case 3:
			c.state.SHA = "seen before"
		case 4, 5:
			c.state.In, c.state.SHA = true, "runs"
		}
		all = append(all, c)
	}
	var order []int
	for _, c := range lookupOrder(all) {
		order = append(order, c.pull.Number)
	}
	if diff := cmp.Diff([]int{4, 5, 3, 2}, order); diff != "" {
		t.Error("(-want +got)", diff)
	}
}

func TestEvaluateErrorNamesSamePullRequest(t *testing.T) {
	w := newFixture(t, ladder.ForgeGitea)
	first := tagOf(1, scmtest.SHA("pull", 1))
	w.images = registryFunc(func(ctx context.Context, repository, tag string) (string, error) {
		if tag == first { // the last to fail
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
		return "", &registry.Error{Action: fmt.Sprintf("resolving tag %q", tag), Repository: repository, Err: fmt.Errorf("read tcp 10.1.2.3:%d->10.0.0.1:443: connection reset", time.Now().UnixNano()%60000)}
	})
	w.start("")
	for n := 1; n <= 40; n++ {
		w.forge.Add(scmtest.Pull{Number: n, Updated: w.clock.Now()})
	}
	_, want := w.execute("shop")
	if !strings.Contains(want, "finding image web of pull request 1: ") {
		t.Errorf("it names another: %s", want)
	}
	for range 10 {
		if _, answer := w.execute("shop"); answer != want {
			t.Fatalf("%s, before %s", answer, want)
		}
	}
}

func TestSearchAgainFailureIsIgnored(t *testing.T) {
	w := newFixture(t, ladder.ForgeGitea)
	slow := newSlowRegistry()
	w.images, w.limit = slow, 4*time.Second // a search may take half of what is left
	w.start("")
	for n := 1; n <= 3; n++ {
		w.forge.Add(scmtest.Pull{Number: n, Commits: shas(n, 5), Updated: w.clock.Now()})
	}
	slow.give(100)
	w.rows()
	w.clock.pass(searchInterval)
	slow.set(tagOf(3, shas(3, 5)[0]), digestOf(3))
	for range 3 {
		slow.give(6) // the heads, and some of their earlier commits
		if status, answer := w.execute("shop"); status != http.StatusOK {
			t.Fatalf("%d: %s", status, answer)
		}
	}
	slow.give(100)
	if diff := cmp.Diff(map[string]string{"pr-3": digestOf(3)}, w.running()); diff != "" {
		t.Error("(-want +got)", diff)
	}
}

func TestDeletedImageKeepsPreview(t *testing.T) {
	w := newFixture(t, ladder.ForgeGitea)
	images := newSlowRegistry()
	images.give(1 << 20)
	w.images = images
	w.start("")
	w.forge.Add(scmtest.Pull{Number: 7, Updated: w.clock.Now()})
	head := scmtest.SHA("pull", 7)
	images.set(tagOf(7, head), digestOf(7))
	images.set(digestOf(7), digestOf(7))
	check := func(when string, reason Reason, message string) {
		t.Helper()
		if p := w.report()[7]; !p.In || p.Reason != reason || !strings.Contains(p.Message, message) {
			t.Errorf("%s: %+v", when, p)
		}
		if diff := cmp.Diff(map[string]string{"pr-7": digestOf(7)}, w.running()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", when, diff)
		}
	}
	check("at first", ReasonCurrent, "its images exist")
	images.remove(tagOf(7, head))
	check("without its tag", ReasonCurrent, "though their tag is gone")
	images.remove(digestOf(7))
	check("deleted", ReasonImageDeleted, "the registry no longer has image web of "+head[:8])
	w.push(7, scmtest.SHA("next"))
	check("after a push", ReasonImageDeleted, "the registry no longer has image web of "+head[:8])
	images.set(digestOf(7), digestOf(7))
	check("there again", ReasonPreviousCommit, "don't exist yet")
	images.set(tagOf(7, scmtest.SHA("next")), digestOf(7))
	check("built again", ReasonCurrent, "its images exist")
}
