package dispatch

import "sync"

// tasks are goroutines to wait for. Unlike with a sync.WaitGroup, the first may begin while somebody waits: a request may still
// be on its way through while the dispatcher closes.
type tasks struct {
	mu   sync.Mutex
	n    int
	none chan struct{} // closed once there are none
}

// Go runs a task.
func (t *tasks) Go(task func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n++; t.n == 1 {
		t.none = make(chan struct{})
	}
	go func() {
		defer t.done()
		task()
	}()
}

func (t *tasks) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n--; t.n == 0 {
		close(t.none)
	}
}

// Wait returns at a moment when there are none.
func (t *tasks) Wait() {
	for {
		t.mu.Lock()
		n, none := t.n, t.none
		t.mu.Unlock()
		if n == 0 {
			return
		}
		<-none
	}
}
