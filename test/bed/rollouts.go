package bed

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/envladder/envladder/test/programs"
)

const rolloutsName = "argo-rollouts"

// RolloutsAccount is the user name of Argo Rollouts' controller.
const RolloutsAccount = "system:serviceaccount:" + rolloutsName + ":" + rolloutsName

// StartRollouts installs the CRDs and RBAC of Argo Rollouts from its module's manifests, and
// runs its controller with its own account.
func (c *Cluster) StartRollouts(ctx context.Context) (*Running, error) {
	running, err := c.startRollouts(ctx)
	if err != nil {
		return nil, fmt.Errorf("starting Argo Rollouts in cluster %q: %w", c.Name, err)
	}
	return running, nil
}

// startRollouts is StartRollouts without the context of errors.
func (c *Cluster) startRollouts(ctx context.Context) (*Running, error) {
	if err := c.installRollouts(ctx); err != nil {
		return nil, err
	}
	kubeconfig, err := c.ServiceAccountKubeconfig(ctx, rolloutsName, rolloutsName)
	if err != nil {
		return nil, err
	}
	var health, metrics int
	if err := freePorts(&health, &metrics); err != nil {
		return nil, err
	}
	return c.run(ctx, turnService, Process{
		Name: rolloutsName,
		Args: []string{
			"--kubeconfig=" + kubeconfig, "--leader-elect=false",
			// Both ports listen on every address; there is no flag for it.
			"--healthzPort=" + strconv.Itoa(health), "--metricsPort=" + strconv.Itoa(metrics),
		},
		Env: []string{"POD_NAMESPACE=" + rolloutsName},
		// The controller stores plugins in its working directory.
		Dir:   c.bed.path("tmp"),
		Ready: c.bed.HTTPReady("http://" + loopback(health) + "/healthz"),
	})
}

// installRollouts applies the manifests of the module, except those of programs.
func (c *Cluster) installRollouts(ctx context.Context) error {
	module, err := programs.ModuleDir(ctx, rolloutsName)
	if err != nil {
		return err
	}
	manifest, err := os.ReadFile(filepath.Join(module, "manifests", "install.yaml"))
	if err != nil {
		return fmt.Errorf("reading manifests: %w", err)
	}
	objects, err := decode(manifest)
	if err != nil {
		return err
	}
	if err := c.Namespace(ctx, rolloutsName); err != nil {
		return err
	}
	for _, object := range objects {
		if object.GetKind() == "Deployment" {
			continue
		}
		if err := c.applyOne(ctx, rolloutsName, object); err != nil {
			return err
		}
	}
	return nil
}
