package recording

import (
	"slices"
	"time"
)

// Hold is one reason for which the recording is to stay paused.
type Hold struct {
	Origin Origin    `json:"origin"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason,omitempty"`
}

// Holds is the set of a pause's holds, at most one per origin, oldest first. The zero value is empty.
type Holds []Hold

// Add takes a hold for an origin; an origin that holds already keeps its older one.
func (h Holds) Add(hold Hold) Holds { return slices.Clone(h).add(hold) }

// add is Add of one's own.
func (h Holds) add(hold Hold) Holds {
	if slices.ContainsFunc(h, func(x Hold) bool { return x.Origin == hold.Origin }) {
		return h
	}
	return append(h, hold)
}

// Release gives back what the origin may release: a trigger or a link only its own hold, the agent's hand all of them, and so
// does the end of their time.
func (h Holds) Release(by Origin) Holds { return slices.Clone(h).release(by) }

// release is Release of one's own.
func (h Holds) release(by Origin) Holds {
	if by == Hand || by == Timer {
		return h[:0]
	}
	return slices.DeleteFunc(h, func(x Hold) bool { return x.Origin == by })
}
