package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// TestMain makes `envladder-appset` a command of the scripts, run by the test binary.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"envladder-appset": main})
}

// TestScripts runs testdata/script/*.txtar, each a terminal session. Its
// responses are tested in package appset.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", RequireExplicitExec: true})
}

// TestManifestFlags checks that this program accepts the flags of
// manifests/appset-generator.yaml.
func TestManifestFlags(t *testing.T) {
	data, err := os.ReadFile("../../manifests/appset-generator.yaml")
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(data), 4096)
	var args []string
	for {
		var d appsv1.Deployment
		if err := decoder.Decode(&d); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if d.Kind == "Deployment" {
			pod := d.Spec.Template.Spec
			args = pod.Containers[0].Args
			if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
				t.Error("the pod gets a token for the API server")
			}
		}
	}
	root := newRootCommand()
	if err := root.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	if err := root.ValidateRequiredFlags(); err != nil {
		t.Error(err)
	}
}
