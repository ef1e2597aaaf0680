// Command envladder-observer measures how long digests are healthy in the namespaces of
// this cluster's Gates, and signs the result.
package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/envladder/envladder/internal/cli"
	"github.com/envladder/envladder/internal/evidence"
	"github.com/envladder/envladder/internal/files"
	"github.com/envladder/envladder/internal/registry/cloud"
	"github.com/envladder/envladder/observer"
)

func main() {
	cli.Main(newRootCommand)
}

func newRootCommand() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use:   "envladder-observer",
		Short: "Measure how long digests are healthy, and sign the result",
		Long: `envladder-observer watches the namespaces of Gates with spec.observe, adds up how
long each digest of a Gate's images is healthy there, and signs a soak when the Gate's
attestAfter is reached. The soak is pushed to the image's repository, where the Gate of
the next environment reads it.

Its figures are in Soaks ("kubectl get soaks"), so that a restart resumes them; time that
no observer saw doesn't count. With several replicas, the elected leader measures.

With --timestamp-server-url the time of each statement is proven, and checkpoints are
signed on the way to a soak, so that a Gate need not trust the observer's clock.

It serves GET /healthz and /readyz.`,
		Example: `  # In a cluster, with the key mounted from a Secret
  envladder-observer --key /key/cosign.key

  # Outside the cluster, with a key that "cosign generate-key-pair" wrote
  COSIGN_PASSWORD=… envladder-observer --kubeconfig ~/.kube/config --key staging.key \
    --leader-elect=false --health-probe-bind-address 127.0.0.1:8081

  # With a key in a KMS, and proven times
  envladder-observer --key awskms:///alias/observer --seal-key /seal/seal.key \
    --timestamp-server-url https://tsa.example.com/api/v1/timestamp

  # The results
  kubectl get soaks --all-namespaces`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := root.Flags()
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file` of the cluster to observe (default: the cluster that it runs in)")
	o.signer.AddTo(flags)
	flags.StringVar(&o.sealKey, "seal-key", "", "`file` with a secret of at least 32 bytes that authenticates the figures in Soaks (default: the file of --key); required for a key in a KMS and without a key")
	flags.DurationVar(&o.interval, "interval", 10*time.Second, "`time` between observations: 1s to 1m")
	flags.BoolVar(&o.leaderElect, "leader-elect", true, "elect one of several replicas to measure")
	flags.StringVar(&o.leaderElectionNamespace, "leader-election-namespace", "", "`namespace` of the leader election Lease (default: the one that it runs in)")
	flags.StringVar(&o.healthListen, "health-probe-bind-address", ":8081", "`address` of /healthz and /readyz; 0 is none")
	o.registry.AddTo(flags)
	o.log.AddTo(flags)
	cli.SetGrace(root, 35*time.Second) // the manager gives its parts 30 s
	root.MarkFlagsOneRequired("key", "identity-token")
	root.MarkFlagsMutuallyExclusive("key", "identity-token")
	return root
}

type options struct {
	kubeconfig, leaderElectionNamespace, healthListen string
	sealKey                                           string
	signer                                            evidence.SignerOptions
	registry                                          cloud.Options
	interval                                          time.Duration
	leaderElect                                       bool
	log                                               cli.LogFlags
}

func (o *options) run(cmd *cobra.Command) error {
	log, err := o.log.Logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if o.interval < time.Second || o.interval > time.Minute {
		return fmt.Errorf("--interval %s: use 1s to 1m", o.interval)
	}
	signer, err := o.signer.Signer(cmd.Context())
	if err != nil {
		return err
	}
	seal, err := o.readSealKey()
	if err != nil {
		return err
	}
	client, err := o.registry.Client()
	if err != nil {
		return err
	}
	cluster, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return fmt.Errorf("loading the cluster configuration (--kubeconfig %q): %w", o.kubeconfig, err)
	}
	log.Info("starting", "version", cli.Version())
	return observer.Run(cmd.Context(), observer.Config{
		Cluster:                 cluster,
		Signer:                  signer,
		SealKey:                 seal,
		Registry:                client,
		Interval:                o.interval,
		LeaderElect:             o.leaderElect,
		LeaderElectionNamespace: o.leaderElectionNamespace,
		HealthListen:            o.healthListen,
		Version:                 cli.Version(),
		Log:                     log,
	})
}

const (
	// minSealKey is what HMAC-SHA-256 needs, maxSealKey more than any key file has.
	minSealKey = 32
	maxSealKey = 64 << 10
)

// readSealKey returns the secret that authenticates the figures in Soaks. A key file is one, but
// with it a new key begins every measurement again.
func (o *options) readSealKey() ([]byte, error) {
	path, flag := o.sealKey, "--seal-key"
	if path == "" {
		if o.signer.Key == "" || strings.Contains(o.signer.Key, "://") {
			return nil, errors.New("--seal-key is required, since --key isn't a file: name a file with at least 32 random bytes (head -c 32 /dev/urandom)")
		}
		path, flag = o.signer.Key, "--key"
	}
	content, err := files.Read(path, maxSealKey)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", flag, err)
	}
	if len(content) < minSealKey {
		return nil, fmt.Errorf("%s %q has %d bytes, at least %d are needed (head -c 32 /dev/urandom)", flag, path, len(content), minSealKey)
	}
	return content, nil
}
