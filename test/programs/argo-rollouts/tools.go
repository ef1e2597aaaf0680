//go:build tools

// Package tools names the main package to build, so that go.mod and go.sum stay complete for it.
package tools

import (
	_ "github.com/argoproj/argo-rollouts/cmd/rollouts-controller"
)
