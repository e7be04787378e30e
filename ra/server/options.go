package server

import (
	"context"
	"net"
	"time"

	"go.uber.org/zap"

	"ciscora/ra/admin"
	"ciscora/ra/console"
	"ciscora/ra/wire"
)

// Options is what does not stand in the configuration.
type Options struct {
	// EST and Admin are listeners that are open already; nil = the server opens
	// those of its configuration.
	EST, Admin net.Listener
	// Requests is the built-in CA's queue, where one runs in this process.
	Requests admin.CertsrvQueue
	// Faults is what /faults of the admin port orders, where that is allowed.
	Faults admin.Faults
	// OpenAdmin leaves the admin port open to whoever reaches it, whatever the
	// configuration says: for a lab alone.
	OpenAdmin bool
	// AdminHosts are names, besides localhost and addresses, by which the admin port may
	// be called where it listens on a loopback address.
	AdminHosts []string
	// Lab is what the admin port has in a lab alone; nil in all else.
	Lab *admin.Lab
	// Hooks decorate what the RA takes from outside.
	Hooks Hooks
	// Wire records what goes over the wire; nil = what admin.detail says.
	Wire *wire.Recorder
	// LabPages is what a lab's pages can do besides: it counts where Requests is set.
	LabPages console.Lab
	// Events also sees each event of the front end (est.Event) and of the core
	// (ra.Event).
	Events func(context.Context, any)
	// Lines is shown what is written to the emulated logs; nil = nobody is.
	Lines   LineFunc
	Version string // of this build, as other replicas are told it
	Logger  *zap.Logger
	Now     func() time.Time
}
