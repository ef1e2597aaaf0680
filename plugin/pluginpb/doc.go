// Package pluginpb has the messages and the service of Argo CD's plugin protocol,
// generated from plugin.proto by `make generate`.
package pluginpb
