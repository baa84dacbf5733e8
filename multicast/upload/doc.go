// Package upload sends an image to a master server: the program frisupload,
// with the old one's options and wire (spec frisbee B3, B5).
//
// The server is asked where to, the bytes go there by plain TCP, and since the
// stream has no acknowledgement, the server is asked afterwards whether it has
// the image. A stream that could not be read to its end is reset rather than
// closed, so that the server does not take the beginning for the whole.
//
// The callers are cmd/hyzer-node (Main) and tests (Send).
package upload
