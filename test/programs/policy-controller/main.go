// Command policy-controller runs the validating webhook of sigstore's policy-controller with
// the reconcilers that it needs, assembled as in upstream's main (cmd/webhook). Upstream's main
// has no working flag for the port, and no flag for the rate of requests to the API server,
// which limits it.
package main

import (
	"context"
	"flag"

	"github.com/sigstore/policy-controller/pkg/apis/config"
	policyduckv1beta1 "github.com/sigstore/policy-controller/pkg/apis/duck/v1beta1"
	policycontrollerconfig "github.com/sigstore/policy-controller/pkg/config"
	"github.com/sigstore/policy-controller/pkg/reconciler/clusterimagepolicy"
	cwebhook "github.com/sigstore/policy-controller/pkg/webhook"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/clientcmd"
	duckv1 "knative.dev/pkg/apis/duck/v1"
	kubeclient "knative.dev/pkg/client/injection/kube/client"
	"knative.dev/pkg/configmap"
	"knative.dev/pkg/controller"
	"knative.dev/pkg/injection/sharedmain"
	"knative.dev/pkg/logging"
	"knative.dev/pkg/signals"
	"knative.dev/pkg/webhook"
	"knative.dev/pkg/webhook/certificates"
	"knative.dev/pkg/webhook/resourcesemantics"
	"knative.dev/pkg/webhook/resourcesemantics/validation"
)

// stockQPS is the rate of upstream's main: client-go's 5 for each of its 8 controllers.
const stockQPS = 40

func main() {
	kubeconfig := flag.String("kubeconfig", "", "kubeconfig `file` of the cluster")
	port := flag.Int("port", 8443, "port to serve on")
	qps := flag.Float64("qps", stockQPS, "requests a second to the API server, -1 for no limit")
	flag.Parse()
	cluster, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		panic(err)
	}
	cluster.QPS, cluster.Burst = float32(*qps), int(2**qps)
	// The certificate is for the service's name.
	ctx := webhook.WithOptions(signals.NewContext(), webhook.Options{ServiceName: "localhost", Port: *port, SecretName: "webhook-certs"})
	ctx = sharedmain.WithHADisabled(sharedmain.WithHealthProbesDisabled(ctx))
	sharedmain.MainWithConfig(ctx, "policy-controller", cluster,
		certificates.NewController, clusterimagepolicy.NewController, newValidator)
}

// newValidator returns a controller that validates Pods as upstream's main does.
func newValidator(ctx context.Context, watcher configmap.Watcher) *controller.Impl {
	policies := config.NewStore(logging.FromContext(ctx).Named("config-store"))
	policies.WatchConfigs(watcher)
	settings := policycontrollerconfig.NewStore(logging.FromContext(ctx).Named("config-policy-controller"))
	settings.WatchConfigs(watcher)
	const name = "policy.sigstore.dev"
	options := webhook.GetOptions(ctx)
	options.ControllerOptions = &controller.ControllerOptions{WorkQueueName: name + "-validating", Logger: logging.FromContext(ctx).Named(name)}
	ctx = webhook.WithOptions(ctx, *options)
	client := kubeclient.Get(ctx)
	validator := cwebhook.NewValidator(ctx)
	pods := map[schema.GroupVersionKind]resourcesemantics.GenericCRD{corev1.SchemeGroupVersion.WithKind("Pod"): &duckv1.Pod{}}
	return validation.NewAdmissionController(ctx, name, "/validations", pods, func(ctx context.Context) context.Context {
		ctx = context.WithValue(ctx, kubeclient.Key{}, client)
		ctx = settings.ToContext(policies.ToContext(ctx))
		ctx = policyduckv1beta1.WithPodScalableValidator(ctx, validator.ValidatePodScalable)
		ctx = duckv1.WithPodValidator(ctx, validator.ValidatePod)
		ctx = duckv1.WithPodSpecValidator(ctx, validator.ValidatePodSpecable)
		return duckv1.WithCronJobValidator(ctx, validator.ValidateCronJob)
	}, false)
}
