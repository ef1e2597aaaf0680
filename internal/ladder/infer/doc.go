// Package infer infers a Ladder from a chart and its values files, for `envladder init`. It
// reads the names of files and folders, and only as much of their content as shows whether
// they are values. It writes nothing.
package infer
