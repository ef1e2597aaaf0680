package main

import (
	"github.com/spf13/pflag"

	"github.com/envladder/envladder/internal/chart"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/evidence/legacy"
	"github.com/envladder/envladder/internal/registry/cloud"
	"github.com/envladder/envladder/internal/verdict"
)

// sourceFlags select the registry of the evidence, and the trusted roots that verify it.
type sourceFlags struct {
	trust    evidence.TrustOptions
	registry cloud.Options
}

func (f *sourceFlags) addTo(flags *pflag.FlagSet) {
	f.trust.AddTo(flags)
	f.registry.AddTo(flags)
}

// charts returns a reader of charts, also of those in registries.
func (f *sourceFlags) charts() (*chart.Puller, error) {
	client, err := f.registry.Client()
	if err != nil {
		return nil, err
	}
	return chart.NewPuller(client, "", 0), nil
}

// judge returns a judge that reads and verifies evidence as the flags say.
func (f *sourceFlags) judge() (*verdict.Judge, error) {
	client, err := f.registry.Client()
	if err != nil {
		return nil, err
	}
	trust := evidence.NewTrust(f.trust)
	return verdict.New(evidence.NewStore(client, trust).WithLegacy(legacy.New(client, trust))), nil
}
