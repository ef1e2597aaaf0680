package soakstore

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/envladder/envladder/api/v1alpha1"
)

// sealLabel separates the seal's key from other keys that may be derived from a secret.
const sealLabel = "envladder.dev/observer/soak-status/v1"

// sealer proves that a Soak's figures are the observer's own: anyone who edits a Soak
// lacks the observer's secret.
type sealer struct{ key []byte }

func newSealer(secret []byte) sealer {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(sealLabel))
	return sealer{mac.Sum(nil)}
}

// sealed is what the seal covers: what is measured, in which object, and every figure.
// Conditions are for people; nothing is read back from them.
type sealed struct {
	Namespace string              `json:"namespace"`
	Name      string              `json:"name"`
	UID       string              `json:"uid"`
	Spec      v1alpha1.SoakSpec   `json:"spec"`
	Status    v1alpha1.SoakStatus `json:"status"`
}

// seal returns the seal of a Soak.
func (s sealer) seal(soak *v1alpha1.Soak) (string, error) {
	covered := sealed{soak.Namespace, soak.Name, string(soak.UID), soak.Spec, *soak.Status.DeepCopy()}
	covered.Status.Seal, covered.Status.Conditions = "", nil
	// Fields have one order, and there are no maps: the encoding is canonical.
	raw, err := json.Marshal(covered)
	if err != nil {
		return "", fmt.Errorf("encoding Soak %s/%s: %w", soak.Namespace, soak.Name, err)
	}
	mac := hmac.New(sha256.New, s.key)
	mac.Write(raw)
	return base64.RawStdEncoding.EncodeToString(mac.Sum(nil)), nil
}

// verify reports whether an observer with this key wrote the Soak as it is.
func (s sealer) verify(soak *v1alpha1.Soak) bool {
	want, err := s.seal(soak)
	return err == nil && hmac.Equal([]byte(want), []byte(soak.Status.Seal))
}
