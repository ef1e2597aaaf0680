package promote_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sigstore/sigstore/pkg/signature"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/gate"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/registry/registrytest"
	"github.com/envladder/envladder/internal/verdict"
	"github.com/envladder/envladder/promote"
	"github.com/envladder/envladder/promote/promotetest"
)

func actionOf(text string) v1alpha1.Action { return v1alpha1.Action(text) }

// gateOf returns a Gate for the fake judge.
func gateOf(environment string) verdict.Gate {
	g := &v1alpha1.Gate{ObjectMeta: metav1.ObjectMeta{Name: "staging-gate"}, Spec: v1alpha1.GateSpec{Environment: environment}}
	g.SetDefaults()
	return verdict.Gate{Gate: g}
}

func newKey(t *testing.T) *evidence.Signer {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	loaded, err := signature.LoadDefaultSignerVerifier(private)
	check(t, err)
	signer, err := evidence.NewSigner(loaded)
	check(t, err)
	return signer
}

const gateYAML = `apiVersion: envladder.dev/v1alpha1
kind: Gate
metadata: {name: shop-prod}
spec:
  environment: prod
  namespaces: [shop]
  images: [{repository: REGISTRY/shop/*, ladder: shop}]
  signers:
  - {name: ci, key: {data: CI}}
  - {name: observer, time: TrustSigner, key: {data: OBSERVER}}
  requires:
    signature: {by: [ci]}
    soak: {by: [observer], environment: staging, duration: 24h, chart: Same}
`

// With a real registry, real signatures, and the Gate that the ladder names: the promotion
// is refused until all evidence exists, and the body shows what was checked and found.
func TestLadderGateWithRealEvidence(t *testing.T) {
	w := newFixture(t)
	server, client := registrytest.Start(t, registrytest.WithReferrers), registry.NewClient()
	image := server.Image(t, "shop/web")
	ci, observer := newKey(t), newKey(t)
	quoted := func(pem string) string {
		text, err := json.Marshal(pem)
		check(t, err)
		return string(text)
	}
	ladder := strings.NewReplacer("registry.example.com", server.Host, "  - name: prod\n", "  - name: prod\n    gate: ../gates/prod.yaml\n").Replace(ladderYAML)
	promotetest.CommitTo(t, w.bare, "main", "gate", map[string]string{
		"shop/ladder.yaml": ladder,
		"gates/prod.yaml":  strings.NewReplacer("REGISTRY", server.Host, "CI", quoted(ci.PublicPEM()), "OBSERVER", quoted(observer.PublicPEM())).Replace(gateYAML),
	})
	run := func(dry bool) promote.Result {
		t.Helper()
		results := w.promote("prod", target("eu"), images(server.Name("shop/web")+"@"+image), func(o *promote.Options) {
			o.Judge = verdict.New(evidence.NewStore(client, evidence.NewTrust(evidence.TrustOptions{})))
			o.DryRun = dry
		})
		return results[0]
	}
	codes := func(r promote.Result) []gate.Code {
		var all []gate.Code
		for _, reason := range r.Verdicts[0].Reasons {
			all = append(all, reason.Code)
		}
		return all
	}

	refused := run(false)
	if diff := cmp.Diff([]gate.Code{gate.NoSignature, gate.NoSoak}, codes(refused)); diff != "" || refused.Outcome != promote.Refused {
		t.Errorf("%s: %s", refused.Outcome, diff)
	}
	attest := func(signer *evidence.Signer, predicateType string, predicate any) {
		t.Helper()
		target, err := evidence.FindTarget(t.Context(), client, server.Name("shop/web"), image)
		check(t, err)
		_, err = evidence.Attest(t.Context(), client, signer, target, predicateType, predicate)
		check(t, err)
	}
	attest(ci, gate.PredicateSignature, json.RawMessage("{}"))
	end := now.Add(-3 * time.Hour)
	soak := gate.Soak{Ladder: "shop", Environment: "staging", Window: gate.SoakWindow{
		StartedAt: end.Add(-25 * time.Hour), FinishedAt: &end, HealthySeconds: 25 * 3600, LongestHealthySeconds: 25 * 3600, MinReady: 2,
	}}
	soak.Chart.Digest = digest("0")
	attest(observer, gate.PredicateSoak, soak)
	// The stamps have the chart's digest, as the plugin's would.
	refused = run(true)
	if diff := cmp.Diff([]gate.Code{gate.OtherChart}, codes(refused)); diff != "" || refused.Outcome != promote.Planned && refused.Outcome != promote.Refused {
		t.Errorf("%s: %s", refused.Outcome, diff)
	}
	message := refused.Verdicts[0].Reasons[0].Message
	_, deployed, _ := strings.Cut(message, ", but ")
	deployed, ok := strings.CutSuffix(deployed, " is deployed")
	if !ok {
		t.Fatalf("message %q", message)
	}
	soak.Chart.Digest = chartDigest(t, w)
	if !strings.HasPrefix(soak.Chart.Digest, deployed) {
		t.Errorf("the stamp was %q, the chart is %q", deployed, soak.Chart.Digest)
	}
	attest(observer, gate.PredicateSoak, soak)

	opened := run(false)
	if opened.Outcome != promote.Opened || opened.PullRequest.Draft {
		t.Fatalf("%+v", opened)
	}
	pr := w.PullRequests()[0]
	for _, want := range []string{"**Gate shop-prod allows web** (digest of the Gate: `sha256:", "| soak | 25h/24h | 3h ago | observer |", "| signature |  |"} {
		if !strings.Contains(pr.Body, want) {
			t.Errorf("the body lacks %q:\n%s", want, pr.Body)
		}
	}
	if want := "Promote web to prod/eu: " + image[:len("sha256:")+12]; pr.Title != want {
		t.Errorf("title %q, want %q", pr.Title, want)
	}
	w.clean()
}

// A chart that didn't soak is refused although no image changes: it deploys all of them
// again.
func TestChartChangeAloneIsChecked(t *testing.T) {
	w := newFixture(t)
	server, client := registrytest.Start(t, registrytest.WithReferrers), registry.NewClient()
	web, api := server.Image(t, "shop/web"), server.Image(t, "shop/api")
	observer := newKey(t)
	key, err := json.Marshal(observer.PublicPEM())
	check(t, err)
	both := "images:\n  web: " + web + "\n  api: " + api + "\n"
	promotetest.CommitTo(t, w.bare, "main", "gate", map[string]string{
		"shop/ladder.yaml":       strings.NewReplacer("registry.example.com", server.Host, "  - name: prod\n", "  - name: prod\n    gate: ../gates/prod.yaml\n").Replace(ladderYAML),
		"gates/prod.yaml":        strings.NewReplacer("REGISTRY", server.Host, "    signature: {by: [ci]}\n", "", "  - {name: ci, key: {data: CI}}\n", "", "OBSERVER", string(key)).Replace(gateYAML),
		"shop/next/Chart.yaml":   "apiVersion: v2\nname: shop\nversion: 2.0.0\n",
		"shop/pins/staging.yaml": both + "chart: next\n", "shop/pins/eu.yaml": both + "chart: chart\n",
	})
	for repository, image := range map[string]string{"shop/web": web, "shop/api": api} {
		target, err := evidence.FindTarget(t.Context(), client, server.Name(repository), image)
		check(t, err)
		end := now.Add(-3 * time.Hour)
		soak := gate.Soak{Ladder: "shop", Environment: "staging", Window: gate.SoakWindow{
			StartedAt: end.Add(-25 * time.Hour), FinishedAt: &end, HealthySeconds: 25 * 3600, LongestHealthySeconds: 25 * 3600, MinReady: 2,
		}}
		soak.Chart.Digest = chartDigest(t, w) // of the chart that prod/eu has
		_, err = evidence.Attest(t.Context(), client, observer, target, gate.PredicateSoak, soak)
		check(t, err)
	}
	results := w.promote("prod", target("eu"), func(o *promote.Options) {
		o.Judge = verdict.New(evidence.NewStore(client, evidence.NewTrust(evidence.TrustOptions{})))
	})
	w.want(results, "prod/eu Refused")
	if c := results[0].Changes; len(c) != 1 || c[0].Image != "" || c[0].New != "next" {
		t.Errorf("changes %+v", c)
	}
	denied := map[string]gate.Code{}
	for _, v := range results[0].Verdicts {
		for _, reason := range v.Reasons {
			denied[v.Name] = reason.Code
		}
	}
	if diff := cmp.Diff(map[string]gate.Code{"web": gate.OtherChart, "api": gate.OtherChart}, denied); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A soak with a chart in a registry proves that chart and no other.
func TestChartInRegistryMatchesSoak(t *testing.T) {
	w := newFixture(t)
	server, client := registrytest.Start(t, registrytest.WithReferrers), registry.NewClient()
	web, observer := server.Image(t, "shop/web"), newKey(t)
	key, err := json.Marshal(observer.PublicPEM())
	check(t, err)
	pushed := func(content string) (address, digest string) {
		manifest := server.Attach(t, "charts/shop", web, "application/vnd.cncf.helm.chart.content.v1.tar+gzip", []byte(content), nil)
		return "oci://" + server.Name("charts/shop") + "@" + manifest, chart.Packaged("", []byte(content)).Digest
	}
	soaked, digest := pushed("packaged once")
	other, _ := pushed("packaged again")
	pin := func(address string) string { return "images:\n  web: " + web + "\nchart: " + address + "\n" }
	promotetest.CommitTo(t, w.bare, "main", "gate", map[string]string{
		"shop/ladder.yaml":  strings.NewReplacer("registry.example.com", server.Host, "  - name: prod\n", "  - name: prod\n    gate: ../gates/prod.yaml\n").Replace(ladderYAML),
		"gates/prod.yaml":   strings.NewReplacer("REGISTRY", server.Host, "    signature: {by: [ci]}\n", "", "  - {name: ci, key: {data: CI}}\n", "", "OBSERVER", string(key)).Replace(gateYAML),
		"shop/pins/eu.yaml": pin("chart"), "shop/pins/ap.yaml": "images: {}\n",
	})
	target, err := evidence.FindTarget(t.Context(), client, server.Name("shop/web"), web)
	check(t, err)
	end := now.Add(-3 * time.Hour)
	soak := gate.Soak{Ladder: "shop", Environment: "staging", Window: gate.SoakWindow{
		StartedAt: end.Add(-25 * time.Hour), FinishedAt: &end, HealthySeconds: 25 * 3600, LongestHealthySeconds: 25 * 3600, MinReady: 2,
	}}
	soak.Chart.Digest = digest
	_, err = evidence.Attest(t.Context(), client, observer, target, gate.PredicateSoak, soak)
	check(t, err)
	judge, charts := verdict.New(evidence.NewStore(client, evidence.NewTrust(evidence.TrustOptions{}))), chart.NewPuller(client, "", 0)

	for address, want := range map[string]string{soaked: "prod/eu Planned", other: "prod/eu Refused"} {
		promotetest.CommitTo(t, w.bare, "main", "staging", map[string]string{"shop/pins/staging.yaml": pin(address)})
		results := w.promote("prod", func(o *promote.Options) { o.Judge, o.Charts, o.DryRun, o.Target = judge, charts, true, "eu" })
		w.want(results, want)
		if c := results[0].Changes; len(c) != 1 || c[0].Image != "" || c[0].New != address {
			t.Errorf("changes %+v", c)
		}
	}

	const gone = "oci://127.0.0.1:1/charts/shop@sha256:1111111111111111111111111111111111111111111111111111111111111111"
	promotetest.CommitTo(t, w.bare, "main", "prod", map[string]string{
		"shop/pins/eu.yaml": pin(soaked), "shop/pins/us.yaml": pin(other), "shop/pins/ap.yaml": pin(gone),
	})
	repo, err := ladder.FindRepository(filepath.Join(w.Clone(), "shop"))
	check(t, err)
	defer repo.Close()
	status, err := promote.StatusOf(t.Context(), repo, promote.StatusOptions{Judge: judge, Charts: charts, Now: func() time.Time { return now }})
	check(t, err)
	reasons := map[string][]gate.Code{}
	for _, row := range status.Rows {
		for _, v := range row.Verdicts {
			reasons[row.EnvTarget] = nil
			for _, reason := range v.Reasons {
				reasons[row.EnvTarget] = append(reasons[row.EnvTarget], reason.Code)
			}
		}
	}
	want := map[string][]gate.Code{"prod/eu": nil, "prod/us": {gate.OtherChart}, "prod/ap": {gate.RegistryUnavailable}}
	if diff := cmp.Diff(want, reasons); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}
