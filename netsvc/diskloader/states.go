package diskloader

import "hyzer/imaging/ndz"

// slot is where an image goes.
type slot struct {
	disk string
	part int
}

// states are what the images of a load have made of the disks: a delta goes
// only on top of what it was made against.
type states map[slot]ndz.StateID

// of returns the state that an image finds, zero if it is not known.
func (s states) of(image Image) ndz.StateID { return s[slot{image.Disk, image.Part}] }

// lose forgets what an image begins to write over.
func (s states) lose(image Image) {
	for at := range s {
		if at.disk == image.Disk && (at.part == image.Part || at.part == 0 || image.Part == 0) {
			delete(s, at)
		}
	}
}

// set notes what an image has made.
func (s states) set(image Image, state ndz.StateID) {
	if !state.IsZero() {
		s[slot{image.Disk, image.Part}] = state
	}
}
