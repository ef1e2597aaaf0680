package bed

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// UserKubeconfig creates a kubeconfig for a user in groups, with a client certificate, and
// returns its path. RBAC determines the user's permissions.
func (c *Cluster) UserKubeconfig(user string, groups ...string) (string, error) {
	pair, err := c.CA.Client(user, groups...)
	if err != nil {
		return "", err
	}
	auth := &clientcmdapi.AuthInfo{ClientCertificateData: pair.Cert, ClientKeyData: pair.Key}
	return c.writeKubeconfig(user, "", auth)
}

// ServiceAccountKubeconfig creates a kubeconfig for an existing ServiceAccount and returns its
// path. The context has the account's namespace.
func (c *Cluster) ServiceAccountKubeconfig(ctx context.Context, namespace, name string) (string, error) {
	token, err := c.Token(ctx, namespace, name)
	if err != nil {
		return "", err
	}
	return c.writeKubeconfig(namespace+"-"+name, namespace, &clientcmdapi.AuthInfo{Token: token})
}

// Token returns a token of a ServiceAccount that is valid longer than the bed exists.
func (c *Cluster) Token(ctx context.Context, namespace, name string) (string, error) {
	seconds := int64(lifetime.Seconds())
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	answer, err := c.typed.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, name, request, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("creating a token for ServiceAccount %s/%s: %w", namespace, name, err)
	}
	return answer.Status.Token, nil
}

// writeKubeconfig writes a kubeconfig and returns its path.
func (c *Cluster) writeKubeconfig(user, namespace string, auth *clientcmdapi.AuthInfo) (string, error) {
	config := clientcmdapi.NewConfig()
	config.Clusters[c.Name] = &clientcmdapi.Cluster{Server: c.URL, CertificateAuthorityData: c.CA.PEM}
	config.AuthInfos[user] = auth
	config.Contexts[c.Name] = &clientcmdapi.Context{Cluster: c.Name, AuthInfo: user, Namespace: namespace}
	config.CurrentContext = c.Name
	if err := os.MkdirAll(c.path("kubeconfigs"), 0o700); err != nil {
		return "", fmt.Errorf("writing a kubeconfig for %q: %w", user, err)
	}
	dir, err := os.MkdirTemp(c.path("kubeconfigs"), "")
	if err != nil {
		return "", fmt.Errorf("writing a kubeconfig for %q: %w", user, err)
	}
	path := filepath.Join(dir, "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		return "", fmt.Errorf("writing a kubeconfig for %q: %w", user, err)
	}
	return path, nil
}
