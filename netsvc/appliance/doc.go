// Package appliance joins the parts: a configuration becomes a store, a
// registry, the lifecycle and every network service, which run until they are
// stopped. It is the only place where parts meet, and holds the small adapters
// between them. It decides nothing.
package appliance
