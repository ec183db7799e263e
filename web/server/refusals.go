package server

import (
	"sync"
	"time"

	"offrecord/web/audit"
)

const (
	// refusalTime is how long refusals of one kind are counted before the count is written.
	refusalTime = time.Minute
	// refusalKinds bounds the kinds that are told apart in that time.
	refusalKinds = 32
)

// refusals writes refused requests down so that a flood of them is told and doesn't fill the disk: the first of a kind at
// once, the further ones of the same minute as one record with their count. Set write.
type refusals struct {
	write func(audit.Record)

	mu     sync.Mutex
	counts map[refusal]*audit.Record
	timer  *time.Timer
	closed bool
}

// refusal is what makes two refusals of one kind. Its zero value is all the kinds that are too many to be told apart.
type refusal struct {
	kind        audit.Kind
	agent, peer audit.ID
	detail      audit.Text
}

func (f *refusals) add(r audit.Record) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	if f.counts == nil {
		f.counts = map[refusal]*audit.Record{}
		f.timer = time.AfterFunc(refusalTime, f.flush)
	}
	key := refusal{r.Kind, r.Agent, r.Peer, r.Detail}
	count, ok := f.counts[key]
	if !ok && len(f.counts) >= refusalKinds {
		key, r = refusal{}, audit.Record{Kind: audit.Refused, Outcome: r.Outcome, Detail: audit.NewText("many others")}
		count, ok = f.counts[key]
	}
	if ok {
		count.Count++
		return
	}
	r.Count = 1
	f.write(r)
	r.Count, r.Time = 0, time.Time{}
	f.counts[key] = &r
}

// flush writes the counts and starts anew.
func (f *refusals) flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.counts {
		if r.Count > 0 {
			f.write(*r)
		}
	}
	f.counts = nil
}

// close writes what was counted and takes no more.
func (f *refusals) close() {
	f.mu.Lock()
	f.closed = true
	if f.timer != nil {
		f.timer.Stop()
	}
	f.mu.Unlock()
	f.flush()
}
