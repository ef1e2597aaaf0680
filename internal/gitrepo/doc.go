// Package gitrepo reads and changes branches of a remote through a user's clone. It runs the
// git program, so that the user's credential helpers, ssh agent, signing and proxies work.
// It checks nothing out: files are read from commits, and commits are created from objects,
// in a quarantine that leaves the user's clone unchanged. It also edits one value of a YAML
// document and changes no other byte.
package gitrepo
