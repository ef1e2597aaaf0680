package plugin_test

import (
	"testing"

	"github.com/envladder/envladder/plugin/worker/workertest"
)

func TestMain(m *testing.M) { workertest.Main(m) }
