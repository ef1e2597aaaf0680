package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/envladder/envladder/bench/internal/harness"
)

// report prints the results as a table in Markdown. The last column is the ratio of our plugin
// to the row, for the same chart and number of clients.
func report(w io.Writer, results []result) error {
	var b strings.Builder
	b.WriteString(harness.Head("chart", "clients", "", "renders/s", "p50", "p99", "CPU per render", "peak memory", "ratio to "+titleChanged))
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

// ratio returns how many times as many renders our plugin makes, with every request changed, or
// for a first render, how many times as fast it is.
func ratio(results []result, r result) string {
	for _, ours := range results {
		if ours.chart != r.chart || ours.clients != r.clients || ours.contender != titleChanged {
			continue
		}
		if r.clients == 0 {
			return fmt.Sprintf("%.1f×", r.P50.Seconds()/ours.P50.Seconds())
		}
		return fmt.Sprintf("%.1f×", ours.Rate()/r.Rate())
	}
	return ""
}
