// Package capture takes the images that nodes make of their disks: who may
// write which, and how a new version comes to be.
//
// A node may write an image only while it holds an UploadGrant for it
// (registry). What it sends goes to a file of another name in the image's
// folder, chunk by chunk checked as it comes; at the end the file is made
// durable, renamed, and recorded as the image's next version in one
// transaction. No file of a version is ever written to again.
//
// Invariant: whatever fails and whenever the machine dies, every version that
// was there before is there after, and a version that is recorded is whole.
// Files that a crash left behind have names that only Sweep and the next
// version use.
//
// The caller is netsvc/appliance, for the master server of Frisbee.
package capture
