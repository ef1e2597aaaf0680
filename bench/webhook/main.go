// Command webhook compares the webhook with policy-controller's, for the same signed images,
// with a real API server and a real registry, in one run.
//
// `make bench-webhook` runs it. It prints tables for docs/benchmarks.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/envladder/envladder/bench/internal/harness"
)

type options struct {
	webhook, policyController       string
	distribution, referrers, cosign string
	clients, known                  []int
	time                            time.Duration
	cold                            int
}

func main() {
	var o options
	var clients, known string
	flag.StringVar(&o.webhook, "webhook", "bin/envladder-webhook", "`program` of the webhook")
	flag.StringVar(&o.policyController, "policy-controller", "", "`program` of policy-controller's webhook")
	flag.StringVar(&o.distribution, "distribution", "", "`program` of a registry without the referrers API")
	flag.StringVar(&o.referrers, "referrers-registry", "", "`program` of a registry with the referrers API")
	flag.StringVar(&o.cosign, "cosign", "", "`program` of cosign")
	flag.StringVar(&clients, "clients", "1,64", "numbers of clients at once")
	flag.StringVar(&known, "known", "1,100,1000,10000", "numbers of known digests")
	flag.DurationVar(&o.time, "time", 5*time.Second, "`time` of each measurement")
	flag.IntVar(&o.cold, "cold", 300, "`number` of new images in each measurement with new images")
	flag.Parse()
	var err error
	for _, list := range []struct {
		flag, text string
		counts     *[]int
	}{{"clients", clients, &o.clients}, {"known", known, &o.known}} {
		if *list.counts, err = harness.Counts(list.text); err != nil {
			fmt.Fprintf(os.Stderr, "bench: -%s: %v\n", list.flag, err)
			os.Exit(2)
		}
	}
	slices.Sort(o.known)
	harness.Main(func(ctx context.Context) error { return run(ctx, o) })
}

func run(ctx context.Context, o options) error {
	w, err := start(ctx, o)
	if w != nil {
		defer w.stop()
	}
	if err != nil {
		return err
	}
	var r results
	for _, measure := range []func(context.Context, *results) error{w.measureOurs, w.measureTheirs, w.measureKnown} {
		if err := measure(ctx, &r); err != nil {
			return err
		}
	}
	return r.print(os.Stdout)
}
