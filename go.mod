module github.com/envladder/envladder

go 1.26.0
