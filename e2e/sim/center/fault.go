package center

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Fault is how a center misbehaves towards requests. The zero value is the platform at its best.
type Fault struct {
	// Before is waited before acting, After between acting and answering. Neither ends when the client goes away.
	Before time.Duration `json:"before,omitempty"`
	After  time.Duration `json:"after,omitempty"`
	// Hang never answers, after acting if ActAnyway, until the client goes away.
	Hang bool `json:"hang,omitempty"`
	// Drop resets the connection instead of answering.
	Drop Drop `json:"drop,omitempty"`
	// Pretend answers as if it had acted, and leaves the tape as it is.
	Pretend bool `json:"pretend,omitempty"`
	// Status is answered instead of what is due, without acting unless ActAnyway.
	Status    int  `json:"status,omitempty"`
	ActAnyway bool `json:"act_anyway,omitempty"`
	// RetryAfter is sent with the answer, if it isn't empty.
	RetryAfter string `json:"retry_after,omitempty"`
	// Location is sent with the answer, for a Status that redirects.
	Location string `json:"location,omitempty"`
	// Body replaces the answer's.
	Body Body `json:"body,omitempty"`
	// Times is how many requests meet the fault before it is gone; 0 is until it is set anew.
	Times int `json:"times,omitempty"`
}

// Drop is when a connection is reset.
type Drop string

// The moments. From outside the first two can't be told apart; the third is in the middle of the answer.
const (
	DropBefore Drop = "before"
	DropAfter  Drop = "after"
	DropBody   Drop = "body"
)

// Body is a wrong body.
type Body string

// The wrong bodies.
const (
	BodyXML     Body = "xml"
	BodyJSON    Body = "json" // good JSON of another kind
	BodyText    Body = "text"
	BodyEmpty   Body = "empty"
	BodyGarbled Body = "garbled"
	BodyHuge    Body = "huge" // 10 MB
)

func (b Body) format() (contentType string, body []byte) {
	switch b {
	case BodyXML:
		return "application/xml", []byte("<?xml version='1.0'?><response><recordingStatus>success</recordingStatus></response>")
	case BodyJSON:
		return "application/json", []byte(`["success",{"recordingStatus":["Paused"],"access_token":17,"recordingStatusToAgent":{}}]`)
	case BodyText:
		return "text/plain", []byte("success Paused Mask")
	case BodyGarbled:
		return "application/json", []byte("{\"recordingStatus\":\"Pau\xff\xfe\x00<resp")
	case BodyHuge:
		return "application/json", append(bytes.Repeat([]byte{' '}, 10<<20), `{"recordingStatus":"Paused"}`...)
	}
	return "text/plain", nil
}

// SetFault sets how the requests to an endpoint are met from now on; an empty endpoint stands for all that have no fault of
// their own. The zero Fault ends it.
func (c *Center) SetFault(endpoint string, f Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f == (Fault{}) {
		delete(c.faults, endpoint)
	} else {
		c.faults[endpoint] = f
	}
	c.Notify()
}

// meet returns the fault that a request meets, and counts it. The lock is held.
func (c *Center) meet(endpoint string) Fault {
	f, ok := c.faults[endpoint]
	if !ok {
		endpoint = ""
		f, ok = c.faults[endpoint]
	}
	if ok && f.Times > 0 {
		left := f
		if left.Times--; left.Times == 0 {
			delete(c.faults, endpoint)
		} else {
			c.faults[endpoint] = left
		}
	}
	return f
}

// Exchange is a request while it is being answered.
type Exchange struct {
	*http.Request
	center *Center
	entry  *Request
	fault  Fault
}

// About enters into the ledger what was understood of the request.
func (x *Exchange) About(agent, asked string) {
	x.center.mu.Lock()
	defer x.center.mu.Unlock()
	x.entry.Agent, x.entry.Asked = agent, asked
}

// Apply changes a call's tape after the lag, unless the fault only pretends.
func (x *Exchange) Apply(call string, to Change, lag time.Duration) {
	if !x.fault.Pretend {
		x.center.apply(call, to, lag, x.entry.Seq)
	}
}

// Answer is what a platform answers. Body is sent as JSON; nil sends none.
type Answer struct {
	Status int
	Body   any
}

// Handle serves an endpoint of the platform: it keeps the ledger and does what the faults say. answer acts and says what is
// due; it isn't called where the fault keeps it from acting.
func (c *Center) Handle(endpoint string, answer func(*Exchange) Answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		c.mu.Lock()
		entry := c.Enter(func(seq int) Request {
			return Request{Seq: seq, At: time.Now(), Endpoint: endpoint, Method: r.Method, Path: c.clean(r.URL.Path)}
		})
		f := c.meet(endpoint)
		c.mu.Unlock()
		x := &Exchange{r, c, entry, f}
		drop := func() {
			x.finish(0, true)
			reset(w)
		}

		c.wait(f.Before)
		if f.Drop == DropBefore {
			drop()
			return
		}
		a := Answer{Status: f.Status}
		if f.ActAnyway || f.Status == 0 && !f.Hang {
			if a = answer(x); f.Status != 0 {
				a = Answer{Status: f.Status}
			}
		}
		c.wait(f.After)
		switch {
		case f.Hang:
			select {
			case <-r.Context().Done():
			case <-c.closed:
			}
			drop()
			return
		case f.Drop == DropAfter:
			drop()
			return
		}
		contentType, body := "application/json", []byte(nil)
		if a.Body != nil {
			body, _ = json.Marshal(a.Body)
		}
		if f.Body != "" {
			contentType, body = f.Body.format()
		}
		if f.RetryAfter != "" {
			w.Header().Set("Retry-After", f.RetryAfter)
		}
		if f.Location != "" {
			w.Header().Set("Location", f.Location)
		}
		if after, ok := a.Body.(Limited); ok && f.Body == "" {
			w.Header().Set("Retry-After", strconv.Itoa(int(after)))
			body = nil
		}
		w.Header().Set("Content-Type", contentType)
		if f.Drop == DropBody {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)+1000))
			w.WriteHeader(a.Status)
			w.Write(body)
			http.NewResponseController(w).Flush()
			drop()
			return
		}
		x.finish(a.Status, false)
		w.WriteHeader(a.Status)
		w.Write(body)
	})
}

// Limited is the body of a 429: it is sent as Retry-After, in seconds.
type Limited int

func (x *Exchange) finish(status int, dropped bool) {
	x.center.mu.Lock()
	defer x.center.mu.Unlock()
	x.entry.Status, x.entry.Dropped, x.entry.Answered = status, dropped, time.Now()
	x.center.Notify()
}

// wait lets the time pass, unless the center is closed.
func (c *Center) wait(d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.closed:
	}
}

// reset cuts the connection so that the other side sees a reset.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	below := conn
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		below = t.NetConn()
	}
	if t, ok := below.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	below.Close()
}
