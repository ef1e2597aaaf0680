package appset

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/scm/scmtest"
)

func TestReportRowForEachPullRequestWithImages(t *testing.T) {
	onEach(t, func(t *testing.T, w *fixture) {
		digest := w.open(scmtest.Pull{Number: 7, Title: "Bigger fonts", Branch: "ana/Bigger_Fonts", Author: "Ana.B"})
		w.forge.Add(scmtest.Pull{Number: 8, Updated: w.clock.Now()}) // CI isn't done
		sha := scmtest.SHA("pull", 7)
		want := []row{{
			Number: "7", Name: "pr-7", BranchSlug: "ana-bigger-fonts", TargetSlug: "main", HeadSHA: sha, HeadShortSHA: sha[:8],
			ImageSHA: sha, Author: "ana-b", Ladder: "shop", Images: map[string]string{"web": digest},
		}}
		if diff := cmp.Diff(want, w.rows()); diff != "" {
			t.Error("(-want +got)", diff)
		}

		second := w.build(8, scmtest.SHA("pull", 8))
		if diff := cmp.Diff(map[string]string{"pr-7": digest, "pr-8": second}, w.running()); diff != "" {
			t.Error("when its image exists (-want +got)", diff)
		}
		w.forge.Close(7)
		if diff := cmp.Diff(map[string]string{"pr-8": second}, w.running()); diff != "" {
			t.Error("when one is closed (-want +got)", diff)
		}
	})
}

func TestReportOfRepositoryWithoutPullRequests(t *testing.T) {
	onEach(t, func(t *testing.T, w *fixture) {
		status, answer := w.execute("shop")
		if want := `{"output":{"parameters":[]}}` + "\n"; status != 200 || answer != want {
			t.Errorf("%d %s; want %s", status, answer, want)
		}
	})
}

func TestPushKeepsImageUntilNewOneExists(t *testing.T) {
	pushes := map[string]func(*fixture, int, string){"a push": (*fixture).push, "a force push": (*fixture).forcePush}
	for name, push := range pushes {
		t.Run(name, func(t *testing.T) {
			onEach(t, func(t *testing.T, w *fixture) {
				before := w.open(scmtest.Pull{Number: 7})
				w.rows()
				next := scmtest.SHA("next")
				push(w, 7, next)

				rows := w.rows()
				if len(rows) != 1 || rows[0].Images["web"] != before || rows[0].HeadSHA != next || rows[0].ImageSHA != scmtest.SHA("pull", 7) {
					t.Errorf("between: %+v", rows)
				}
				if p := w.report()[7]; !p.In || p.Reason != ReasonPreviousCommit {
					t.Errorf("between: %+v", p)
				}
				after := w.build(7, next)
				rows = w.rows()
				if len(rows) != 1 || rows[0].Images["web"] != after || rows[0].ImageSHA != next {
					t.Errorf("after: %+v", rows)
				}
			})
		})
	}
}

func TestRestartBetweenPushAndImage(t *testing.T) {
	t.Run("earlier commits are searched", func(t *testing.T) {
		onEach(t, func(t *testing.T, w *fixture) {
			before := w.open(scmtest.Pull{Number: 7})
			w.rows()
			for i := range 3 { // CI builds none of them in time
				w.push(7, scmtest.SHA("next", i))
			}
			w.start("")
			if diff := cmp.Diff(map[string]string{"pr-7": before}, w.running()); diff != "" {
				t.Error("(-want +got)", diff)
			}
		})
	})

	t.Run("newest commits are searched first up to the bound", func(t *testing.T) {
		onEach(t, func(t *testing.T, w *fixture) {
			w.open(scmtest.Pull{Number: 7})
			second := scmtest.SHA("second")
			w.push(7, second)
			newer := w.build(7, second)
			for i := range maxEarlier {
				w.push(7, scmtest.SHA("next", i))
			}
			w.start("")
			if diff := cmp.Diff(map[string]string{"pr-7": newer}, w.running()); diff != "" {
				t.Error("(-want +got)", diff)
			}
			w.push(7, scmtest.SHA("too far"))
			w.start("")
			if diff := cmp.Diff(map[string]string{}, w.running()); diff != "" {
				t.Error("beyond the bound (-want +got)", diff)
			}
		})
	})

	t.Run("state file keeps images after a force push", func(t *testing.T) {
		onEach(t, func(t *testing.T, w *fixture) {
			file := filepath.Join(w.dir, "state", "state.json")
			w.write("state/README", "")
			w.start(file)
			before := w.open(scmtest.Pull{Number: 7})
			w.rows()
			w.forcePush(7, scmtest.SHA("next"))
			w.start(file)
			if diff := cmp.Diff(map[string]string{"pr-7": before}, w.running()); diff != "" {
				t.Error("(-want +got)", diff)
			}
			w.start("")
			if diff := cmp.Diff(map[string]string{}, w.running()); diff != "" {
				t.Error("without it, as described in docs/previews.md (-want +got)", diff)
			}
		})
	})

	t.Run("failing list of commits is an error", func(t *testing.T) {
		onEach(t, func(t *testing.T, w *fixture) {
			w.open(scmtest.Pull{Number: 7})
			w.push(7, scmtest.SHA("next"))
			w.forge.Before(fail("/commits", 500, `{"message": "no"}`))
			w.wantError("shop", 502, "listing the commits of pull request 7")
		})
	})
}

func TestEarlierCommitsAreSearchedOncePerInterval(t *testing.T) {
	onEach(t, func(t *testing.T, w *fixture) {
		w.forge.Add(scmtest.Pull{Number: 7, Commits: []string{scmtest.SHA("a"), scmtest.SHA("b")}, Updated: w.clock.Now()})
		searches := func() (n int) {
			for _, r := range w.forge.Requests() {
				if strings.Contains(r, "/commits") {
					n++
				}
			}
			return n
		}
		for range 3 {
			w.rows()
		}
		if n := searches(); n != 1 {
			t.Errorf("they were searched %d times", n)
		}
		w.push(7, scmtest.SHA("c"))
		w.rows()
		if n := searches(); n != 2 {
			t.Errorf("after a push %d times", n)
		}
		digest := w.build(7, scmtest.SHA("a")) // its build took longer than the pushes
		w.rows()
		if n := searches(); n != 2 {
			t.Errorf("a moment later %d times", n)
		}
		w.clock.pass(searchInterval)
		if diff := cmp.Diff(map[string]string{"pr-7": digest}, w.running()); diff != "" {
			t.Error("a while later (-want +got)", diff)
		}
	})
}

func TestRepeatedSearchesAreBounded(t *testing.T) {
	w := newFixture(t, ladder.ForgeGitea)
	const count = maxSearches + 3
	for n := range count {
		w.forge.Add(scmtest.Pull{Number: n + 1, Commits: []string{scmtest.SHA("a", n), scmtest.SHA("b", n)}, Updated: w.clock.Now()})
	}
	w.rows()
	w.clock.pass(searchInterval)
	for _, want := range []int{maxSearches, count - maxSearches, 0} {
		before := len(w.forge.Requests())
		w.rows()
		searched := map[string]bool{}
		for _, r := range w.forge.Requests()[before:] {
			if path, _, _ := strings.Cut(r, "?"); strings.HasSuffix(path, "/commits") {
				searched[path] = true
			}
		}
		if len(searched) != want {
			t.Errorf("the commits of %d were searched, want %d", len(searched), want)
		}
	}
}

func TestPreviewHasImagesOfOneCommit(t *testing.T) {
	w := newFixture(t, ladder.ForgeGitea)
	w.write("ladders/shop.yaml", strings.Replace(w.document("shop", ""), "  layers:",
		fmt.Sprintf("  - {name: worker, repository: %s, valuesPath: worker.image}\n  layers:", w.registry.Name("shop/worker")), 1))
	first := scmtest.SHA("pull", 7)
	web := w.open(scmtest.Pull{Number: 7})
	if rows := w.rows(); len(rows) != 0 {
		t.Errorf("with one of two images: %+v", rows)
	}
	worker := w.registry.Image(t, "shop/worker")
	w.registry.Tag(t, "shop/worker", "pr-7-"+first[:8], worker)
	want := map[string]string{"web": web, "worker": worker}
	if rows := w.rows(); len(rows) != 1 || !cmp.Equal(rows[0].Images, want) {
		t.Errorf("with both: %+v", rows)
	}
	next := scmtest.SHA("next")
	w.push(7, next)
	w.build(7, next)
	if rows := w.rows(); len(rows) != 1 || !cmp.Equal(rows[0].Images, want) {
		t.Errorf("while the next commit has one of two: %+v", rows)
	}
}

func TestLadderWithoutImages(t *testing.T) {
	w := newFixture(t, ladder.ForgeGitea)
	document := w.document("shop", "")
	begin, end := strings.Index(document, "  images:"), strings.Index(document, "  layers:")
	w.write("ladders/shop.yaml", document[:begin]+document[end:])
	w.forge.Add(scmtest.Pull{Number: 7, Updated: w.clock.Now()})
	rows := w.rows()
	if len(rows) != 1 || rows[0].Images == nil || len(rows[0].Images) != 0 {
		t.Errorf("%+v", rows)
	}
}

func TestForks(t *testing.T) {
	onEach(t, func(t *testing.T, w *fixture) {
		w.open(scmtest.Pull{Number: 1})
		w.open(scmtest.Pull{Number: 2, Repository: scmtest.Fork})
		w.open(scmtest.Pull{Number: 3, Repository: scmtest.Gone})
		w.wantReasons(map[int]Reason{1: ReasonCurrent, 2: ReasonFork, 3: ReasonFork})
		w.ladder("shop", "forks: Allow")
		w.wantReasons(map[int]Reason{1: ReasonCurrent, 2: ReasonCurrent, 3: ReasonCurrent})
	})
}

func TestDrafts(t *testing.T) {
	onEach(t, func(t *testing.T, w *fixture) {
		w.open(scmtest.Pull{Number: 1, Title: "WIP: fonts", Draft: true})
		w.wantReasons(map[int]Reason{1: ReasonCurrent})
		if p := w.report()[1]; !p.Draft {
			t.Errorf("it isn't reported as a draft: %+v", p)
		}
	})
}

func TestTTL(t *testing.T) {
	onEach(t, func(t *testing.T, w *fixture) {
		w.ladder("shop", "ttl: 72h")
		digest := w.open(scmtest.Pull{Number: 1})
		w.clock.pass(71 * time.Hour)
		w.wantReasons(map[int]Reason{1: ReasonCurrent})
		w.clock.pass(2 * time.Hour)
		w.wantReasons(map[int]Reason{1: ReasonExpired})
		if running := w.running(); len(running) != 0 {
			t.Errorf("it has a row: %v", running)
		}
		w.forge.Change(1, func(p *scmtest.Pull) { p.Updated = w.clock.Now() })
		if diff := cmp.Diff(map[string]string{"pr-1": digest}, w.running()); diff != "" {
			t.Error("a push brings it back (-want +got)", diff)
		}
	})
}

func TestMaxKeepsExistingPreviews(t *testing.T) {
	onEach(t, func(t *testing.T, w *fixture) {
		w.ladder("shop", "max: 2\n    ttl: 72h")
		w.rows()                                                     // from now on it is known who has one
		w.forge.Add(scmtest.Pull{Number: 1, Updated: w.clock.Now()}) // its CI takes long
		for n := 2; n <= 4; n++ {
			w.open(scmtest.Pull{Number: n})
		}
		w.wantReasons(map[int]Reason{1: ReasonNoImage, 2: ReasonCurrent, 3: ReasonCurrent, 4: ReasonMaxReached})

		w.build(1, scmtest.SHA("pull", 1)) // older, and yet it waits
		w.wantReasons(map[int]Reason{1: ReasonMaxReached, 2: ReasonCurrent, 3: ReasonCurrent, 4: ReasonMaxReached})
		w.forge.Close(3)
		w.wantReasons(map[int]Reason{1: ReasonCurrent, 2: ReasonCurrent, 4: ReasonMaxReached})
		w.forge.Change(2, func(p *scmtest.Pull) { p.Updated = w.clock.Now().Add(-73 * time.Hour) })
		w.wantReasons(map[int]Reason{1: ReasonCurrent, 2: ReasonExpired, 4: ReasonCurrent})
	})

	t.Run("restart with state file", func(t *testing.T) {
		w := newFixture(t, ladder.ForgeGitea)
		file := filepath.Join(w.dir, "state.json")
		w.start(file)
		w.ladder("shop", "max: 1")
		w.rows()
		w.open(scmtest.Pull{Number: 2})
		w.rows()
		w.open(scmtest.Pull{Number: 1})
		w.start(file)
		w.wantReasons(map[int]Reason{1: ReasonMaxReached, 2: ReasonCurrent})
	})
}

func TestMaxWithoutStateRemovesNoPreview(t *testing.T) {
	onEach(t, func(t *testing.T, w *fixture) {
		w.ladder("shop", "max: 1")
		w.rows()
		w.open(scmtest.Pull{Number: 3})
		w.wantReasons(map[int]Reason{3: ReasonCurrent})
		w.open(scmtest.Pull{Number: 2})
		w.wantReasons(map[int]Reason{2: ReasonMaxReached, 3: ReasonCurrent})

		file := filepath.Join(w.dir, "state.json")
		w.start(file) // it has nothing yet
		w.wantReasons(map[int]Reason{2: ReasonCurrent, 3: ReasonCurrent})
		w.open(scmtest.Pull{Number: 1})
		w.wantReasons(map[int]Reason{1: ReasonMaxReached, 2: ReasonCurrent, 3: ReasonCurrent})
		const note = "beyond the ladder's max: 1, and keeps its preview"
		if all := w.report(); strings.Contains(all[2].Message, note) || !strings.Contains(all[3].Message, note) {
			t.Errorf("the messages are %q and %q", all[2].Message, all[3].Message)
		}
		if log := w.log.String(); strings.Count(log, "no state of who has a preview") != 1 || !strings.Contains(log, "overMax=1") {
			t.Errorf("the log: %s", log)
		}
		w.start(file)
		w.wantReasons(map[int]Reason{1: ReasonMaxReached, 2: ReasonCurrent, 3: ReasonCurrent})

		w.forge.Close(2)
		w.wantReasons(map[int]Reason{1: ReasonMaxReached, 3: ReasonCurrent})
		if message := w.report()[3].Message; strings.Contains(message, note) {
			t.Errorf("within the max the message is %q", message)
		}
		w.forge.Close(3)
		w.wantReasons(map[int]Reason{1: ReasonCurrent})
	})

	t.Run("lowered max removes previews", func(t *testing.T) {
		w := newFixture(t, ladder.ForgeGitea)
		w.ladder("shop", "max: 2")
		for n := 1; n <= 4; n++ {
			w.open(scmtest.Pull{Number: n})
		}
		w.wantReasons(map[int]Reason{1: ReasonCurrent, 2: ReasonCurrent, 3: ReasonCurrent, 4: ReasonCurrent})
		w.ladder("shop", "max: 3")
		w.wantReasons(map[int]Reason{1: ReasonCurrent, 2: ReasonCurrent, 3: ReasonCurrent, 4: ReasonCurrent})
		w.ladder("shop", "max: 1")
		w.wantReasons(map[int]Reason{1: ReasonCurrent, 2: ReasonMaxReached, 3: ReasonMaxReached, 4: ReasonMaxReached})
	})
}

func (w *fixture) wantReasons(want map[int]Reason) {
	w.t.Helper()
	got, in := map[int]Reason{}, []string{}
	for number, p := range w.report() {
		got[number] = p.Reason
		if p.Message == "" {
			w.t.Errorf("%d has no message", number)
		}
		if p.In {
			in = append(in, fmt.Sprintf("pr-%d", number))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Error("(-want +got)", diff)
	}
	var rows []string
	for _, r := range w.rows() {
		rows = append(rows, r.Name)
	}
	slices.Sort(in)
	slices.Sort(rows)
	if !slices.Equal(in, rows) {
		w.t.Errorf("those in are %q, the rows %q", in, rows)
	}
}

func TestHostilePullRequestIsSanitized(t *testing.T) {
	onEach(t, func(t *testing.T, w *fixture) {
		w.open(scmtest.Pull{
			Number: 1, Branch: "../../$(x){{.y}}", Author: "{{.z}}\n", Base: "réléase/\u202e1",
			Title: strings.Repeat("A\u202e\x1b[31m\n{{", 1000),
		})
		w.open(scmtest.Pull{Number: 2, Branch: "日本語", Author: "日本"})
		w.open(scmtest.Pull{Number: 3, Branch: strings.Repeat("long-", 2000)})
		rows := w.rows()
		if len(rows) != 3 {
			t.Fatalf("%+v", rows)
		}
		for _, r := range rows {
			for _, label := range []string{r.Name, r.BranchSlug, r.TargetSlug, r.Author, r.HeadSHA, r.HeadShortSHA} {
				if !dnsLabel(label) && len(label) != 40 {
					t.Errorf("%q is not a DNS label", label)
				}
			}
			if len(r.BranchSlug) > maxSlug {
				t.Errorf("%q has %d characters", r.BranchSlug, len(r.BranchSlug))
			}
		}
		if rows[0].BranchSlug != "x-y" || rows[0].TargetSlug != "r-l-ase-1" || rows[1].BranchSlug == rows[1].Author {
			t.Errorf("%+v", rows)
		}
		title := w.report()[1].Title
		if strings.ContainsAny(title, "\u202e\x1b\n") || len(title) > 4*maxTitle {
			t.Errorf("title %q", title)
		}
	})
}
