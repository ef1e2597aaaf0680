// Command envladder-observer measures how long digests are healthy in the namespaces of
// this cluster's Gates, and signs the result.
package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/envladder/envladder/internal/cli"
	"github.com/envladder/envladder/internal/evidence"
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

It serves GET /healthz and /readyz. The key's password is read from $COSIGN_PASSWORD.`,
		Example: `  # In a cluster, with the key mounted from a Secret
  envladder-observer --key /key/cosign.key

  # Outside the cluster, with a key that "cosign generate-key-pair" wrote
  COSIGN_PASSWORD=… envladder-observer --kubeconfig ~/.kube/config --key staging.key \
    --leader-elect=false --health-probe-bind-address 127.0.0.1:8081

  # The results
  kubectl get soaks --all-namespaces`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := root.Flags()
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "kubeconfig `file` of the cluster to observe (default: the cluster that it runs in)")
	flags.StringVar(&o.key, "key", "", "`file` of the private key that soaks are signed with: PEM, or cosign's encrypted one")
	flags.DurationVar(&o.interval, "interval", 10*time.Second, "`time` between observations: 1s to 1m")
	flags.BoolVar(&o.leaderElect, "leader-elect", true, "elect one of several replicas to measure")
	flags.StringVar(&o.leaderElectionNamespace, "leader-election-namespace", "", "`namespace` of the leader election Lease (default: the one that it runs in)")
	flags.StringVar(&o.healthListen, "health-probe-bind-address", ":8081", "`address` of /healthz and /readyz; 0 is none")
	flags.StringVar(&o.timestampURL, "timestamp-server-url", "", "`URL` of a timestamping authority (RFC 3161) that certifies when a soak was signed; none if unset")
	o.registry.AddTo(flags)
	o.log.AddTo(flags)
	cli.SetGrace(root, 35*time.Second) // the manager gives its parts 30 s
	cobra.CheckErr(root.MarkFlagRequired("key"))
	return root
}

type options struct {
	kubeconfig, key, leaderElectionNamespace, healthListen string
	timestampURL                                           string
	registry                                               cloud.Options
	interval                                               time.Duration
	leaderElect                                            bool
	log                                                    cli.LogFlags
}

func (o *options) run(cmd *cobra.Command) error {
	log, err := o.log.Logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if o.interval < time.Second || o.interval > time.Minute {
		return fmt.Errorf("--interval %s: use 1s to 1m", o.interval)
	}
	key, err := evidence.ReadKeyFile(o.key, passwordEnv)
	if err != nil {
		return err
	}
	signer := key.Signer
	if o.timestampURL != "" {
		signer = signer.WithTimestamps(o.timestampURL)
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
		Key:                     key.Content,
		Registry:                client,
		Interval:                o.interval,
		LeaderElect:             o.leaderElect,
		LeaderElectionNamespace: o.leaderElectionNamespace,
		HealthListen:            o.healthListen,
		Version:                 cli.Version(),
		Log:                     log,
	})
}

// passwordEnv is the variable of the key's password, the same as cosign's.
const passwordEnv = "COSIGN_PASSWORD"
