// Package delay puts distance between a browser and a server on the same machine: a TCP relay that makes every byte, and the
// opening of a connection, as late as a link of that length would. Order is kept; nothing is lost, and nothing is slower for
// being large: there is no bandwidth limit and no slow start, so what it shows is the cost of round trips alone.
//
// It is for measurements on loopback. It refuses any other address, and the product may not import it.
package delay

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// A Link is a listening relay with a fixed delay each way.
//
// A client's connect succeeds at once, because the kernel answers it before the relay can. The relay makes up for it: what
// the client says within the round trip that the handshake would have taken counts as said at the end of it. So the server
// sees the connection, and its first byte, one and a half round trips after the client's SYN, as on a real link.
type Link struct {
	oneWay time.Duration
	dial   func() (net.Conn, error)
	ln     net.Listener

	mu    sync.Mutex
	conns map[net.Conn]bool // both ends of each connection; nil once closed
	work  sync.WaitGroup
}

// New starts a relay on a free port of loopback to the server at the address that upstream returns, which is asked at each
// connection, since a server may be started after its link. oneWay is the delay in each direction: half a round trip.
func New(oneWay time.Duration, upstream func() string) (*Link, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for the delayed link: %w", err)
	}
	l := &Link{oneWay: oneWay, ln: ln, conns: map[net.Conn]bool{}, dial: func() (net.Conn, error) { return dialLoopback(upstream()) }}
	l.work.Go(l.accept)
	return l, nil
}

func dialLoopback(addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("the delayed link's server: %w", err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return nil, fmt.Errorf("the delayed link's server is %s, which isn't this machine", host)
	}
	return net.Dial("tcp", addr)
}

// Addr is where the link listens, as host:port.
func (l *Link) Addr() string { return l.ln.Addr().String() }

// Close cuts every connection and waits until nothing of the link runs any more.
func (l *Link) Close() error {
	err := l.ln.Close()
	l.mu.Lock()
	for conn := range l.conns {
		conn.Close()
	}
	l.conns = nil
	l.mu.Unlock()
	l.work.Wait()
	return err
}

func (l *Link) accept() {
	for {
		client, err := l.ln.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue // the client went away before it was accepted
		}
		opened := time.Now()
		l.work.Go(func() { l.carry(client, opened) })
	}
}

// hold remembers a connection for Close, and reports whether the link is still open.
func (l *Link) hold(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns == nil {
		conn.Close()
		return false
	}
	l.conns[conn] = true
	return true
}

func (l *Link) drop(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	conn.Close()
	delete(l.conns, conn)
}

// carry relays one connection, which the client opened at the given time, until both sides have said all they will.
func (l *Link) carry(client net.Conn, opened time.Time) {
	if !l.hold(client) {
		return
	}
	defer l.drop(client)
	established := opened.Add(2 * l.oneWay) // at the client; its acknowledgement is at the server one way later
	out := newPipe(l.oneWay)
	var reading sync.WaitGroup
	reading.Go(func() { out.fill(client, established) })
	defer reading.Wait()

	time.Sleep(time.Until(established.Add(l.oneWay)))
	server, err := l.dial()
	if err != nil {
		client.Close() // what a refused connection comes to, for a browser
		return
	}
	if !l.hold(server) {
		client.Close()
		return
	}
	defer l.drop(server)
	back := newPipe(l.oneWay)
	reading.Go(func() { back.fill(server, time.Time{}) })

	var writing sync.WaitGroup
	writing.Go(func() { out.drain(server) })
	writing.Go(func() { back.drain(client) })
	writing.Wait()
	client.Close()
	server.Close()
}

// pipe is what is on its way in one direction.
type pipe struct {
	oneWay time.Duration

	mu     sync.Mutex
	some   sync.Cond
	queued []parcel
	broken bool // nobody takes anything out any more
}

// parcel is some bytes, or without any the end of the stream, and when they arrive.
type parcel struct {
	data []byte
	due  time.Time
}

func newPipe(oneWay time.Duration) *pipe {
	p := &pipe{oneWay: oneWay}
	p.some.L = &p.mu
	return p
}

// fill takes in what from says, until it ends. Nothing counts as said before earliest.
func (p *pipe) fill(from net.Conn, earliest time.Time) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		said := time.Now()
		if said.Before(earliest) {
			said = earliest
		}
		if n > 0 && !p.put(parcel{data: bytes.Clone(buf[:n]), due: said.Add(p.oneWay)}) {
			return
		}
		if err != nil {
			p.put(parcel{due: said.Add(p.oneWay)})
			return
		}
	}
}

func (p *pipe) put(one parcel) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken {
		return false
	}
	p.queued = append(p.queued, one)
	p.some.Signal()
	return true
}

func (p *pipe) take() parcel {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.queued) == 0 {
		p.some.Wait()
	}
	one := p.queued[0]
	p.queued = p.queued[1:]
	return one
}

// drain delivers each parcel when it is due, and the end of the stream as such, so that the other direction can go on.
func (p *pipe) drain(to net.Conn) {
	for {
		one := p.take()
		time.Sleep(time.Until(one.due))
		if one.data == nil {
			if half, ok := to.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
				return
			}
			to.Close()
			return
		}
		if _, err := to.Write(one.data); err != nil {
			p.mu.Lock()
			p.broken, p.queued = true, nil
			p.mu.Unlock()
			to.Close()
			return
		}
	}
}
