package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"offrecord/app/recording"
	"offrecord/web/cardnumber"
)

// sample is an exported log with a few checkpoints on the way, its records apart, and the last checkpoint, kept elsewhere.
type sample struct {
	l       *Log
	lines   [][]byte // the export's, without newlines; the first is the header
	at      []int    // where the records are in lines
	trust   Trust
	records int
}

func newSample(tb testing.TB, records int) sample {
	c := testConfig(tb)
	sink := &memory{}
	c.Sinks = []Sink{sink}
	l := open(tb, c)
	for i := range records - 1 {
		r := begun("bill@acme.example", noon.Add(time.Duration(i)*time.Second))
		if i%2 == 1 {
			r = decided(r, recording.Confirmed)
		}
		put(tb, l, r)
		if i%10 == 5 {
			if err := l.Checkpoint(context.Background()); err != nil {
				tb.Fatal(err)
			}
		}
	}
	var b bytes.Buffer
	if err := l.Export(context.Background(), &b); err != nil {
		tb.Fatal(err)
	}
	s := sample{l: l, lines: bytes.Split(bytes.TrimSuffix(b.Bytes(), []byte("\n")), []byte("\n")), records: records}
	for i, line := range s.lines {
		if bytes.HasPrefix(line, []byte(recordPrefix)) {
			s.at = append(s.at, i)
		}
	}
	notes := sink.notes()
	s.trust = Trust{Keys: []string{l.PublicKey()}, Checkpoints: notes[len(notes)-1:]}
	if len(s.at) != records {
		tb.Fatalf("%d records in the sample, want %d", len(s.at), records)
	}
	return s
}

// body is the n-th record, from 1.
func (s sample) body(n int) []byte {
	line := s.lines[s.at[n-1]]
	return line[len(recordPrefix) : len(line)-1]
}

// with writes the export with other records. A log's own checkpoints stay where they were, by number, unless they are dropped,
// as somebody who can't sign would have to.
func (s sample) with(bodies [][]byte, checkpoints bool) []byte {
	var b bytes.Buffer
	b.Write(append(slices.Clone(s.lines[0]), '\n'))
	for i, body := range bodies {
		fmt.Fprintf(&b, "%s%s}\n", recordPrefix, body)
		if checkpoints && i < len(s.at) {
			for at := s.at[i] + 1; at < len(s.lines) && (i+1 == len(s.at) || at < s.at[i+1]); at++ {
				b.Write(append(slices.Clone(s.lines[at]), '\n'))
			}
		}
	}
	return b.Bytes()
}

// relink gives records the numbers and the links that a hand with a program, but without the key, can give them.
func relink(bodies [][]byte) [][]byte {
	out := make([][]byte, len(bodies))
	var prev tlog.Hash
	for i, body := range bodies {
		l, err := decodeLine(body)
		if err != nil {
			return bodies // not even a record any more
		}
		l.Seq, l.Prev = int64(i+1), prev
		if out[i], err = l.encode(); err != nil {
			return bodies
		}
		prev = tlog.RecordHash(out[i])
	}
	return out
}

// TestAnyChangeIsDetected is the promise: given one checkpoint, every edit, deletion, insertion, swap or truncation shows. A clumsy
// one is named exactly; one whose links were all made anew is named by the stretch between two checkpoints.
func TestAnyChangeIsDetected(t *testing.T) {
	s := newSample(t, 37)
	if r, err := Verify(bytes.NewReader(s.with(s.all(), true)), s.trust); err != nil || r.Vouched != 37 {
		t.Fatalf("the sample itself: %+v, %v", r, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		bodies := s.all()
		n := rapid.IntRange(1, s.records).Draw(t, "record")
		low, high := n, n // where the first bad record is
		switch kind := rapid.SampledFrom([]string{"edit", "field", "delete", "insert", "swap", "truncate"}).Draw(t, "kind"); kind {
		case "edit":
			body := slices.Clone(bodies[n-1])
			at := rapid.IntRange(0, len(body)-1).Draw(t, "at")
			body[at] ^= byte(rapid.IntRange(1, 255).Draw(t, "xor"))
			bodies[n-1] = body
		case "field":
			l, err := decodeLine(bodies[n-1])
			if err != nil {
				t.Fatal(err)
			}
			switch rapid.IntRange(0, 4).Draw(t, "field") {
			case 0:
				l.Agent += "x"
			case 1:
				l.Time = formatTime(noon.Add(-time.Hour))
			case 2:
				l.Outcome = recording.Failed
			case 3:
				l.Prev[rapid.IntRange(0, 31).Draw(t, "byte")] ^= 1
			case 4:
				l.Count++
			}
			if bodies[n-1], err = l.encode(); err != nil {
				t.Fatal(err)
			}
		case "delete":
			bodies = slices.Delete(bodies, n-1, n)
		case "insert":
			bodies = slices.Insert(bodies, n-1, bodies[rapid.IntRange(0, s.records-1).Draw(t, "which")])
			high = n + 1 // a record's own double comes after it
		case "swap":
			m := rapid.IntRange(1, s.records).Filter(func(m int) bool { return m != n }).Draw(t, "other")
			bodies[n-1], bodies[m-1] = bodies[m-1], bodies[n-1]
			low, high = min(n, m), min(n, m)
		case "truncate":
			bodies = bodies[:n-1]
		}
		if rapid.Bool().Draw(t, "relinked") {
			bodies = relink(bodies)
			low, high = 1, s.records
			if slices.EqualFunc(bodies, s.all(), bytes.Equal) {
				return // an edited link, made anew, is the old one
			}
		}
		keep := rapid.Bool().Draw(t, "own checkpoints")
		_, err := Verify(bytes.NewReader(s.with(bodies, keep)), s.trust)
		if err == nil {
			t.Fatal("not detected")
		}
		if bad, ok := errors.AsType[*BadRecord](err); !ok || bad.Seq < int64(low) || bad.Seq > int64(high) {
			t.Fatalf("the first bad record is %d to %d, named was: %v", low, high, err)
		}
	})
}

func (s sample) all() (bodies [][]byte) {
	for n := range s.records {
		bodies = append(bodies, s.body(n+1))
	}
	return bodies
}

// TestAnyByteOfAnExportCounts flips bytes anywhere, headers and notes included.
func TestAnyByteOfAnExportCounts(t *testing.T) {
	s := newSample(t, 17)
	whole := s.with(s.all(), true)
	rapid.Check(t, func(t *rapid.T) {
		b := slices.Clone(whole)
		b[rapid.IntRange(0, len(b)-1).Draw(t, "at")] ^= byte(rapid.IntRange(1, 255).Draw(t, "xor"))
		if _, err := Verify(bytes.NewReader(b), s.trust); err == nil && !bytes.HasPrefix(b, whole[:50]) {
			return // the header's own list of keys, which isn't believed when a trusted one is given
		} else if err == nil {
			header := bytes.IndexByte(whole, '\n')
			if bytes.Equal(b[header:], whole[header:]) {
				return
			}
			t.Fatal("not detected")
		}
	})
}

func TestAStoreThatWasTamperedWith(t *testing.T) {
	const relinkFrom = 9
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, l *Log)
		bad  int64 // 0: not about a record
	}{
		{"edited", func(t *testing.T, l *Log) {
			tamper(t, l, `UPDATE record SET body = replace(body, 'acme', 'ecma') WHERE seq = 5`)
		}, 5},
		{"deleted", func(t *testing.T, l *Log) {
			tamper(t, l, `UPDATE start SET size = 40`)
			tamper(t, l, `DELETE FROM record WHERE seq = 6`)
			tamper(t, l, `UPDATE start SET size = 0`)
		}, 6},
		{"cut", func(t *testing.T, l *Log) {
			tamper(t, l, `UPDATE start SET size = 40`)
			tamper(t, l, `DELETE FROM record WHERE seq > 15`)
			tamper(t, l, `UPDATE start SET size = 0`)
			tamper(t, l, `DELETE FROM checkpoint WHERE size > 15`)
		}, 16},
		{"the head cut off", func(t *testing.T, l *Log) { tamper(t, l, `UPDATE start SET size = 8`) }, -1},
		{"links made anew, and no checkpoint left", func(t *testing.T, l *Log) {
			tamper(t, l, `DELETE FROM checkpoint`)
			bodies := [][]byte{}
			for e := range l.each(context.Background(), `SELECT seq, body FROM record ORDER BY seq`) {
				bodies = append(bodies, e.body)
			}
			bodies[relinkFrom-1] = bytes.Replace(bodies[relinkFrom-1], []byte("acme"), []byte("ecma"), -1)
			for i, body := range relink(bodies) {
				tamper(t, l, fmt.Sprintf(`UPDATE record SET body = '%s' WHERE seq = %d`, body, i+1))
			}
		}, 1},
		{"a checkpoint by another key", func(t *testing.T, l *Log) {
			other := open(t, testConfig(t))
			signed, err := other.keys.sign(Checkpoint{Size: 3, Time: noon})
			if err != nil {
				t.Fatal(err)
			}
			tamper(t, l, fmt.Sprintf(`INSERT INTO checkpoint VALUES (3, '%s')`, signed))
		}, 0},
		{"an undecided attempt forgotten", func(t *testing.T, l *Log) {
			tamper(t, l, `DELETE FROM open_attempt WHERE attempt = (SELECT min(attempt) FROM open_attempt)`)
		}, 0},
		{"another end", func(t *testing.T, l *Log) { tamper(t, l, `UPDATE head SET size = size - 1`) }, -1},
		{"a trigger", func(t *testing.T, l *Log) {
			tamper(t, l, `CREATE TRIGGER x AFTER INSERT ON record BEGIN DELETE FROM checkpoint; END`)
		}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSample(t, 20)
			path := s.l.config.Store
			tt.do(t, s.l)
			r, err := OpenReader(path) // offline, with no more than the file
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			_, err = r.Verify(context.Background(), s.trust)
			bad, isRecord := errors.AsType[*BadRecord](err)
			if err == nil || tt.bad > 0 && (!isRecord || bad.Seq != tt.bad) {
				t.Errorf("found: %v; want record %d", err, tt.bad)
			}
		})
	}
}

func TestALogWithANewKeyVerifiesWithBoth(t *testing.T) {
	c := testConfig(t)
	l := open(t, c)
	keys := []string{l.PublicKey()}
	put(t, l, begun("bill@acme.example", noon))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	c.Key = testKey(t)
	l = open(t, c)
	if err := l.Checkpoint(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Verify(context.Background(), Trust{Keys: append(keys, l.PublicKey())}); err != nil {
		t.Error(err)
	}
	if _, err := l.Verify(context.Background(), Trust{Keys: []string{l.PublicKey()}}); err == nil {
		t.Error("a checkpoint by a key that isn't trusted passed")
	}
	var b bytes.Buffer
	if err := l.Export(context.Background(), &b); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(&b, Trust{}); err != nil {
		t.Errorf("by the export's own keys: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	s := newSample(f, 5)
	f.Add(s.with(s.all(), true))
	f.Add(s.with(s.all(), false))
	f.Add([]byte("{\"offrecord_audit\":1,\"keys\":null,\"start\":1,\"tree\":[],\"note\":\"\"}\n"))
	trust := s.trust
	want := s.with(s.all(), false)
	header := bytes.IndexByte(want, '\n')
	f.Fuzz(func(t *testing.T, b []byte) {
		report, err := Verify(bytes.NewReader(b), trust)
		if err != nil {
			return
		}
		// Whatever passes has the five records, as they were.
		var records []byte
		for line := range bytes.Lines(b) {
			if bytes.HasPrefix(line, []byte(recordPrefix)) && len(records) < len(want)-header-1 {
				records = append(records, line...)
			}
		}
		if report.Vouched < 5 || !bytes.Equal(records, want[header+1:]) {
			t.Errorf("passed: %+v", report)
		}
	})
}

func FuzzDecodeLine(f *testing.F) {
	s := newSample(f, 5)
	for _, b := range s.all() {
		f.Add(b)
	}
	f.Add([]byte(`{"kind":"sign_in","time":"2026-11-21T12:00:00.000000Z","Kind":"call"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := decodeLine(b)
		if err != nil {
			return
		}
		again, err := l.encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s\nis written as\n%s, %v", b, again, err)
		}
		if _, err := entry(1, b); err != nil {
			t.Error(err)
		}
	})
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"card 4111 1111 1111 1111", "٤١١١١١١١١١١١١١١١", "2026-11-21 09:08:24", "\xff\u202e=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := NewText(s)
		if len(cardnumber.Find(text.s)) > 0 {
			t.Errorf("%q still holds a card number", text.s)
		}
		if len([]rune(text.s)) > maxText || bytes.ContainsAny([]byte(text.s), "\r\n\x00") {
			t.Errorf("%q", text.s)
		}
		if again := NewText(text.s); again != text {
			t.Errorf("%q becomes %q", text.s, again.s)
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	s := newSample(f, 5)
	f.Add(s.trust.Checkpoints[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := OpenCheckpoint(b, s.trust.Keys...); err == nil && c.Size != 5 {
			t.Errorf("a forged checkpoint: %+v", c)
		}
		parseCheckpointText(string(b))
		ReadCheckpoints(bytes.NewReader(b))
	})
}

func TestMain(m *testing.M) {
	if child := os.Getenv(childEnv); child != "" {
		runChild(child)
		return
	}
	os.Exit(m.Run())
}
