package evidence

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/envladder/envladder/internal/digests"
	"github.com/envladder/envladder/internal/gate"
)

// The two types of in-toto Statements in use: `cosign attest` writes v0.1, `cosign sign` and
// envladder write v1.
const (
	statementV01 = "https://in-toto.io/Statement/v0.1"
	statementV1  = "https://in-toto.io/Statement/v1"
)

// payloadType of a DSSE envelope that holds an in-toto Statement.
const payloadType = "application/vnd.in-toto+json"

// maxPredicate bounds the predicates that are decoded: a soak of a hundred workloads
// and a thousand interruptions has 200 KiB, a test result of ten thousand names 600.
const maxPredicate = 1 << 20

// maxSubjects bounds an index and its children; sigstore-go's own bound.
const maxSubjects = 1024

// subject is a subject of a Statement.
type subject struct {
	Name   string            `json:"name,omitempty"`
	Digest map[string]string `json:"digest"`
}

// statement is an in-toto Statement. Only its predicateType determines how the predicate is
// decoded.
type statement struct {
	Type          string          `json:"_type"` //nolint:tagliatelle // in-toto's name
	Subject       []subject       `json:"subject"`
	PredicateType string          `json:"predicateType"`
	Predicate     json.RawMessage `json:"predicate"`
}

// parseStatement parses a payload strictly: with a repeated name in an object, two readers
// could see different statements. Predicates of types that the gate doesn't decode aren't
// decoded here either.
func parseStatement(payload []byte) (statement, error) {
	var parsed statement
	if err := decodeWithoutDuplicates(payload, &parsed, topLevel); err != nil {
		return statement{}, fmt.Errorf("parsing statement: %w", err)
	}
	if parsed.Type != statementV1 && parsed.Type != statementV01 {
		return statement{}, fmt.Errorf("parsing statement: its _type is %q", parsed.Type)
	}
	if len(parsed.Subject) > maxSubjects {
		return statement{}, fmt.Errorf("parsing statement: more than %d subjects", maxSubjects)
	}
	if parsed.PredicateType == "" {
		return statement{}, errors.New("parsing statement: it has no predicateType")
	}
	return parsed, nil
}

// isAbout reports whether a subject has exactly this digest, sha256:<64 lowercase hex
// digits>. Names prove nothing, and a subject without a digest matches none.
func (s statement) isAbout(digest string) bool {
	if !digests.Valid(digest) {
		return false
	}
	for _, subject := range s.Subject {
		if "sha256:"+subject.Digest["sha256"] == digest {
			return true
		}
	}
	return false
}

// evidence returns the content of the statement, without its signer.
func (s statement) evidence() gate.Evidence {
	e := gate.Evidence{PredicateType: s.PredicateType}
	switch s.PredicateType {
	case gate.PredicateSoak:
		e.Soak, e.Malformed = decodePredicate[gate.Soak](s.Predicate)
	case gate.PredicateTest:
		e.Test, e.Malformed = decodePredicate[gate.Test](s.Predicate)
	case gate.PredicateApproval:
		e.Approval, e.Malformed = decodePredicate[gate.Approval](s.Predicate)
	case gate.PredicateProvenance:
		e.Provenance, e.Malformed = decodePredicate[gate.Provenance](s.Predicate)
	case gate.PredicateException:
		e.Permission, e.Malformed = decodePredicate[gate.Permission](s.Predicate)
	}
	return e
}

func decodePredicate[T any](raw json.RawMessage) (predicate *T, malformed string) {
	if len(raw) > maxPredicate {
		return nil, fmt.Sprintf("the predicate has %d bytes, the limit is %d", len(raw), maxPredicate)
	}
	if !bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{")) {
		return nil, "the predicate isn't a JSON object"
	}
	predicate = new(T)
	if err := decodeWithoutDuplicates(raw, predicate, everyLevel); err != nil {
		return nil, err.Error()
	}
	return predicate, ""
}

// CheckPredicate returns an error if a predicate can't be decoded as its type.
func CheckPredicate(predicateType string, predicate []byte) error {
	if why := (statement{PredicateType: predicateType, Predicate: predicate}).evidence().Malformed; why != "" {
		return errors.New(why)
	}
	return nil
}
