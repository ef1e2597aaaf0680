// Command figures measures the shape of a tree of Go code: the size of packages and
// functions, how function comments begin, and which test files are named after the file
// they test. Generated files don't count.
//
//	go run ./hack/figures [FOLDER]
package main
