package observer

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/envladder/envladder/api/v1alpha1"
)

// sealLabel separates the seal's key from whatever else may be derived from a key file.
const sealLabel = "envladder.dev/observer/notebook/v1"

// sealer shows that a notebook's figures are the observer's own: whoever may edit a Soak
// hasn't the signing key's file.
type sealer struct{ key []byte }

func newSealer(keyFile []byte) sealer {
	mac := hmac.New(sha256.New, keyFile)
	mac.Write([]byte(sealLabel))
	return sealer{mac.Sum(nil)}
}

// sealed is all that the seal covers: what is measured, in which object, and every
// figure. Conditions are for people; nothing is read back from them.
type sealed struct {
	Namespace string              `json:"namespace"`
	Name      string              `json:"name"`
	UID       string              `json:"uid"`
	Spec      v1alpha1.SoakSpec   `json:"spec"`
	Status    v1alpha1.SoakStatus `json:"status"`
}

// seal is the seal of a notebook as it stands.
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

// verify says whether the notebook is as this observer, or another one with its key,
// wrote it.
func (s sealer) verify(soak *v1alpha1.Soak) bool {
	want, err := s.seal(soak)
	return err == nil && hmac.Equal([]byte(want), []byte(soak.Status.Seal))
}
