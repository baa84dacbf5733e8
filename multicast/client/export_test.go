package client

// RaceDetector says whether the race detector runs.
const RaceDetector = raceDetector
