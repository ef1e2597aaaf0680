package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/envladder/envladder/bench/internal/harness"
)

// cell is one measurement.
type cell struct {
	harness.Sample

	title, what string
	clients     int
	// inside is the 99th percentile inside of the webhook, rounded up; 0: it doesn't say.
	inside time.Duration
}

// requests to the registry that one admission costs.
type requests struct {
	title, what string
	count       int
}

// resting is a webhook's memory when nobody asks.
type resting struct {
	title  string
	memory int64
}

type results struct {
	cells, known []cell
	requests     []requests
	resting      []resting
}

// print prints tables in Markdown.
func (r *results) print(w io.Writer) error {
	var b strings.Builder
	b.WriteString(harness.Head("asked for", "clients", "", "admissions/s", "p50", "p99", "p99 inside", "CPU each", "memory", "× policy-controller"))
	for _, c := range r.cells {
		b.WriteString(harness.Row(append(append([]string{c.what, strconv.Itoa(c.clients), c.title}, c.figures()...), r.ratio(c))...))
	}
	b.WriteString("\n" + harness.Head("", "memory at rest"))
	for _, rest := range r.resting {
		b.WriteString(harness.Row(rest.title, harness.MiB(rest.memory)))
	}
	b.WriteString("\n" + harness.Head("asked for", "", "requests to the registry"))
	for _, q := range r.requests {
		b.WriteString(harness.Row(q.what, q.title, strconv.Itoa(q.count)))
	}
	b.WriteString("\n" + harness.Head("", "admissions/s", "p50", "p99", "p99 inside", "CPU each", "memory"))
	for _, c := range r.known {
		b.WriteString(harness.Row(append([]string{c.what}, c.figures()...)...))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (c cell) figures() []string {
	inside := ""
	if c.inside > 0 {
		inside = "≤ " + c.inside.String()
	}
	return []string{fmt.Sprintf("%.0f", c.Rate()), harness.Round(c.P50).String(), harness.Round(c.P99).String(), inside, harness.CPU(c.CPU), harness.MiB(c.Peak)}
}

// ratio says how many times as many admissions ours does as policy-controller with as many
// clients. That one keeps nothing: each image is new to it.
func (r *results) ratio(c cell) string {
	if c.title != ours {
		return ""
	}
	what := c.what
	if what == firstTime || what == firstKept || what == ownedPod {
		what = onePod
	}
	for _, other := range r.cells {
		if other.title == theirs && other.what == what && other.clients == c.clients {
			return fmt.Sprintf("%.1f", c.Rate()/other.Rate())
		}
	}
	return ""
}
