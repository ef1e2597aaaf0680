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

// maxBody bounds a question: an ApplicationSet's name has at most 253 characters, a
// ladder's 63.
const maxBody = 16 << 10

// server answers over HTTP.
type server struct {
	evaluator *evaluator
	tokenFile string
	timeout   time.Duration
	log       *slog.Logger
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST /api/v1/getparams.execute", s.guarded(s.parameters))
	mux.Handle("GET /previews", s.guarded(s.previews))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.readyz)
	return mux
}

// readyz asks neither forge nor registry: a service that isn't ready answers nobody,
// and who can't be told why is no better off.
func (s *server) readyz(w http.ResponseWriter, _ *http.Request) {
	_, err := readBearer(s.tokenFile)
	if err == nil {
		_, err = s.evaluator.ladders.names()
	}
	if err != nil {
		s.log.Error("not ready", "error", err)
		http.Error(w, "the token or the ladders can't be read: the log says why", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ok")
}

// guarded asks for the token, bounds the time, and answers with an error whatever goes
// wrong, a panic too. What is answered is whole before its first byte is sent.
func (s *server) guarded(answer func(ctx context.Context, r *http.Request) (document, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var d document
		err := authenticate(r, s.tokenFile)
		if err == nil {
			ctx, cancel := context.WithTimeout(r.Context(), s.timeout)
			defer cancel()
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			err = panics.Catch(func() (err error) {
				d, err = answer(ctx, r)
				return err
			})
		}
		if err != nil {
			s.fail(w, r, err)
			return
		}
		d.send(w, http.StatusOK)
	})
}

// document is an answer.
type document struct {
	contentType string
	body        []byte
}

func jsonDocument(v any) (document, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return document{}, fmt.Errorf("writing the answer: %w", err)
	}
	return document{"application/json", append(body, '\n')}, nil
}

func (d document) send(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", d.contentType)
	w.Header().Set("Content-Length", fmt.Sprint(len(d.body)))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(d.body) // who went away needs no answer
}

// fail answers an error as Argo CD reads it: it shows the message in the
// ApplicationSet's status.
func (s *server) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := statusOf(err)
	attributes := []any{"method", r.Method, "path", r.URL.Path, "status", status, "error", printable.Line(err.Error(), maxError)}
	if caught, ok := errors.AsType[*panics.Error](err); ok {
		attributes = append(attributes, "stack", string(caught.Stack))
	}
	s.log.Error("can't answer; Argo CD leaves the previews as they are", attributes...)
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	d, err := jsonDocument(map[string]string{"error": stableText(err)})
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	d.send(w, status)
}

// question is what Argo CD's generator sends.
type question struct {
	ApplicationSetName string `json:"applicationSetName"`
	Input              struct {
		Parameters map[string]json.RawMessage `json:"parameters"`
	} `json:"input"`
}

// parseQuestion returns who asks, and for which ladder.
func parseQuestion(body io.Reader) (applicationSet, ladder string, err error) {
	refuse := func(format string, arguments ...any) (string, string, error) {
		return "", "", &problem{http.StatusBadRequest, fmt.Errorf("reading the question: "+format, arguments...)}
	}
	decoder := json.NewDecoder(body)
	decoder.DisallowUnknownFields()
	var q question
	if err := decoder.Decode(&q); err != nil {
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			return "", "", &problem{http.StatusRequestEntityTooLarge, fmt.Errorf("reading the question: it has more than %d bytes", maxBody)}
		}
		return refuse("%w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return refuse("there is something behind it")
	}
	for name := range q.Input.Parameters {
		if name != "ladder" {
			return refuse("parameter %.80q is unknown: there is ladder alone (what a template needs beside it goes into the generator's values)", name)
		}
	}
	raw, ok := q.Input.Parameters["ladder"]
	if !ok {
		return refuse("parameter ladder is missing: set input.parameters.ladder in the ApplicationSet")
	}
	if err := json.Unmarshal(raw, &ladder); err != nil || ladder == "" {
		return refuse("parameter ladder isn't a name: want a string such as shop")
	}
	return q.ApplicationSetName, ladder, nil
}

func (s *server) parameters(ctx context.Context, r *http.Request) (document, error) {
	applicationSet, ladder, err := parseQuestion(r.Body)
	if err != nil {
		return document{}, err
	}
	began := time.Now()
	report, err := s.evaluator.report(ctx, ladder)
	if err != nil {
		return document{}, err
	}
	rows := report.rows()
	s.log.Info("answered", "applicationSet", applicationSet, "ladder", ladder,
		"pullRequests", len(report.Previews), "previews", len(rows), "took", time.Since(began).Round(time.Millisecond))
	return jsonDocument(map[string]any{"output": map[string]any{"parameters": rows}})
}

// previews says of one ladder (?ladder=NAME) or of all why each pull request has a
// preview or none.
func (s *server) previews(ctx context.Context, r *http.Request) (document, error) {
	var reports []Report
	if name := r.URL.Query().Get("ladder"); name != "" {
		report, err := s.evaluator.report(ctx, name)
		if err != nil {
			return document{}, err
		}
		reports = append(reports, report)
	} else {
		names, err := s.evaluator.ladders.names()
		if err != nil {
			return document{}, err
		}
		reports = s.all(ctx, names)
	}
	if strings.Contains(r.Header.Get("Accept"), "text/plain") {
		return document{"text/plain; charset=utf-8", table(reports)}, nil
	}
	return jsonDocument(map[string]any{"ladders": reports})
}

// laddersAtOnce bounds the ladders that are asked at once for one answer. They are as
// many as the platform's team mounts, which is dozens, and those of one repository share
// its list.
const laddersAtOnce = 32

// all is the report of each ladder. A forge that hangs takes no time from the ladders of
// another: all have the whole time, or an equal share where there are more than can be
// asked at once.
func (s *server) all(ctx context.Context, names []string) []Report {
	share := s.timeout / time.Duration(max((len(names)+laddersAtOnce-1)/laddersAtOnce, 1))
	reports := make([]Report, len(names))
	var group errgroup.Group
	group.SetLimit(laddersAtOnce)
	for i, name := range names {
		group.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, share)
			defer cancel()
			report, err := s.evaluator.report(ctx, name)
			if err != nil {
				report = Report{Ladder: name, Error: stableText(err)}
			}
			reports[i] = report
			return nil
		})
	}
	_ = group.Wait() // what failed is in the reports
	return reports
}

// table is for people.
func table(reports []Report) []byte {
	var out bytes.Buffer
	for i, r := range reports {
		if i > 0 {
			fmt.Fprintln(&out)
		}
		fmt.Fprintf(&out, "ladder %s\n", r.Ladder)
		if r.Error != "" {
			fmt.Fprintf(&out, "  unknown: %s\n", r.Error)
			continue
		}
		w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "  PULL REQUEST\tPREVIEW\tREASON\tHEAD\tTITLE\tBECAUSE")
		for _, p := range r.Previews {
			fmt.Fprintf(w, "  %d\t%s\t%s\t%s\t%s\t%s\n", p.Number, inOrOut(p.In), p.Reason, short(p.HeadSHA), p.Title, p.Message)
		}
		_ = w.Flush() // a buffer takes all
	}
	return out.Bytes()
}

func inOrOut(in bool) string {
	if in {
		return "in"
	}
	return "out"
}
