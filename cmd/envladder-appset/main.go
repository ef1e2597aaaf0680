// Command envladder-appset is the ApplicationSet plugin generator for previews: it tells
// Argo CD which pull requests have an environment, and of which images.
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
		Short: "Tell Argo CD's ApplicationSets which pull requests have a preview",
		Long: `envladder-appset answers the ApplicationSet plugin generator of Argo CD: for a
ladder, one set of parameters for each open pull request whose images exist in the
registry. When it doesn't know it answers an error, and Argo CD leaves every preview
as it is.

It serves POST /api/v1/getparams.execute and GET /previews, which says why each pull
request has a preview or none, to who shows the token; and GET /healthz and /readyz.
Registries are asked with the credentials of the docker configuration.`,
		Example: `  # In a cluster, with ladders from a ConfigMap and tokens from Secrets
  envladder-appset --ladders /ladders --token-file /token/token \
    --gitea-url https://git.example.com --gitea-token-file /gitea/token

  # Why has a pull request no preview?
  curl -H "Authorization: Bearer $TOKEN" -H 'Accept: text/plain' \
    'http://envladder-appset.envladder.svc/previews?ladder=shop'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := root.Flags()
	flags.StringVar(&o.listen, "listen", ":8080", "`address` to serve on")
	flags.StringVar(&o.certificate, "tls-cert-file", "", "PEM `file` with a certificate; read again when it changes (default: plain HTTP)")
	flags.StringVar(&o.key, "tls-private-key-file", "", "PEM `file` with the certificate's key")
	flags.StringVar(&o.token, "token-file", "", "`file` with the token that Argo CD shows; read again when it changes")
	flags.StringVar(&o.ladders, "ladders", "", "`folder` of the ladders that are served, as NAME.yaml or NAME/ladder.yaml; read again when they change")
	flags.StringVar(&o.gitea.URL, "gitea-url", "", "`URL` of Gitea or Forgejo, for ladders whose pull requests are there")
	flags.StringVar(&o.gitea.TokenFile, "gitea-token-file", "", "`file` with a token that may read its repositories (default: ask without)")
	flags.StringVar(&o.gitea.CAFile, "gitea-ca-file", "", "PEM `file` with the CA that signed its certificate, in place of the system's CAs; read at the start")
	flags.StringVar(&o.gitHub.URL, "github-url", scm.GitHubURL, "`URL` of GitHub's API; https://HOST/api/v3 for an Enterprise Server")
	flags.StringVar(&o.gitHub.TokenFile, "github-token-file", "", "`file` with a token that may read its repositories (default: ask without)")
	flags.StringVar(&o.gitHub.CAFile, "github-ca-file", "", "PEM `file` with the CA that signed its certificate, in place of the system's CAs; read at the start")
	flags.StringVar(&o.state, "state", "", "`file` that keeps over a restart which images previews run, and who has one (default: none)")
	flags.DurationVar(&o.timeout, "timeout", appset.DefaultTimeout, "`duration` that a request may take; less than requestTimeout in the generator's ConfigMap (30 s by default)")
	o.registry.AddTo(flags)
	o.log.AddTo(flags)
	cobra.CheckErr(root.MarkFlagRequired("token-file"))
	cobra.CheckErr(root.MarkFlagRequired("ladders"))
	root.MarkFlagsRequiredTogether("tls-cert-file", "tls-private-key-file")
	cli.SetGrace(root, maxTimeout+5*time.Second) // requests in flight have their time
	return root
}

type options struct {
	listen, certificate, key, token, ladders, state string
	gitea, gitHub                                   appset.Forge
	timeout                                         time.Duration
	registry                                        registry.Options
	log                                             cli.LogFlags
}

// maxTimeout is more than an ApplicationSet controller should be kept waiting.
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
		return nil, errors.New("--gitea-token-file: say with --gitea-url where it is for")
	case o.gitea.CAFile != "":
		return nil, errors.New("--gitea-ca-file: set --gitea-url too, the forge that it is for")
	}
	if o.gitHub.URL != "" {
		forges[ladder.ForgeGitHub] = o.gitHub
	}
	return forges, nil
}
