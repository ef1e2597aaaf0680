// Command envladder-appset is the ApplicationSet plugin generator for previews: it lists for
// Argo CD the pull requests with a preview, and their images.
package main

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/cobra"

	appset "github.com/envladder/envladder/appset-generator"
	"github.com/envladder/envladder/internal/cli"
	"github.com/envladder/envladder/internal/ladder"
	"github.com/envladder/envladder/internal/registry"
	"github.com/envladder/envladder/internal/scm"
)

func main() {
	cli.Main(newRootCommand)
}

func newRootCommand() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use:   "envladder-appset",
		Short: "Provide the pull requests with a preview to Argo CD's ApplicationSets",
		Long: `envladder-appset implements an ApplicationSet plugin generator for Argo CD: for a
ladder, it returns one set of parameters for each open pull request whose images exist
in the registry. If it can't know that, it returns an error, and Argo CD leaves every
preview as it is.

With the token, it serves POST /api/v1/getparams.execute, and GET /previews, which
reports why each pull request has a preview or none; without it, GET /healthz and
/readyz. It uses the registry credentials of the docker configuration.`,
		Example: `  # In a cluster, with ladders from a ConfigMap and tokens from Secrets
  envladder-appset --ladders /ladders --token-file /token/token \
    --gitea-url https://git.example.com --gitea-token-file /gitea/token

  # Why a pull request has no preview
  curl -H "Authorization: Bearer $TOKEN" -H 'Accept: text/plain' \
    'http://envladder-appset.envladder.svc/previews?ladder=shop'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := root.Flags()
	flags.StringVar(&o.listen, "listen", ":8080", "`address` to serve on")
	flags.StringVar(&o.certificate, "tls-cert-file", "", "PEM `file` with a certificate; read again when it changes (default: plain HTTP)")
	flags.StringVar(&o.key, "tls-private-key-file", "", "PEM `file` with the certificate's key")
	flags.StringVar(&o.token, "token-file", "", "`file` with the token that Argo CD presents; read again when it changes")
	flags.StringVar(&o.ladders, "ladders", "", "`folder` of the ladders to serve, as NAME.yaml or NAME/ladder.yaml; read again when they change")
	flags.StringVar(&o.gitea.URL, "gitea-url", "", "`URL` of Gitea or Forgejo, for ladders with pull requests there")
	flags.StringVar(&o.gitea.TokenFile, "gitea-token-file", "", "`file` with a token that may read its repositories (default: no token)")
	flags.StringVar(&o.gitea.CAFile, "gitea-ca-file", "", "PEM `file` with the CA that signed its certificate (default: the system's CAs)")
	flags.StringVar(&o.gitHub.URL, "github-url", scm.GitHubURL, "`URL` of GitHub's API; https://HOST/api/v3 for an Enterprise Server")
	flags.StringVar(&o.gitHub.TokenFile, "github-token-file", "", "`file` with a token that may read its repositories (default: no token)")
	flags.StringVar(&o.gitHub.CAFile, "github-ca-file", "", "PEM `file` with the CA that signed its certificate (default: the system's CAs)")
	flags.StringVar(&o.state, "state", "", "`file` that stores, across restarts, which pull requests have a preview and with which images (default: none)")
	flags.DurationVar(&o.timeout, "timeout", appset.DefaultTimeout, "`duration` that a request may take; less than requestTimeout in the generator's ConfigMap (30 s by default)")
	o.registry.AddTo(flags)
	o.log.AddTo(flags)
	cobra.CheckErr(root.MarkFlagRequired("token-file"))
	cobra.CheckErr(root.MarkFlagRequired("ladders"))
	root.MarkFlagsRequiredTogether("tls-cert-file", "tls-private-key-file")
	cli.SetGrace(root, maxTimeout+5*time.Second) // for requests in flight
	return root
}

type options struct {
	listen, certificate, key, token, ladders, state string
	gitea, gitHub                                   appset.Forge
	timeout                                         time.Duration
	registry                                        registry.Options
	log                                             cli.LogFlags
}

// maxTimeout is longer than an ApplicationSet controller should wait.
const maxTimeout = time.Minute

func (o *options) run(cmd *cobra.Command) error {
	log, err := o.log.Logger(cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	if o.timeout < time.Second || o.timeout > maxTimeout {
		return fmt.Errorf("--timeout %v: use between 1s and %v", o.timeout, maxTimeout)
	}
	forges, err := o.forges()
	if err != nil {
		return err
	}
	client, err := o.registry.Client()
	if err != nil {
		return err
	}
	var config net.ListenConfig
	listener, err := config.Listen(cmd.Context(), "tcp", o.listen)
	if err != nil {
		return fmt.Errorf("listening on --listen %q: %w", o.listen, err)
	}
	log.Info("starting", "version", cli.Version())
	return appset.Run(cmd.Context(), appset.Config{
		Listener:  listener,
		CertFile:  o.certificate,
		KeyFile:   o.key,
		TokenFile: o.token,
		Ladders:   o.ladders,
		Forges:    forges,
		Registry:  client,
		StateFile: o.state,
		Timeout:   o.timeout,
		Log:       log,
	})
}

func (o *options) forges() (map[ladder.Forge]appset.Forge, error) {
	forges := map[ladder.Forge]appset.Forge{}
	switch {
	case o.gitea.URL != "":
		forges[ladder.ForgeGitea] = o.gitea
	case o.gitea.TokenFile != "":
		return nil, errors.New("--gitea-token-file: set --gitea-url too, the forge that it is for")
	case o.gitea.CAFile != "":
		return nil, errors.New("--gitea-ca-file: set --gitea-url too, the forge that it is for")
	}
	if o.gitHub.URL != "" {
		forges[ladder.ForgeGitHub] = o.gitHub
	}
	return forges, nil
}
