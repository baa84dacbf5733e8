//go:build race

package tmcd

const raceDetector = true
