package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// report prints a table in Markdown, with the ratio of each to ours in the same line of
// charts and clients: how many times as many renders ours made with each new.
func report(w io.Writer, results []result) error {
	var b strings.Builder
	fmt.Fprintln(&b, "| chart | clients | | renders/s | p50 | p99 | CPU a render | peak memory | ours, each new, is |")
	fmt.Fprintln(&b, "| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, r := range results {
		clients := fmt.Sprint(r.clients)
		if r.clients == 0 {
			clients = "first render"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s | %s | %s |\n",
			r.chart, clients, r.contender, rate(r), round(r.p50), round(r.p99), cpu(r), memory(r), ratio(results, r))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func rate(r result) string {
	if r.clients == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", r.rate())
}

func cpu(r result) string {
	if r.cpu == 0 {
		return ""
	}
	return round(r.cpu).String()
}

func memory(r result) string {
	if r.peak == 0 {
		return ""
	}
	return fmt.Sprintf("%d MiB", r.peak>>20)
}

func ratio(results []result, r result) string {
	for _, ours := range results {
		if ours.chart != r.chart || ours.clients != r.clients || ours.contender != "envladder, each new" {
			continue
		}
		if r.clients == 0 {
			return fmt.Sprintf("%.1f× as fast", r.p50.Seconds()/ours.p50.Seconds())
		}
		return fmt.Sprintf("%.1f× as many", ours.rate()/r.rate())
	}
	return ""
}

func round(d time.Duration) time.Duration {
	switch {
	case d > time.Second:
		return d.Round(10 * time.Millisecond)
	case d > 10*time.Millisecond:
		return d.Round(100 * time.Microsecond)
	default:
		return d.Round(10 * time.Microsecond)
	}
}
