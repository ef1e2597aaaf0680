// Package summary summarizes the evidence about an image for people: for each requirement
// of a Gate the nearest statement, whether it satisfies the requirement or not. Whether it
// does is the verdict of internal/gate.
package summary
