package gate_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/gate"
)

// vectorsDir has the test vectors of docs/spec/soak-v0.1.md.
const vectorsDir = "../../docs/spec/soak-v0.1"

// vector is a test vector: statements about one digest, and the codes with which a requirement
// denies them. It has no more than another implementation needs.
type vector struct {
	Description string `json:"description"`
	// Digest that is judged, Now when.
	Digest      string            `json:"digest"`
	Now         time.Time         `json:"now"`
	Requirement vectorRequirement `json:"requirement"`
	Statements  []vectorStatement `json:"statements"`
	// Denied has the codes of the reasons; none if the requirement is met.
	Denied []gate.Code `json:"denied"`
}

// vectorRequirement is a Gate's requires.soak, in seconds.
type vectorRequirement struct {
	Ladder                 string   `json:"ladder"`
	Environment            string   `json:"environment"`
	By                     []string `json:"by"`
	Observers              int32    `json:"observers"`
	DurationSeconds        float64  `json:"durationSeconds"`
	CheckpointEverySeconds float64  `json:"checkpointEverySeconds,omitempty"`
	Contiguous             bool     `json:"contiguous,omitempty"`
	MaxAgeSeconds          float64  `json:"maxAgeSeconds,omitempty"`
}

// vectorStatement is a verified statement.
type vectorStatement struct {
	Signer string `json:"signer"`
	// Observer whose key or identity the signer is.
	Observer string `json:"observer"`
	// ProvenTime is empty where nothing proves the time of the signature.
	ProvenTime *time.Time `json:"provenTime,omitempty"`
	// Payload of the DSSE envelope. Its SHA-256 is what the next statement names.
	Payload string `json:"payload"`
}

func vectorPath(name string) string {
	return filepath.Join(vectorsDir, strings.NewReplacer(" ", "-", ",", "", "'", "").Replace(name)+".json")
}

func writeVector(t *testing.T, name string, r *gate.Request, test chainTest) {
	t.Helper()
	soak := r.Gate.Spec.Requires.Soak
	v := vector{
		Description: name, Digest: r.Image.Digest, Now: r.Now, Denied: append(codes{}, test.want...),
		Requirement: vectorRequirement{
			Ladder: r.Image.Ladder, Environment: soak.Environment, By: soak.By, Observers: max(soak.Count, 1),
			DurationSeconds: soak.Duration.Seconds(), Contiguous: soak.Contiguous,
		},
	}
	if soak.CheckpointEvery != nil {
		v.Requirement.CheckpointEverySeconds = soak.CheckpointEvery.Seconds()
	}
	if soak.MaxAge != nil {
		v.Requirement.MaxAgeSeconds = soak.MaxAge.Seconds()
	}
	for _, e := range test.evidence {
		observer := e.Signer
		if i := signerAt(r, e.Signer); i >= 0 && r.Gate.Spec.Signers[i].Person != "" {
			observer = r.Gate.Spec.Signers[i].Person
		}
		statement := vectorStatement{Signer: e.Signer, Observer: observer, Payload: string(payloadOf(e))}
		if !e.Signed.IsZero() {
			statement.ProvenTime = &e.Signed
		}
		v.Statements = append(v.Statements, statement)
	}
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorPath(name), append(raw, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestSoakSpecVectors judges the test vectors as they are written, and holds that each case has
// one.
func TestSoakSpecVectors(t *testing.T) {
	tests := chainTests()
	files, err := filepath.Glob(filepath.Join(vectorsDir, "*.json"))
	if err != nil || len(files) != len(tests) {
		t.Fatalf("%d test vectors, want %d (go test ./internal/gate -run TestDecideSoakChain -update): %v", len(files), len(tests), err)
	}
	for name := range tests {
		t.Run(name, func(t *testing.T) {
			raw, err := os.ReadFile(vectorPath(name))
			if err != nil {
				t.Fatal(err)
			}
			var v vector
			if err := json.Unmarshal(raw, &v); err != nil {
				t.Fatal(err)
			}
			verdict := gate.Decide(v.request(t))
			if got := codesOf(verdict); !slices.Equal(got, v.Denied) {
				t.Errorf("%v, want %v: %+v", got, v.Denied, verdict.Reasons)
			}
		})
	}
}

// request returns a request whose other requirements are met.
func (v vector) request(t *testing.T) gate.Request {
	t.Helper()
	var evidence []gate.Evidence
	for _, statement := range v.Statements {
		var payload struct {
			PredicateType string    `json:"predicateType"`
			Predicate     gate.Soak `json:"predicate"`
		}
		if err := json.Unmarshal([]byte(statement.Payload), &payload); err != nil {
			t.Fatal(err)
		}
		e := gate.Evidence{
			Signer: statement.Signer, PredicateType: payload.PredicateType, Soak: &payload.Predicate,
			Statement: digests.Sum([]byte(statement.Payload)), Source: digests.Sum([]byte(statement.Payload)),
		}
		if statement.ProvenTime != nil {
			e.Signed = *statement.ProvenTime
		}
		evidence = append(evidence, e)
	}
	r := provenByTimestamps(evidence...)
	for _, statement := range v.Statements {
		r.Gate.Spec.Signers[signerAt(&r, statement.Signer)].Person = statement.Observer
	}
	seconds := func(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }
	soak := r.Gate.Spec.Requires.Soak
	r.Now, r.Image.Digest, r.Image.Ladder = v.Now, v.Digest, v.Requirement.Ladder
	soak.By, soak.Count, soak.Environment, soak.Contiguous = v.Requirement.By, v.Requirement.Observers, v.Requirement.Environment, v.Requirement.Contiguous
	soak.Duration = asked(seconds(v.Requirement.DurationSeconds))
	if every := v.Requirement.CheckpointEverySeconds; every > 0 {
		soak.CheckpointEvery = upTo(seconds(every))
	}
	if age := v.Requirement.MaxAgeSeconds; age > 0 {
		soak.MaxAge = upTo(seconds(age))
	}
	return r
}
