# envladder: `make help` lists what there is to do.
#
# Wanted on the machine: Go, git, make, and a C compiler (for Gitea's database, in the
# test bed only). Everything else is built from Go modules, once, and kept in the
# user's cache folder.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X github.com/envladder/envladder/internal/cli.version=$(VERSION)
PROGRAMS := $(notdir $(wildcard cmd/*))

controller-gen := go tool -modfile=tools/controller-gen.mod controller-gen
golangci-lint := go tool -modfile=$(CURDIR)/tools/golangci-lint.mod golangci-lint
vale := go tool -modfile=$(CURDIR)/tools/vale.mod vale
buf := go tool -modfile=$(CURDIR)/tools/buf.mod buf

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Without -trimpath: the tests are built without, and share what is compiled then.
.PHONY: build
build: ## Build envladder's programs and the test bed's into bin/
	@mkdir -p bin
	@echo "Building envladder's programs (some minutes the first time)"
	go build -ldflags '$(LDFLAGS)' -o bin/ $(addprefix ./cmd/,$(PROGRAMS))
	cd test && go build -o ../bin/ ./cmd/...

.PHONY: demo
demo: build ## Run the main job on real parts: one change climbs from a pull request to prod (KEEP=1 leaves it running, STORY=first-deploy or adopt tells another)
	@echo "Building what the demo runs on (about half an hour the first time on 2 cores; kept for later)"
	bin/demo $(if $(filter-out 0,$(KEEP)),--keep) $(if $(STORY),--story $(STORY))

.PHONY: test
test: build ## Run the tests, with a real API server and the real cosign
	@bin/bed build etcd kube-apiserver kubectl cosign helm
	KUBEBUILDER_ASSETS="$$(bin/bed assets)" COSIGN="$$(bin/bed path cosign)" HELM="$$(bin/bed path helm)" \
		go test -count=1 -timeout 20m ./...

.PHONY: e2e
e2e: build ## Run the demo's steps as a test, against Argo CD v3 and v2, the webhook with real controllers, and the bed's own tests
	@bin/bed build
	cd test && go test -count=1 -timeout 45m -v $$(go list ./... | grep -v /interop)

.PHONY: interop
interop: build ## Sign and verify with sigstore's own services and a KMS, beside the real cosign (some minutes the first time)
	@bin/bed build cosign distribution referrers-registry fulcio tesseract rekor timestamp-server local-kms
	cd test && go test -count=1 -timeout 20m -v ./interop

.PHONY: load
load: build ## Put the webhook under load for LOAD (5m) while its registry dies and comes back
	@bin/bed build etcd kube-apiserver kubectl distribution cosign
	cd test && LOAD=$(or $(LOAD),5m) go test -count=1 -timeout 1h -v ./load

# By number of inputs: when a duration ends, go test may report a failure without an
# input, "context deadline exceeded", because of a race in internal/fuzz.
.PHONY: fuzz
fuzz: ## Fuzz every parser of untrusted input in PACKAGES (./...), FUZZTIME inputs each (20000x)
	@go list -f '{{if .TestGoFiles}}{{.ImportPath}}{{else if .XTestGoFiles}}{{.ImportPath}}{{end}}' $(or $(PACKAGES),./...) | while read -r package; do \
		for target in $$(go test -list '^Fuzz' "$$package" | grep '^Fuzz' || true); do \
			echo "fuzzing $$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(or $(FUZZTIME),20000x) -fuzzminimizetime 10x "$$package"; \
		done; \
	done

.PHONY: bench-plugin
bench-plugin: build ## Measure the plugin beside argocd-cmp-server with helm and the repo-server's Helm source (some minutes)
	@bin/bed build helm argocd-v2
	go run ./bench/plugin -helm "$$(bin/bed path helm)" -argocd "$$(bin/bed path argocd-v2)"

.PHONY: bench-webhook
bench-webhook: build ## Measure the webhook beside policy-controller's (some minutes)
	@bin/bed build etcd kube-apiserver distribution referrers-registry cosign policy-controller
	KUBEBUILDER_ASSETS="$$(bin/bed assets)" go run ./bench/webhook -policy-controller "$$(bin/bed path policy-controller)" \
		-distribution "$$(bin/bed path distribution)" -referrers-registry "$$(bin/bed path referrers-registry)" -cosign "$$(bin/bed path cosign)"

.PHONY: lint
lint: check-generated ## Check style, modules, and that what is generated is current
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

# What is generated is compared by content, so that the check works on a dirty tree too.
generated := api/v1alpha1/zz_generated.deepcopy.go manifests charts/envladder/files plugin/pluginpb schemas

.PHONY: check-generated
check-generated: ## Check that what is generated is current
	@before=$$(find $(generated) -type f | sort | xargs sha256sum); \
	$(MAKE) --no-print-directory generate; \
	after=$$(find $(generated) -type f | sort | xargs sha256sum); \
	diff <(echo "$$before") <(echo "$$after") || { echo "generated files were not current: commit what 'make generate' wrote"; exit 1; }

.PHONY: clean
clean: ## Remove bin/ (the built programs of the test bed stay in the user's cache folder)
	rm -rf bin
