package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/envladder/envladder/bench/internal/harness"
)

// report prints a table in Markdown, with the ratio of each to ours in the same line of
// charts and clients: how many times as many renders ours made with each new.
func report(w io.Writer, results []result) error {
	var b strings.Builder
	b.WriteString(harness.Head("chart", "clients", "", "renders/s", "p50", "p99", "CPU a render", "peak memory", "ours, each new, is"))
	for _, r := range results {
		clients, rate := strconv.Itoa(r.clients), fmt.Sprintf("%.1f", r.Rate())
		if r.clients == 0 {
			clients, rate = "first render", ""
		}
		b.WriteString(harness.Row(r.chart, clients, r.contender, rate, harness.Round(r.P50).String(), harness.Round(r.P99).String(),
			harness.CPU(r.CPU), harness.MiB(r.Peak), ratio(results, r)))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func ratio(results []result, r result) string {
	for _, ours := range results {
		if ours.chart != r.chart || ours.clients != r.clients || ours.contender != "envladder, each new" {
			continue
		}
		if r.clients == 0 {
			return fmt.Sprintf("%.1f× as fast", r.P50.Seconds()/ours.P50.Seconds())
		}
		return fmt.Sprintf("%.1f× as many", ours.Rate()/r.Rate())
	}
	return ""
}
