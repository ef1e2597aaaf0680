// Package lint finds what is wrong with a ladder, its pins, layers and charts: what render
// and the plugin would reject, and what they wouldn't but a team wants to know, such as
// secret material in a layer or a value that no template uses. It needs no cluster and no
// network.
//
// It checks in stages, and stops after the first stage with findings: the documents and
// files, then the values of each environment and target, then what these render to. The
// file of accepted findings is part of it; printing and exit codes are the program's.
package lint
