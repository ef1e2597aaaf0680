// Package watch observes namespaces: it lists and watches their pods and workloads, and
// reports at each observation which digests of a Gate's images run there, whether they
// are healthy, and whether they were unhealthy or unobserved at some moment since the
// previous observation.
//
//   - Gates are read in gates.go; a NamespaceWatcher (namespace.go) follows one namespace
//     with a reflector (reflector.go) for each kind of object.
//   - Its Snapshot holds pods and workloads cut down to what is needed (workload.go,
//     container.go), which health.go assesses.
//   - Catalog asks the registry which digests name one image; Nodes reads the platform of
//     each node.
//
// Package window adds up the time between observations.
package watch
