package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/envladder/envladder/api/v1alpha1"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/files"
	"github.com/envladder/envladder/internal/gate"
)

// exceptionFlags are the flags of attest exception.
type exceptionFlags struct {
	namespace, reason, manifest string
	expires                     time.Duration
}

func newAttestExceptionCommand() *cobra.Command {
	var flags exceptionFlags
	cmd := &cobra.Command{
		Use:   "exception IMAGE@DIGEST --key FILE --namespace NAME --reason TEXT --expires TIME --manifest FILE",
		Short: "Permit a digest to run unproven, in one namespace, for some time",
		Long: `Permit a digest to run unproven, in one namespace, for some time. The permission takes
effect once as many people have signed as the Gate requires and their bundles are in the
cluster, in the Exception of --manifest. The first signer creates that file, and the others
add their signatures to it.`,
		Example: `  # Ana, at night
  envladder attest exception --key ana.key --namespace shop --expires 12h \
    --reason "incident 117: rollback" --manifest exception.yaml registry.example.com/shop/web@sha256:…

  # Bo adds his signature; the file has the reason and the end
  envladder attest exception --key bo.key --namespace shop --manifest exception.yaml \
    registry.example.com/shop/web@sha256:…
  kubectl apply -f exception.yaml`,
	}
	f := cmd.Flags()
	f.StringVarP(&flags.namespace, "namespace", "n", "", "`name` of the namespace that the digest may run in (required)")
	f.StringVar(&flags.reason, "reason", "", "`text` for people (required, unless the manifest has it)")
	f.DurationVar(&flags.expires, "expires", 0, "`time` until the permission ends: 12h (required, unless the manifest has it)")
	f.StringVar(&flags.manifest, "manifest", "", "`file` of the Exception, which is created or extended")
	a := attestation{predicateType: gate.PredicateException, noun: "exception"}
	var exception v1alpha1.Exception
	a.after = func(attested evidence.Attested) error { return flags.write(&exception, attested.Bundle) }
	return a.command(cmd, func(target evidence.Target, now time.Time) (any, error) {
		var err error
		if exception, err = flags.exception(target, now); err != nil {
			return nil, err
		}
		end := exception.Spec.ExpiresAt.Time
		return gate.Permission{Namespace: flags.namespace, Reason: exception.Spec.Reason, ExpiresAt: &end}, nil
	})
}

// exception returns the Exception of the manifest, or a new one.
func (f *exceptionFlags) exception(target evidence.Target, now time.Time) (v1alpha1.Exception, error) {
	if err := requireFlags(map[string]string{"namespace": f.namespace}); err != nil {
		return v1alpha1.Exception{}, err
	}
	old, err := f.read()
	switch {
	case err != nil:
		return v1alpha1.Exception{}, err
	case old == nil:
		return f.newException(target, now)
	case old.Spec.Digest != target.Digest():
		return v1alpha1.Exception{}, fmt.Errorf("--manifest %q is for %s", f.manifest, old.Spec.Digest)
	case f.reason != "" && f.reason != old.Spec.Reason:
		return v1alpha1.Exception{}, fmt.Errorf("--manifest %q has another reason: %s", f.manifest, old.Spec.Reason)
	case f.expires != 0:
		return v1alpha1.Exception{}, fmt.Errorf("--manifest %q already ends at %s: omit --expires", f.manifest, old.Spec.ExpiresAt.UTC().Format(time.RFC3339))
	case !now.Before(old.Spec.ExpiresAt.Time):
		return v1alpha1.Exception{}, fmt.Errorf("--manifest %q expired at %s", f.manifest, old.Spec.ExpiresAt.UTC().Format(time.RFC3339))
	}
	return *old, nil
}

// newException builds an Exception without signatures.
func (f *exceptionFlags) newException(target evidence.Target, now time.Time) (v1alpha1.Exception, error) {
	if err := requireFlags(map[string]string{"reason": f.reason}); err != nil {
		return v1alpha1.Exception{}, err
	}
	if f.expires <= 0 {
		return v1alpha1.Exception{}, errors.New("--expires: set the time until the permission ends")
	}
	made := v1alpha1.Exception{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "Exception"},
		Spec: v1alpha1.ExceptionSpec{
			Digest: target.Digest(), Reason: f.reason, ExpiresAt: metav1.NewTime(now.Add(f.expires)),
		},
	}
	made.Name = "sha256-" + target.Digest()[len("sha256:"):][:12]
	return made, nil
}

// read reads the Exception of the manifest; nil where there is none yet.
func (f *exceptionFlags) read() (*v1alpha1.Exception, error) {
	if f.manifest == "" {
		return nil, nil //nolint:nilnil // none is an answer
	}
	content, err := files.Read(f.manifest, v1alpha1.MaxDocument)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // none is an answer
	}
	if err != nil {
		return nil, fmt.Errorf("reading --manifest: %w", err)
	}
	found, err := v1alpha1.DecodeExceptions(content)
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("want one Exception, have %d", len(found))
	}
	if err != nil {
		return nil, fmt.Errorf("--manifest %q: %w", f.manifest, err)
	}
	return &found[0], nil
}

// write adds a bundle to the Exception and writes the manifest.
func (f *exceptionFlags) write(exception *v1alpha1.Exception, bundle []byte) error {
	if f.manifest == "" {
		return nil
	}
	spec := &exception.Spec
	if !slices.Contains(spec.Namespaces, f.namespace) {
		spec.Namespaces = append(spec.Namespaces, f.namespace)
	}
	spec.Bundles = append(spec.Bundles, bundle)
	content, err := yaml.Marshal(exception)
	if err == nil {
		err = os.WriteFile(f.manifest, content, 0o644) //nolint:gosec // it is meant to be read
	}
	if err != nil {
		return fmt.Errorf("writing --manifest %q: %w", f.manifest, err)
	}
	return nil
}
