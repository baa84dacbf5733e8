// Package mirror is the catalog of a master server that has its images from a
// parent: Emulab's subboss (spec frisbee B2).
//
// Each question is first put to the parent, on behalf of the client, which says
// whether the client may have the image and of which version it is. A version
// that is not here is fetched, while clients are told to ask again; then it is
// served from here.
//
// Invariants: a file under an image's name is whole and of one version, that of
// its size and time at the parent; what is fetched has another name until then.
// The folder keeps within its bounds: what was not used for longest makes room,
// before the parent is asked to send; never what is sent or fetched.
// While the parent does not answer, only those are served whom it allowed the
// image before, and only what is here.
//
// The caller is netsvc/appliance.
package mirror
