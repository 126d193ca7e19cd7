// Package usbtest is a machine with USB ports for tests: a folder that looks
// like sysfs, into which devices are plugged, with uevents that can get lost and
// a kernel that switches devices on and off when it is told to.
package usbtest
