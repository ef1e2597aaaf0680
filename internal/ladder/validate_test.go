package ladder_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/strictyaml"
)

func TestValidate(t *testing.T) {
	// What every case but its subject has. It begins in line 4, in column 1.
	const rest = "  chart: chart\n  environments: [{name: dev}]\n"
	for name, test := range map[string]struct {
		spec string // what comes after the head
		want string
	}{
		"an unknown field, nearly known": {
			"spec:\n" + rest + "  tier: {}\n",
			`ladder.yaml:7:3: spec.tier: unknown field, did you mean "tiers"?`,
		},
		"an unknown field, like none": {
			"spec:\n  chart: chart\n  environments:\n  - name: dev\n    cooling: {}\n",
			`ladder.yaml:8:5: spec.environments[0].cooling: unknown field: the fields here are data, gate, layers, name, overrides, pins, preflight, promotion, targets, tier`,
		},
		"a duplicate key": {
			"spec:\n" + rest + "  chart: other\n",
			`ladder.yaml:7:3: spec.chart: duplicate key, the first is in line 5`,
		},
		"wrong types": {
			"spec:\n  chart: [chart]\n  layers: values.yaml\n  environments:\n  - {name: 1, tier: }\n  - dev\n  preview: {max: many, ttl: 72}\n",
			"ladder.yaml:5:10: spec.chart: want a string, have a list\n" +
				"ladder.yaml:6:11: spec.layers: want a list, have a string\n" +
				"ladder.yaml:8:12: spec.environments[0].name: want a string, have a number: quote it\n" +
				"ladder.yaml:8:21: spec.environments[0].tier: want a string, have nothing\n" +
				"ladder.yaml:9:5: spec.environments[1]: want a mapping, have a string\n" +
				"ladder.yaml:10:18: spec.preview.max: want a whole number, have a string\n" +
				"ladder.yaml:10:29: spec.preview.ttl: want a string, have a number: quote it",
		},
		"enums": {
			"spec:\n" + rest[:len("  chart: chart\n")] + "  stamps: off\n  environments:\n" +
				"  - {name: dev, tier: fulll, promotion: commit, data: Prod}\n" +
				"  preview: {forks: Maybe, source: {forge: Gitlab, repository: a/b}}\n",
			"ladder.yaml:6:11: spec.stamps: is \"off\": want On or Off, did you mean \"Off\"?\n" +
				"ladder.yaml:8:23: spec.environments[0].tier: is \"fulll\": want lite, standard or full, did you mean \"full\"?\n" +
				"ladder.yaml:8:41: spec.environments[0].promotion: is \"commit\": want Commit or PullRequest, did you mean \"Commit\"?\n" +
				"ladder.yaml:8:55: spec.environments[0].data: is \"Prod\": want Throwaway, Synthetic or Real\n" +
				"ladder.yaml:9:20: spec.preview.forks: is \"Maybe\": want Deny or Allow\n" +
				"ladder.yaml:9:43: spec.preview.source.forge: is \"Gitlab\": want Gitea or GitHub, did you mean \"Gitea\"?",
		},
		"what is required": {
			"spec:\n  images: [{}]\n  environments: [{tier: lite}]\n  preview: {source: {}}\n",
			"ladder.yaml:5:3: spec: needs \"chart\"\n" +
				"ladder.yaml:5:12: spec.images[0]: needs \"name\"\n" +
				"ladder.yaml:5:12: spec.images[0]: needs \"repository\"\n" +
				"ladder.yaml:5:12: spec.images[0]: needs \"valuesPath\" or \"set\": name the value that gets the image\n" +
				"ladder.yaml:6:18: spec.environments[0]: needs \"name\"\n" +
				"ladder.yaml:6:25: spec.environments[0].tier: tier \"lite\" isn't declared: set spec.tiers.lite to its values file\n" +
				"ladder.yaml:7:21: spec.preview.source: needs \"forge\"\n" +
				"ladder.yaml:7:21: spec.preview.source: needs \"repository\"",
		},
		"no environments": {
			"spec: {chart: chart, environments: []}\n",
			"ladder.yaml:4:36: spec.environments: needs at least one environment",
		},
		"empty strings": {
			"spec: {chart: '', environments: [{name: '', pins: ''}]}\n",
			"ladder.yaml:4:15: spec.chart: is empty: give it a value or leave it out\n" +
				"ladder.yaml:4:41: spec.environments[0].name: is empty: give it a value or leave it out\n" +
				"ladder.yaml:4:51: spec.environments[0].pins: is empty: give it a value or leave it out",
		},
		"a duplicate key doesn't hide the others": {
			"spec:\n" + rest + "  chart: other\n  chrat: x\n  layers: [../a.yaml]\n",
			"ladder.yaml:7:3: spec.chart: duplicate key, the first is in line 5\n" +
				"ladder.yaml:8:3: spec.chrat: unknown field, did you mean \"chart\"?\n" +
				"ladder.yaml:9:12: spec.layers[0]: \"../a.yaml\" leads outside the repository, whose root is the folder of ladder.yaml (the nearest folder with .git is the root; without one it is this)",
		},
		"a layer twice in one list": {
			"spec:\n  chart: chart\n  layers: [a.yaml, b.yaml, ./a.yaml]\n  environments: [{name: dev, layers: [a.yaml], targets: [{name: eu, layers: [c.yaml, c.yaml]}]}]\n",
			"ladder.yaml:6:28: spec.layers[2]: \"./a.yaml\" is already spec.layers[0]: remove it, since a list may name a layer only once\n" +
				"ladder.yaml:7:86: spec.environments[0].targets[0].layers[1]: \"c.yaml\" is already spec.environments[0].targets[0].layers[0]: remove it, since a list may name a layer only once",
		},
		"an alias": {
			"spec:\n  chart: &c chart\n  layers: [*c]\n  environments: [{name: dev}]\n",
			"ladder.yaml:6:12: spec.layers[0]: is an alias: write the value out",
		},
		"a merge": {
			"spec:\n" + rest + "  preview: {<<: {max: 1}}\n",
			`ladder.yaml:7:13: spec.preview["<<"]: unknown field: the fields here are forks, layers, max, overrides, source, tag, tier, ttl`,
		},
		"names": {
			"spec: {chart: chart, environments: [{name: Dev}, {name: preview}, {name: pr-17}, {name: -a}, {name: " + strings.Repeat("a", 64) + "}]}\n",
			"ladder.yaml:4:44: spec.environments[0].name: is \"Dev\": want at most 63 lowercase letters, digits and -, with a letter or digit at both ends\n" +
				"ladder.yaml:4:57: spec.environments[1].name: \"preview\" is reserved for the environments of pull requests: their template is spec.preview\n" +
				"ladder.yaml:4:74: spec.environments[2].name: \"pr-17\" is reserved for the environments of pull requests: their template is spec.preview\n" +
				"ladder.yaml:4:89: spec.environments[3].name: is \"-a\": want at most 63 lowercase letters, digits and -, with a letter or digit at both ends\n" +
				"ladder.yaml:4:101: spec.environments[4].name: is \"" + strings.Repeat("a", 64) + "\": want at most 63 lowercase letters, digits and -, with a letter or digit at both ends",
		},
		"the same name twice": {
			"spec:\n  chart: chart\n  environments:\n  - {name: dev}\n  - {name: dev, targets: [{name: eu}, {name: eu}]}\n",
			"ladder.yaml:8:12: spec.environments[1].name: \"dev\" is already spec.environments[0].name\n" +
				"ladder.yaml:8:46: spec.environments[1].targets[1].name: \"eu\" is already spec.environments[1].targets[0].name",
		},
		"after": {
			"spec:\n  chart: chart\n  environments:\n  - {name: a, targets: [{name: eu, after: us}, {name: us, after: eu}, {name: ap, after: us}]}\n" +
				"  - {name: b, targets: [{name: eu, after: eu}, {name: us, after: ue}]}\n",
			"ladder.yaml:7:43: spec.environments[0].targets[0].after: the targets are a cycle, so none can be promoted first: eu after us after eu\n" +
				"ladder.yaml:8:43: spec.environments[1].targets[0].after: the targets are a cycle, so none can be promoted first: eu after eu\n" +
				"ladder.yaml:8:66: spec.environments[1].targets[1].after: there is no target \"ue\" in this environment, did you mean \"eu\"?",
		},
		"paths": {
			"spec:\n  chart: /srv/chart\n  layers: ['a\\b.yaml', ../a.yaml, \"a\\nb.yaml\"]\n  tiers: {lite: /lite.yaml}\n  environments: [{name: dev, pins: a/../../pins.yaml, gate: /gate.yaml}]\n",
			"ladder.yaml:5:10: spec.chart: \"/srv/chart\" is absolute: write it relative to the folder of ladder.yaml\n" +
				"ladder.yaml:6:12: spec.layers[0]: \"a\\\\b.yaml\" has a backslash: folders are separated by /\n" +
				"ladder.yaml:6:24: spec.layers[1]: \"../a.yaml\" leads outside the repository, whose root is the folder of ladder.yaml (the nearest folder with .git is the root; without one it is this)\n" +
				"ladder.yaml:6:35: spec.layers[2]: \"a\\nb.yaml\" has a control character\n" +
				"ladder.yaml:7:17: spec.tiers.lite: \"/lite.yaml\" is absolute: write it relative to the folder of ladder.yaml\n" +
				"ladder.yaml:8:36: spec.environments[0].pins: \"a/../../pins.yaml\" leads outside the repository, whose root is the folder of ladder.yaml (the nearest folder with .git is the root; without one it is this)\n" +
				"ladder.yaml:8:61: spec.environments[0].gate: \"/gate.yaml\" is absolute: write it relative to the folder of ladder.yaml",
		},
		"a chart by a tag": {
			"spec: {chart: 'oci://registry.example.com/charts/shop:1.0.0', environments: [{name: dev}]}\n",
			"ladder.yaml:4:15: spec.chart: \"oci://registry.example.com/charts/shop:1.0.0\" isn't a chart's digest: want oci://HOST/REPOSITORY@sha256:… with 64 lowercase hex digits, without a tag",
		},
		"one pins file for two environments": {
			"spec:\n  chart: chart\n  environments:\n  - {name: dev, pins: pins.yaml}\n  - {name: prod, targets: [{name: eu, pins: ./pins.yaml}]}\n",
			"ladder.yaml:8:45: spec.environments[1].targets[0].pins: \"./pins.yaml\" is already spec.environments[0].pins: a promotion to one would change the other",
		},
		"repositories": {
			"spec:\n" + rest + "  images:\n" +
				"  - {name: a, valuesPath: a, repository: nginx}\n" +
				"  - {name: b, valuesPath: b, repository: library/nginx}\n" +
				"  - {name: c, valuesPath: c, repository: 'localhost:5000/nginx:1.2'}\n" +
				"  - {name: d, valuesPath: d, repository: 'docker.io/nginx@" + digestA + "'}\n" +
				"  - {name: e, valuesPath: e, repository: 'https://docker.io/nginx'}\n" +
				"  - {name: f, valuesPath: f, repository: docker.io/NGINX}\n" +
				"  - {name: g, valuesPath: g, repository: docker.io//nginx}\n" +
				"  - {name: h, valuesPath: h, repository: 'localhost:5000/nginx'}\n" +
				"  - {name: i, valuesPath: i, repository: '[::1]:5000/a/b_c/d--e.f'}\n",
			"ladder.yaml:8:42: spec.images[0].repository: is \"nginx\": names no registry: want HOST/REPOSITORY, such as docker.io/library/nginx\n" +
				"ladder.yaml:9:42: spec.images[1].repository: is \"library/nginx\": names no registry: want HOST/REPOSITORY, such as docker.io/library/nginx\n" +
				"ladder.yaml:10:42: spec.images[2].repository: is \"localhost:5000/nginx:1.2\": has a tag: the pins set the digest\n" +
				"ladder.yaml:11:42: spec.images[3].repository: is \"docker.io/nginx@" + digestA + "\": has a digest: the pins set it\n" +
				"ladder.yaml:12:42: spec.images[4].repository: is \"https://docker.io/nginx\": has a scheme: want HOST/REPOSITORY alone\n" +
				"ladder.yaml:13:42: spec.images[5].repository: is \"docker.io/NGINX\": isn't a repository: want HOST[:PORT]/REPOSITORY in lowercase\n" +
				"ladder.yaml:14:42: spec.images[6].repository: is \"docker.io//nginx\": isn't a repository: want HOST[:PORT]/REPOSITORY in lowercase",
		},
		"values paths": {
			"spec:\n" + rest + "  images:\n" +
				"  - {name: a, repository: docker.io/a, valuesPath: .image}\n" +
				"  - {name: b, repository: docker.io/b, valuesPath: 'image[0]'}\n" +
				"  - {name: c, repository: docker.io/c, valuesPath: web}\n" +
				"  - {name: d, repository: docker.io/d, valuesPath: web.image}\n" +
				"  - {name: e, repository: docker.io/e, valuesPath: web}\n" +
				"  - {name: f, repository: docker.io/f, valuesPath: webs}\n",
			"ladder.yaml:8:52: spec.images[0].valuesPath: is \".image\": it isn't a path of values, such as image.digest, hosts[0] or annotations[\"example.com/a\"]\n" +
				"ladder.yaml:9:52: spec.images[1].valuesPath: is \"image[0]\": it has an index, and a layer's list replaces the chart's as a whole: add a key for the image to the chart, and name that\n" +
				"ladder.yaml:11:52: spec.images[3].valuesPath: \"web.image\" is inside of spec.images[2].valuesPath: they would overwrite each other\n" +
				"ladder.yaml:12:52: spec.images[4].valuesPath: \"web\" is inside of spec.images[2].valuesPath: they would overwrite each other",
		},
		"patterns of what may differ": {
			"spec:\n" + rest + "  mayDiffer: {scale: [a.b, 'a.*.c', 'a.**'], flags: [a..b, '**', 'a.**.b', 'a*', ''], other: [a]}\n",
			"ladder.yaml:7:54: spec.mayDiffer.flags[0]: is \"a..b\": it isn't a path of values, such as image.digest, hosts[0] or annotations[\"example.com/a\"]\n" +
				"ladder.yaml:7:60: spec.mayDiffer.flags[1]: is \"**\": it matches everything: name the paths\n" +
				"ladder.yaml:7:66: spec.mayDiffer.flags[2]: is \"a.**.b\": it has ** before its end: ** matches everything below, * one element\n" +
				"ladder.yaml:7:76: spec.mayDiffer.flags[3]: is \"a*\": it has * within a key: * stands for one whole element, and a key that has a star is quoted ([\"*\"])\n" +
				"ladder.yaml:7:82: spec.mayDiffer.flags[4]: is empty: give it a value or leave it out\n" +
				"ladder.yaml:7:87: spec.mayDiffer.other: unknown field: the fields here are endpoints, flags, rollout, scale, secrets",
		},
		"preview": {
			"spec:\n" + rest + "  preview: {tier: full, ttl: 3d, max: 0, layers: [/a], source: {forge: Gitea, repository: shop}}\n",
			"ladder.yaml:7:19: spec.preview.tier: tier \"full\" isn't declared: set spec.tiers.full to its values file\n" +
				"ladder.yaml:7:30: spec.preview.ttl: is \"3d\": want a duration such as 72h or 1h30m\n" +
				"ladder.yaml:7:39: spec.preview.max: want at least 1: leave spec.preview out for no previews\n" +
				"ladder.yaml:7:51: spec.preview.layers[0]: \"/a\" is absolute: write it relative to the folder of ladder.yaml\n" +
				"ladder.yaml:7:91: spec.preview.source.repository: is \"shop\": want owner/name, as the forge names it",
		},
		"a ttl that is over before it begins": {
			"spec:\n" + rest + "  preview: {ttl: -1h}\n",
			"ladder.yaml:7:18: spec.preview.ttl: is \"-1h\": want a duration above 0, have -1h0m0s",
		},
		"value paths of an image": {
			"spec:\n" + rest + "  images:\n" +
				"  - {name: a, repository: docker.io/a, set: {image: '{{.Repositry}}@{{.Digest}}'}}\n" +
				"  - {name: b, repository: docker.io/b, set: {b: '{{printf \"%1000000d\" 1}}', 'c[0].image': '{{.Digest}}', .d: '{{.Digest}}'}}\n" +
				"  - {name: c, repository: docker.io/c, set: {c: '{{.Repository}}:latest'}}\n" +
				"  - {name: d, repository: docker.io/d, valuesPath: d, set: {d.registry: '{{.Registry}}', d.digest.hex: '{{.Hex}}'}}\n" +
				"  - {name: e, repository: docker.io/e, set: {image.tag: '{{.Digest}}', d.path: '{{.Digest}}'}}\n",
			"ladder.yaml:8:53: spec.images[0].set.image: is \"{{.Repositry}}@{{.Digest}}\": there is no field .Repositry: want text and {{.Repository}}, {{.Registry}}, {{.Path}}, {{.Digest}}, {{.Hex}} alone\n" +
				"ladder.yaml:9:49: spec.images[1].set.b: is \"{{printf \\\"%1000000d\\\" 1}}\": want text and {{.Repository}}, {{.Registry}}, {{.Path}}, {{.Digest}}, {{.Hex}} alone\n" +
				"ladder.yaml:9:91: spec.images[1].set[\"c[0].image\"]: it has an index, and a layer's list replaces the chart's as a whole: add a key for the image to the chart, and name that\n" +
				"ladder.yaml:9:110: spec.images[1].set[\".d\"]: it isn't a path of values, such as image.digest, hosts[0] or annotations[\"example.com/a\"]\n" +
				"ladder.yaml:10:45: spec.images[2].set: has no {{.Digest}}: the chart wouldn't know which digest to run\n" +
				"ladder.yaml:11:104: spec.images[3].set[\"d.digest.hex\"]: \"d.digest.hex\" is inside of spec.images[3].valuesPath: they would overwrite each other\n" +
				"ladder.yaml:12:57: spec.images[4].set[\"image.tag\"]: \"image.tag\" is inside of spec.images[0].set.image: they would overwrite each other\n" +
				"ladder.yaml:12:80: spec.images[4].set[\"d.path\"]: \"d.path\" is inside of spec.images[3].valuesPath: they would overwrite each other",
		},
		"what parameters may not override": {
			"spec:\n" + rest[:len("  chart: chart\n")] + "  images: [{name: a, repository: docker.io/a, valuesPath: web.image, set: {global.image: '{{.Digest}}'}}]\n" +
				"  overrides: ['**', web.image.**, a.**.b]\n  environments: [{name: dev, overrides: [web.image.pullPolicy, '*.image.tag', web, global.image.x]}]\n  preview: {overrides: [global.*]}\n",
			"ladder.yaml:7:15: spec.overrides[0]: is \"**\": it matches everything: name the paths\n" +
				"ladder.yaml:7:21: spec.overrides[1]: \"web.image.**\" covers web.image.repository (spec.images[0].valuesPath), which only the pins may set\n" +
				"ladder.yaml:7:35: spec.overrides[2]: is \"a.**.b\": it has ** before its end: ** matches everything below, * one element\n" +
				"ladder.yaml:8:64: spec.environments[0].overrides[1]: \"*.image.tag\" covers web.image.tag (spec.images[0].valuesPath), which only the pins may set\n" +
				"ladder.yaml:8:79: spec.environments[0].overrides[2]: \"web\" covers web.image.repository (spec.images[0].valuesPath), which only the pins may set\n" +
				"ladder.yaml:8:84: spec.environments[0].overrides[3]: \"global.image.x\" covers global.image (spec.images[0].set[\"global.image\"]), which only the pins may set\n" +
				"ladder.yaml:9:25: spec.preview.overrides[0]: \"global.*\" covers global.image (spec.images[0].set[\"global.image\"]), which only the pins may set",
		},
		"layers": {
			"spec:\n  chart: chart\n  layers: [{path: a.yaml, optional: maybe}, {optional: true}, {path: a.yaml, optinal: true}, [b.yaml], '*/c.yaml', 'd[.yaml']\n  environments: [{name: dev}]\n",
			"ladder.yaml:6:37: spec.layers[0].optional: want true or false, have a string\n" +
				"ladder.yaml:6:45: spec.layers[1]: needs \"path\"\n" +
				"ladder.yaml:6:63: spec.layers[2]: \"a.yaml\" is already spec.layers[0]: remove it, since a list may name a layer only once\n" +
				"ladder.yaml:6:78: spec.layers[2].optinal: unknown field, did you mean \"optional\"?\n" +
				"ladder.yaml:6:94: spec.layers[3]: want a mapping, have a list\n" +
				"ladder.yaml:6:104: spec.layers[4]: \"*/c.yaml\" has a glob before its last element: name the folder\n" +
				"ladder.yaml:6:116: spec.layers[5]: \"d[.yaml\" isn't a glob: a [ has no ], or nothing in it",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ladder.Open(fstest.MapFS{"ladder.yaml": {Data: []byte(head + test.spec)}}, ".")
			diffProblems(t, test.want, err)
		})
	}
}

func TestValidateHeader(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"nothing": {
			"",
			"ladder.yaml:1:1: needs \"apiVersion\"\nladder.yaml:1:1: needs \"kind\"\nladder.yaml:1:1: needs \"metadata\"\nladder.yaml:1:1: needs \"spec\"",
		},
		"another document": {
			"apiVersion: envladder.dev/v1\nkind: Gate\nmetadata: {name: Shop, labels: {}}\nspec: {chart: c, environments: [{name: dev}]}\n",
			"ladder.yaml:1:13: apiVersion: is \"envladder.dev/v1\": want \"envladder.dev/v1alpha1\"\n" +
				"ladder.yaml:2:7: kind: is \"Gate\": want \"Ladder\"\n" +
				"ladder.yaml:3:18: metadata.name: is \"Shop\": want at most 63 lowercase letters, digits and -, with a letter or digit at both ends\n" +
				"ladder.yaml:3:24: metadata.labels: unknown field: the fields here are name",
		},
		"a list":              {"- a\n", "ladder.yaml:1:1: want a mapping, have a list"},
		"not YAML":            {"a: [\n", "ladder.yaml:2:1: isn't valid YAML: did not find expected node content"},
		"an alias of nothing": {"a: [*b]\n", "ladder.yaml:1:1: isn't valid YAML: an alias of an anchor that isn't defined above it"},
		"an alias bomb": {
			head + "a: &a [" + strings.Repeat("x, ", 5000) + "]\nspec: {chart: c, environments: [*a, *a, *a]}\n",
			"ladder.yaml:4:1: a: unknown field: the fields here are apiVersion, kind, metadata, spec\n" +
				"ladder.yaml:5:33: spec.environments[0]: is an alias: write the value out\n" +
				"ladder.yaml:5:33: spec.environments[0]: the aliases from here on repeat more than 10000 nodes\n" +
				"ladder.yaml:5:37: spec.environments[1]: is an alias: write the value out\n" +
				"ladder.yaml:5:41: spec.environments[2]: is an alias: write the value out",
		},
		"two at once": {head + "---\n" + head, "ladder.yaml:1:1: needs \"spec\"\nladder.yaml:4:1: has a second document: use a file for each"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ladder.Open(fstest.MapFS{"ladder.yaml": {Data: []byte(test.in)}}, ".")
			diffProblems(t, test.want, err)
		})
	}
}

// A small file mustn't make much work. Each of these took tens of seconds, or gigabytes,
// when lists had no bound; no time is asserted, since the test's own limit does that.
func TestHostileLadders(t *testing.T) {
	const most = 1<<20 - 4096 // leaves room for the rest of the document
	// list repeats items, made of a number, until the file is full.
	list := func(item func(i int) string) string {
		var b strings.Builder
		for i := 0; ; i++ {
			next := item(i) + ", "
			if b.Len()+len(next) > most {
				return "[" + b.String() + "]"
			}
			b.WriteString(next)
		}
	}
	const rest = "chart: chart, environments: [{name: dev}]"
	targets := func(list string) string { return "chart: chart, environments: [{name: prod, targets: " + list + "}]" }
	for name, test := range map[string]struct{ spec, want string }{
		"layers": {
			rest + ", layers: " + list(func(i int) string { return fmt.Sprint("a", i) }),
			"spec.layers: has N items: at most 100 are allowed",
		},
		"the same layer": {
			rest + ", layers: " + list(func(int) string { return "a" }),
			"spec.layers: has N items: at most 100 are allowed",
		},
		"a chain of targets": {
			targets(list(func(i int) string { return fmt.Sprintf("{name: t%d, after: t%d}", i, max(i-1, 0)) })),
			"spec.environments[0].targets: has N items: at most 100 are allowed",
		},
		"cycle of targets": {
			targets(list(func(i int) string { return fmt.Sprintf("{name: t%d, after: t%d}", i, (i+1)%100) })),
			"spec.environments[0].targets: has N items: at most 100 are allowed",
		},
		"targets after unknown ones": {
			targets(list(func(i int) string { return fmt.Sprintf("{name: t%d, after: u%d}", i, i) })),
			"spec.environments[0].targets: has N items: at most 100 are allowed",
		},
		"environments": {
			"chart: chart, environments: " + list(func(i int) string { return fmt.Sprintf("{name: e%d, pins: p}", i) }),
			"spec.environments: has N items: at most 100 are allowed",
		},
		"images inside of each other": {
			rest + ", images: " + list(func(i int) string { return fmt.Sprintf("{name: i%d, repository: docker.io/a, valuesPath: a}", i) }),
			"spec.images: has N items: at most 100 are allowed",
		},
		"many overrides and many images": {
			"chart: chart, images: [" + strings.Repeat("{name: a, repository: docker.io/a, set: {"+setPaths()+"}}, ", 100) + "], environments: [" +
				strings.Repeat("{name: e, overrides: ["+strings.Repeat("'*.b.c.e', ", 50)+"]}, ", 100) + "]",
			"",
		},
		"globs": {
			rest + ", layers: " + list(func(i int) string { return fmt.Sprintf("{path: 'a%d*'}", i) }),
			"spec.layers: has N items: at most 100 are allowed",
		},
		"long value paths": {
			rest + ", images: [{name: a, repository: docker.io/a, valuesPath: " + strings.Repeat("a.", 200_000) + "b}]",
			"",
		},
		"patterns": {
			rest + ", mayDiffer: {scale: " + list(func(int) string { return "'**'" }) + "}",
			"spec.mayDiffer.scale: has N items: at most 200 are allowed",
		},
		"as many targets as are allowed, wherever they are allowed": {
			"chart: chart, environments: " + list(func(i int) string {
				if i >= 100 {
					return "{name: last}" // the list's end, and too many
				}
				var b strings.Builder
				for j := range 100 {
					fmt.Fprintf(&b, "{name: t%d, after: %s%d}, ", j, strings.Repeat("u", 60), j)
				}
				return fmt.Sprintf("{name: e%d, targets: [%s]}", i, b.String())
			}),
			"",
		},
		"names that are as long as the file": {
			targets(list(func(i int) string {
				return fmt.Sprintf("{name: %s%d, after: %s}", strings.Repeat("t", 5000), i, strings.Repeat("t", 5000))
			})),
			"",
		},
		"a deep path to many problems": {
			rest + ", x: " + strings.Repeat("{"+strings.Repeat("k", 300)+": ", 50) + "{" + list(func(int) string { return "a: 1" })[1:900_000] + strings.Repeat("}", 51),
			"",
		},
	} {
		t.Run(name, func(t *testing.T) {
			data := []byte(head + "spec: {" + test.spec + "}\n")
			if len(data) > strictyaml.MaxSize {
				t.Fatalf("%d bytes are refused for their number alone", len(data))
			}
			_, err := ladder.Open(fstest.MapFS{"ladder.yaml": {Data: data}}, ".")
			problems := strictyaml.ProblemsOf(err)
			if len(problems) == 0 || len(problems) > 101 {
				t.Fatalf("got %d problems (%T), want 1 to 101", len(problems), err)
			}
			if got, most := len(err.Error()), 256<<10; got > most {
				t.Errorf("the error has %d bytes, want at most %d", got, most)
			}
			if strings.Contains(err.Error(), "isn't valid YAML") {
				t.Fatal(err)
			}
			number := regexp.MustCompile(`has \d+ items`)
			is := func(f strictyaml.Problem) bool {
				return number.ReplaceAllString(f.Path+": "+f.Message, "has N items") == test.want
			}
			if test.want != "" && !slices.ContainsFunc(problems, is) {
				t.Errorf("got %d problems, the first %v; want one that says %s", len(problems), problems[0], test.want)
			}
		})
	}
}

// setPaths are as many places of an image as there may be.
func setPaths() string {
	var b strings.Builder
	for i := range 20 {
		fmt.Fprintf(&b, "a%d.b.c.d: '{{.Digest}}', ", i)
	}
	return b.String()
}

// Items beyond a bound must not be reported as missing.
func TestTooManyItemsAreOneProblem(t *testing.T) {
	var targets, pins strings.Builder
	for i := range 101 {
		fmt.Fprintf(&targets, "{name: t%d, after: t%d}, ", i, i+1)
		fmt.Fprintf(&pins, "i%d: %s, ", i, digestA)
	}
	spec := "spec: {chart: chart, environments: [{name: prod, targets: [" + targets.String() + "{name: t101}]}]}\n"
	_, err := ladder.Open(fstest.MapFS{"ladder.yaml": {Data: []byte(head + spec)}}, ".")
	diffProblems(t, "ladder.yaml:4:59: spec.environments[0].targets: has 102 items: at most 100 are allowed", err)

	document, err := ladder.Open(with("shop/pins/dev.yaml", "images: {"+pins.String()+"web: "+digestA+", job: "+digestA+"}\n"), "shop")
	if err != nil {
		t.Fatal(err)
	}
	_, err = document.Resolve("dev", "")
	diffProblems(t, "shop/pins/dev.yaml:1:9: images: has 103 keys: at most 100 are allowed", err)
}

// A cycle is one problem, however many targets it has, and names some of them.
func TestCycleOfTargetsIsOneProblem(t *testing.T) {
	var b strings.Builder
	for i := range 100 {
		fmt.Fprintf(&b, "{name: t%d, after: t%d}, ", i, (i+1)%100)
	}
	spec := "spec: {chart: chart, environments: [{name: prod, targets: [" + b.String() + "]}]}\n"
	_, err := ladder.Open(fstest.MapFS{"ladder.yaml": {Data: []byte(head + spec)}}, ".")
	diffProblems(t, "ladder.yaml:4:78: spec.environments[0].targets[0].after: the targets are a cycle, so none can be promoted first: "+
		"t0 after t1 after t2 after t3 after t4 after t5 after t6 after t7 after t8 after t9 after t10 after t11 after t12 after t13 after t14 "+
		"after t15 after t16 after t17 after t18 after t19 after … after t0", err)
}

// FuzzLadder checks that any bytes parse without a panic, and that each problem is one line
// that begins with its file.
func FuzzLadder(f *testing.F) {
	example, err := os.ReadFile("../../examples/shop/gitops/shop/ladder.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(example)
	f.Add(shop()["shop/ladder.yaml"].Data)
	f.Add([]byte(head + "spec: {chart: &a [*a], environments: [{name: dev, targets: [{name: a, after: b}, {name: b, after: a}]}]}"))
	f.Add([]byte(head + "spec: {chart: c, layers: ['a*', {path: b, optional: true}], overrides: [a.**], images: [{name: a, repository: a.io/b, valuesPath: i, set: {i.tag: '{{.Hex}}', j.k: '{{.Registry}}/{{.Path}}@{{.Digest}}'}}], environments: [{name: dev, overrides: []}]}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		document, err := ladder.Open(fstest.MapFS{"shop/ladder.yaml": {Data: data}}, "shop")
		if err != nil {
			wellFormed(t, err)
			return
		}
		if err := document.Check(); err != nil {
			wellFormed(t, err)
		}
		// What the images set can be said, and doesn't overlap.
		var paths [][]string
		for _, image := range document.Spec.Images {
			values, err := ladder.Pin{Image: image, Digest: digestA}.Values()
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range values {
				for _, other := range paths {
					n := min(len(other), len(v.Path))
					if slices.Equal(other[:n], v.Path[:n]) {
						t.Fatalf("%q and %q overlap", other, v.Path)
					}
				}
				paths = append(paths, v.Path)
			}
		}
	})
}

// FuzzPins checks that any bytes result in problems or in a digest for every image.
func FuzzPins(f *testing.F) {
	for _, seed := range []string{
		string(shop()["shop/pins/dev.yaml"].Data), string(shop()["shop/pins/eu.yaml"].Data), "images: {web: v1}", "chart: ../..", "images: [*a]",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		repo := shop()
		repo["shop/pins/dev.yaml"] = &fstest.MapFile{Data: data}
		document, err := ladder.Open(repo, "shop")
		if err != nil {
			t.Fatal(err)
		}
		resolved, err := document.Resolve("dev", "")
		if err != nil {
			wellFormed(t, err)
			return
		}
		if len(resolved.Pins) != 2 {
			t.Fatalf("got %d pins without a problem, want one for each of 2 images", len(resolved.Pins))
		}
		for _, pin := range resolved.Pins {
			if len(pin.Digest) != len(digestA) || strings.Trim(pin.Digest[len("sha256:"):], "0123456789abcdef") != "" {
				t.Fatalf("%s passed for a digest", pin.Digest)
			}
		}
	})
}

func wellFormed(t *testing.T, err error) {
	t.Helper()
	if _, ok := errors.AsType[strictyaml.Problems](err); !ok {
		t.Fatalf("error of type %T: %v", err, err)
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if !strings.HasPrefix(line, "shop/") {
			t.Fatalf("a line without its file: %q", line)
		}
	}
}
