# envladder: `make help` lists the targets.
#
# Requires Go, git, make, and a C compiler (only for Gitea's database and the prose linter).
# Everything else is built from Go modules once, and cached in the user's cache folder.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Without cgo, like the images and the bed's programs, so that all share compiled packages.
export CGO_ENABLED ?= 0

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X github.com/envladder/envladder/internal/cli.version=$(VERSION)
PROGRAMS := $(notdir $(wildcard cmd/*))

controller-gen := go tool -modfile=tools/controller-gen.mod controller-gen
golangci-lint := go tool -modfile=$(CURDIR)/tools/golangci-lint.mod golangci-lint
vale := CGO_ENABLED=1 go tool -modfile=$(CURDIR)/tools/vale.mod vale
buf := go tool -modfile=$(CURDIR)/tools/buf.mod buf

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Without -trimpath, like the tests, so that both share compiled packages.
.PHONY: build
build: programs ## Build envladder's programs and the test bed's into bin/
	cd test && go build -o ../bin/ ./cmd/...

.PHONY: programs
programs: ## Build envladder's programs into bin/
	@mkdir -p bin
	@echo "Building envladder's programs (some minutes the first time)"
	go build -ldflags '$(LDFLAGS)' -o bin/ $(addprefix ./cmd/,$(PROGRAMS))

.PHONY: look
look: ## Render the example for staging and for prod, and print how they differ (about a minute the first time)
	@render() { PARAM_ENVIRONMENT=$$1 PARAM_TARGET=$${2:-} ARGOCD_APP_NAME=shop ARGOCD_APP_NAMESPACE=shop \
		go run -C examples/shop/gitops/shop $(CURDIR)/cmd/envladder-plugin generate; }; \
	staging=$$(render staging); prod=$$(render prod eu); \
	diff -U2 --label staging --label prod/eu <(echo "$$staging") <(echo "$$prod") || [ $$? -eq 1 ]

# The demo builds everything else in the order in which its story needs it.
.PHONY: demo
demo: ## Run the demo with real programs: one change goes from a pull request to prod (PAUSE=1 waits before each step; KEEP=1 leaves it running; STORY=first-deploy or adopt selects another demo)
	@mkdir -p bin
	@echo "Building the demo (about a minute the first time)"
	@cd test && go build -o ../bin/ ./cmd/demo
	@bin/demo $(if $(filter-out 0,$(KEEP)),--keep) $(if $(filter-out 0,$(PAUSE)),--pause) $(if $(STORY),--story $(STORY))

.PHONY: unit
unit: ## Run the tests that need no other program, with smaller sizes than `make test` (two minutes after the first time)
	@# The slowest package comes first, so that the others run next to it.
	env -u KUBEBUILDER_ASSETS -u COSIGN -u HELM go test -short ./promote ./...

# ENVLADDER_SKIP=never fails a test that would be skipped because a program is missing.
.PHONY: test
test: build ## Run the tests, with a real API server and the real cosign
	@bin/bed build etcd kube-apiserver kubectl cosign helm
	ENVLADDER_SKIP=never KUBEBUILDER_ASSETS="$$(bin/bed assets)" COSIGN="$$(bin/bed path cosign)" HELM="$$(bin/bed path helm)" \
		go test -count=1 -timeout 20m ./...

.PHONY: e2e
e2e: build ## Run the demo's steps as a test with Argo CD v3 and v2, the webhook with real controllers, and the bed's own tests
	@bin/bed build
	cd test && go test -count=1 -timeout 45m -v $$(go list ./... | grep -v /interop)

.PHONY: interop
interop: build ## Sign and verify with sigstore's own services, a KMS and the real cosign (some minutes the first time)
	@bin/bed build cosign distribution referrers-registry fulcio tesseract rekor timestamp-server local-kms
	cd test && go test -count=1 -timeout 20m -v ./interop

.PHONY: load
load: build ## Put the webhook under load for LOAD (5m) while its registry is killed and restarted
	@bin/bed build etcd kube-apiserver kubectl distribution cosign
	cd test && LOAD=$(or $(LOAD),5m) go test -count=1 -timeout 1h -v ./load

# FUZZTIME is a number of inputs: at the end of a duration, go test may report a failure
# without an input, "context deadline exceeded", because of a race in internal/fuzz.
.PHONY: fuzz
fuzz: ## Fuzz every parser of untrusted input in PACKAGES (./...), FUZZTIME inputs each (20000x)
	@go list -f '{{if .TestGoFiles}}{{.ImportPath}}{{else if .XTestGoFiles}}{{.ImportPath}}{{end}}' $(or $(PACKAGES),./...) | while read -r package; do \
		for target in $$(go test -list '^Fuzz' "$$package" | grep '^Fuzz' || true); do \
			echo "fuzzing $$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(or $(FUZZTIME),20000x) -fuzzminimizetime 10x "$$package"; \
		done; \
	done

.PHONY: bench-plugin
bench-plugin: build ## Compare the plugin with argocd-cmp-server running helm and the repo-server's Helm source (some minutes)
	@bin/bed build helm argocd-v2
	go run ./bench/plugin -helm "$$(bin/bed path helm)" -argocd "$$(bin/bed path argocd-v2)"

.PHONY: bench-webhook
bench-webhook: build ## Compare the webhook with policy-controller's (some minutes)
	@bin/bed build etcd kube-apiserver distribution referrers-registry cosign policy-controller
	KUBEBUILDER_ASSETS="$$(bin/bed assets)" go run ./bench/webhook -policy-controller "$$(bin/bed path policy-controller)" \
		-distribution "$$(bin/bed path distribution)" -referrers-registry "$$(bin/bed path referrers-registry)" -cosign "$$(bin/bed path cosign)"

.PHONY: lint
lint: check-generated prose ## Check style, wording, modules, and that generated files are current
	go mod tidy -diff
	cd test && go mod tidy -diff
	$(golangci-lint) run --allow-parallel-runners ./...
	cd test && $(golangci-lint) run --allow-parallel-runners --config ../.golangci.yml ./...
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run; fi

.PHONY: prose
prose: ## Check the wording of docs and comments (.vale/Envladder has the words)
	$(vale) --output line .

.PHONY: generate
generate: ## Generate deep copies, CRDs, plain manifests, JSON schemas and the plugin's protocol stubs
	$(controller-gen) object paths=./api/...
	$(controller-gen) crd paths=./api/... output:crd:dir=manifests/crds
	cp manifests/crds/*.yaml charts/envladder/files/crds/
	cd plugin/pluginpb && $(buf) generate
	go generate ./hack/...
	go run ./hack/plain

# Compares generated files by content, so that the check works with uncommitted changes too.
generated := api/v1alpha1/zz_generated.deepcopy.go manifests charts/envladder/files plugin/pluginpb schemas

.PHONY: check-generated
check-generated: ## Check that generated files are current
	@before=$$(find $(generated) -type f | sort | xargs sha256sum); \
	$(MAKE) --no-print-directory generate; \
	after=$$(find $(generated) -type f | sort | xargs sha256sum); \
	diff <(echo "$$before") <(echo "$$after") || { echo "generated files were not current: commit the output of 'make generate'"; exit 1; }

.PHONY: clean
clean: ## Remove bin/ (the test bed's built programs stay in the user's cache folder)
	rm -rf bin
