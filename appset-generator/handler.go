package appset

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/envladder/envladder/internal/panics"
	"github.com/envladder/envladder/internal/printable"
)

// maxBody bounds a request: an ApplicationSet's name has at most 253 characters, a
// ladder's 63.
const maxBody = 16 << 10

// handler serves the generator and the report over HTTP.
type handler struct {
	evaluator *evaluator
	tokenFile string
	timeout   time.Duration
	log       *slog.Logger
}

func (h *handler) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /api/v1/getparams.execute", h.authenticated(h.parameters))
	mux.Handle("GET /previews", h.authenticated(h.previews))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", h.readyz)
	return mux
}

// readyz queries neither forge nor registry: a service that isn't ready gets no requests,
// and Argo CD couldn't read the reason.
func (h *handler) readyz(w http.ResponseWriter, _ *http.Request) {
	_, err := readBearer(h.tokenFile)
	if err == nil {
		_, err = h.evaluator.ladders.names()
	}
	if err != nil {
		h.log.Error("not ready", "error", err)
		http.Error(w, "the token or the ladders can't be read: see the log", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// authenticated requires the token, bounds the time, and responds to any error, including
// a panic. A response is complete before its first byte is sent.
func (h *handler) authenticated(answer func(ctx context.Context, r *http.Request) (document, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var d document
		err := authenticate(r, h.tokenFile)
		if err == nil {
			ctx, cancel := context.WithTimeout(r.Context(), h.timeout)
			defer cancel()
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			err = panics.Catch(func() (err error) {
				d, err = answer(ctx, r)
				return err
			})
		}
		if err != nil {
			h.fail(w, r, err)
			return
		}
		d.send(w, http.StatusOK)
	})
}

// document is the body of a response.
type document struct {
	contentType string
	body        []byte
}

func newJSONDocument(v any) (document, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return document{}, fmt.Errorf("encoding the response: %w", err)
	}
	return document{"application/json", append(body, '\n')}, nil
}

func (d document) send(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", d.contentType)
	w.Header().Set("Content-Length", fmt.Sprint(len(d.body)))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(d.body) // the client may be gone
}

// fail responds with an error in the form that Argo CD reads; it shows the message in the
// ApplicationSet's status.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := statusOf(err)
	attributes := []any{"method", r.Method, "path", r.URL.Path, "status", status, "error", printable.Line(err.Error(), maxError)}
	if caught, ok := errors.AsType[*panics.Error](err); ok {
		attributes = append(attributes, "stack", string(caught.Stack))
	}
	h.log.Error("request failed; Argo CD leaves the previews as they are", attributes...)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	d, err := newJSONDocument(map[string]string{"error": stableText(err)})
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	d.send(w, status)
}

// paramsRequest is the request of Argo CD's generator.
type paramsRequest struct {
	ApplicationSetName string `json:"applicationSetName"`
	Input              struct {
		Parameters map[string]json.RawMessage `json:"parameters"`
	} `json:"input"`
}

// parseRequest parses a request, and returns its ApplicationSet and ladder.
func parseRequest(body io.Reader) (applicationSet, ladder string, err error) {
	refuse := func(format string, arguments ...any) (string, string, error) {
		return "", "", &httpError{http.StatusBadRequest, fmt.Errorf("parsing request: "+format, arguments...)}
	}
	decoder := json.NewDecoder(body)
	decoder.DisallowUnknownFields()
	var q paramsRequest
	if err := decoder.Decode(&q); err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return "", "", &httpError{http.StatusRequestEntityTooLarge, fmt.Errorf("parsing request: larger than %d bytes", maxBody)}
		}
		return refuse("%w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return refuse("unexpected data after the JSON object")
	}
	for name := range q.Input.Parameters {
		if name != "ladder" {
			return refuse("parameter %.80q is unknown: the only one is ladder (put what else a template needs into the generator's values)", name)
		}
	}
	raw, ok := q.Input.Parameters["ladder"]
	if !ok {
		return refuse("parameter ladder is missing: set input.parameters.ladder in the ApplicationSet")
	}
	if err := json.Unmarshal(raw, &ladder); err != nil || ladder == "" {
		return refuse("parameter ladder is not a name: want a string such as shop")
	}
	return q.ApplicationSetName, ladder, nil
}

func (h *handler) parameters(ctx context.Context, r *http.Request) (document, error) {
	applicationSet, ladder, err := parseRequest(r.Body)
	if err != nil {
		return document{}, err
	}
	start := time.Now()
	report, err := h.evaluator.report(ctx, ladder)
	if err != nil {
		return document{}, err
	}
	rows := report.rows()
	h.log.Info("answered", "applicationSet", applicationSet, "ladder", ladder,
		"pullRequests", len(report.Previews), "previews", len(rows), "took", time.Since(start).Round(time.Millisecond))
	return newJSONDocument(map[string]any{"output": map[string]any{"parameters": rows}})
}

// previews reports for one ladder (?ladder=NAME) or all of them why each pull request has
// a preview or none.
func (h *handler) previews(ctx context.Context, r *http.Request) (document, error) {
	var reports []Report
	if name := r.URL.Query().Get("ladder"); name != "" {
		report, err := h.evaluator.report(ctx, name)
		if err != nil {
			return document{}, err
		}
		reports = append(reports, report)
	} else {
		names, err := h.evaluator.ladders.names()
		if err != nil {
			return document{}, err
		}
		reports = h.reportAll(ctx, names)
	}
	if strings.Contains(r.Header.Get("Accept"), "text/plain") {
		return document{"text/plain; charset=utf-8", formatTable(reports)}, nil
	}
	return newJSONDocument(map[string]any{"ladders": reports})
}

// maxLadders bounds the ladders that are evaluated concurrently for one response. A platform
// team mounts dozens, and those of one repository share its list.
const maxLadders = 32

// reportAll returns the report of each ladder. A forge that hangs takes no time from the
// ladders of another: each has the whole time, or an equal share where there are more than
// maxLadders.
func (h *handler) reportAll(ctx context.Context, names []string) []Report {
	share := h.timeout / time.Duration(max((len(names)+maxLadders-1)/maxLadders, 1))
	reports := make([]Report, len(names))
	var group errgroup.Group
	group.SetLimit(maxLadders)
	for i, name := range names {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, share)
			defer cancel()
			report, err := h.evaluator.report(ctx, name)
			if err != nil {
				report = Report{Ladder: name, Error: stableText(err)}
			}
			reports[i] = report
			return nil
		})
	}
	_ = group.Wait() // errors are in the reports
	return reports
}

// formatTable formats reports for people.
func formatTable(reports []Report) []byte {
	var out bytes.Buffer
	for i, r := range reports {
		if i > 0 {
			fmt.Fprintln(&out)
		}
		fmt.Fprintf(&out, "ladder %s\n", r.Ladder)
		if r.Error != "" {
			fmt.Fprintf(&out, "  error: %s\n", r.Error)
			continue
		}
		w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "  PULL REQUEST\tPREVIEW\tREASON\tHEAD\tTITLE\tBECAUSE")
		for _, p := range r.Previews {
			fmt.Fprintf(w, "  %d\t%s\t%s\t%s\t%s\t%s\n", p.Number, formatIn(p.In), p.Reason, short(p.HeadSHA), p.Title, p.Message)
		}
		_ = w.Flush() // a buffer never fails
	}
	return out.Bytes()
}

func formatIn(in bool) string {
	if in {
		return "in"
	}
	return "out"
}
