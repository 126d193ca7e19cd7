//go:build !race

package kiosk

const underRace = false
