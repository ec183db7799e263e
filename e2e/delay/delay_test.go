package delay

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

const oneWay = 25 * time.Millisecond

// ends carries one connection over a link in a bubble, and returns the client's end of it, and the server's once it is there.
func ends(t *testing.T) (client net.Conn, server <-chan net.Conn) {
	t.Helper()
	accepted := make(chan net.Conn, 1)
	l := &Link{oneWay: oneWay, conns: map[net.Conn]bool{}, dial: func() (net.Conn, error) {
		near, far := net.Pipe()
		accepted <- far
		return near, nil
	}}
	client, far := net.Pipe()
	l.work.Go(func() { l.carry(far, time.Now()) })
	t.Cleanup(func() {
		client.Close()
		l.work.Wait()
	})
	return client, accepted
}

func say(t *testing.T, to net.Conn, words string) {
	t.Helper()
	if _, err := to.Write([]byte(words)); err != nil {
		t.Fatalf("saying %q: %v", words, err)
	}
}

// hear checks what arrives next and when, counted from begun.
func hear(t *testing.T, from net.Conn, words string, begun time.Time, at time.Duration) {
	t.Helper()
	buf := make([]byte, len(words))
	if _, err := io.ReadFull(from, buf); err != nil || string(buf) != words {
		t.Fatalf("heard %q and %v, not %q", buf, err, words)
	}
	if got := time.Since(begun); got != at {
		t.Errorf("heard %q after %v, want %v", words, got, at)
	}
}

func TestAClientsWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		client, accepted := ends(t)
		say(t, client, "hello") // the kernel let it connect at once
		server := <-accepted
		defer server.Close()
		if got := time.Since(begun); got != 3*oneWay {
			t.Errorf("the server saw the connection after %v", got)
		}
		hear(t, server, "hello", begun, 3*oneWay)
		say(t, server, "well met")
		hear(t, client, "well met", begun, 4*oneWay)
		say(t, client, "again")
		hear(t, server, "again", begun, 5*oneWay)
	})
}

func TestAServerThatSpeaksFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		client, accepted := ends(t)
		server := <-accepted
		defer server.Close()
		say(t, server, "220 ready")
		hear(t, client, "220 ready", begun, 4*oneWay)
	})
}

func TestTheHandshakeDelaysOnlyWhatIsSaidDuringIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		client, accepted := ends(t)
		server := <-accepted
		defer server.Close()
		time.Sleep(time.Second)
		say(t, client, "late")
		hear(t, server, "late", begun, 3*oneWay+time.Second+oneWay)
	})
}

func TestOrderIsKeptAndNothingIsSlowForBeingLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		client, accepted := ends(t)
		server := <-accepted
		defer server.Close()
		data := make([]byte, 3<<20)
		for i := range data {
			data[i] = byte(i >> 8)
		}
		go func() {
			for part := data; len(part) > 0; {
				n := min(7919, len(part))
				server.Write(part[:n])
				part = part[n:]
			}
		}()
		hear(t, client, string(data), begun, 4*oneWay)
	})
}

func TestTheEndIsAsLateAsAWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		client, accepted := ends(t)
		server := <-accepted
		say(t, server, "bye")
		server.Close()
		hear(t, client, "bye", begun, 4*oneWay)
		if _, err := client.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the end: %v", err)
		}
		if got := time.Since(begun); got != 4*oneWay {
			t.Errorf("the end came after %v", got)
		}
	})
}

func TestAServerThatIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		l := &Link{oneWay: oneWay, conns: map[net.Conn]bool{}, dial: func() (net.Conn, error) { return nil, errors.New("refused") }}
		client, far := net.Pipe()
		l.work.Go(func() { l.carry(far, begun) })
		if _, err := client.Read(make([]byte, 1)); err == nil {
			t.Error("something answered")
		}
		if got := time.Since(begun); got != 3*oneWay {
			t.Errorf("refused after %v", got)
		}
		l.work.Wait()
	})
}

// The same over the kernel's own connections, where only lower bounds are sure.
func TestTCP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() { // an echo that answers when the client has ended its half
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			data, _ := io.ReadAll(conn)
			conn.Write(data)
			conn.Close()
		}
	}()
	link, err := New(oneWay, func() string { return ln.Addr().String() })
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()

	begun := time.Now()
	conn, err := net.Dial("tcp", link.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	words := bytes.Repeat([]byte("round trip "), 100_000)
	go func() {
		conn.Write(words)
		conn.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, words) {
		t.Fatalf("%d bytes came back of %d (%v)", len(got), len(words), err)
	}
	if took := time.Since(begun); took < 4*oneWay || took > 100*oneWay {
		t.Errorf("it took %v", took)
	}
}

func TestCloseEndsConnections(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	link, err := New(time.Millisecond, func() string { return ln.Addr().String() })
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", link.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := link.Close(); err != nil {
		t.Error(err)
	}
	for name, conn := range map[string]net.Conn{"client": client, "server": server} {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("the %s's connection is open", name)
		}
	}
	if conn, err := net.Dial("tcp", link.Addr()); err == nil {
		conn.Close()
		t.Error("a closed link takes connections")
	}
}

func TestOnlyThisMachine(t *testing.T) {
	for _, addr := range []string{"192.0.2.1:443", "example.com:443", "127.0.0.1"} {
		if conn, err := dialLoopback(addr); err == nil {
			conn.Close()
			t.Errorf("%s was dialled", addr)
		}
	}
}
