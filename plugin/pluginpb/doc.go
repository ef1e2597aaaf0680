// Package pluginpb has the messages and the service of Argo CD's plugin protocol. They are
// generated from plugin.proto with `make generate`.
package pluginpb
