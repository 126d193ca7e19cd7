//go:build race

package journal

// The long tests have one goroutine, where the race detector finds nothing
// and takes ten times as long: under it they try every thin-th case only.
const thin = 12
