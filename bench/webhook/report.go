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

	title, request string
	clients        int
	// inside is the 99th percentile inside the webhook, rounded up, or 0 if unknown.
	inside time.Duration
}

// registryRequests is how many requests to the registry one admission makes.
type registryRequests struct {
	title, request string
	count          int
}

// idleMemory is the memory of a webhook without requests.
type idleMemory struct {
	title  string
	memory int64
}

// results are the measurements of a run.
type results struct {
	cells, known     []cell
	registryRequests []registryRequests
	idleMemory       []idleMemory
}

// print prints the results as tables in Markdown.
func (r *results) print(w io.Writer) error {
	var b strings.Builder
	b.WriteString(harness.Head("request", "clients", "", "admissions/s", "p50", "p99", "p99 inside", "CPU per request", "peak memory", "× policy-controller"))
	for _, c := range r.cells {
		b.WriteString(harness.Row(append(append([]string{c.request, strconv.Itoa(c.clients), c.title}, c.figures()...), r.ratio(c))...))
	}
	b.WriteString("\n" + harness.Head("", "idle memory"))
	for _, idle := range r.idleMemory {
		b.WriteString(harness.Row(idle.title, harness.MiB(idle.memory)))
	}
	b.WriteString("\n" + harness.Head("request", "", "requests to the registry"))
	for _, q := range r.registryRequests {
		b.WriteString(harness.Row(q.request, q.title, strconv.Itoa(q.count)))
	}
	b.WriteString("\n" + harness.Head("", "admissions/s", "p50", "p99", "p99 inside", "CPU per request", "peak memory"))
	for _, c := range r.known {
		b.WriteString(harness.Row(append([]string{c.request}, c.figures()...)...))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// figures returns the columns of a measurement.
func (c cell) figures() []string {
	inside := ""
	if c.inside > 0 {
		inside = "≤ " + c.inside.String()
	}
	return []string{fmt.Sprintf("%.0f", c.Rate()), harness.Round(c.P50).String(), harness.Round(c.P99).String(), inside, harness.CPU(c.CPU), harness.MiB(c.Peak)}
}

// ratio returns how many times as many admissions our webhook makes as policy-controller's
// with the same number of clients. policy-controller caches nothing, so each image is new to it.
func (r *results) ratio(c cell) string {
	if c.title != ours {
		return ""
	}
	request := c.request
	if request == newImage || request == newImageCached || request == ownedPod {
		request = onePod
	}
	for _, other := range r.cells {
		if other.title == theirs && other.request == request && other.clients == c.clients {
			return fmt.Sprintf("%.1f", c.Rate()/other.Rate())
		}
	}
	return ""
}
