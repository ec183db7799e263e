package audit

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"offrecord/app/recording"
	"offrecord/web/secret"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// testKey is a key made for these tests only; a fixed one keeps hashed identifiers the same from run to run.
func testKey(tb testing.TB) secret.String {
	tb.Helper()
	k, err := GenerateKey("test/audit")
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func testConfig(tb testing.TB) Config {
	dir := tb.TempDir()
	return Config{Store: filepath.Join(dir, "log.db"), Spool: filepath.Join(dir, "log.spool"), Key: testKey(tb), reserve: 1 << 16, Retry: time.Millisecond}
}

func open(tb testing.TB, c Config) *Log {
	tb.Helper()
	l, err := Open(context.Background(), c)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	return l
}

func begun(agent string, at time.Time) Record {
	return Record{Kind: AttemptBegun, Time: at, Agent: NewID(agent), Role: Agent, Peer: NewID("192.0.2.7"), Client: Chromium, Platform: NewText("acme"),
		Call: NewID("c-1"), Attempt: uuid.New(), Action: recording.Pause, Route: recording.RouteSession, Transport: recording.TransportIframe,
		Origin: recording.Hand, State: recording.Pausing, Reason: NewText("card"), Request: NewText("r-1"), RequestedAt: at}
}

func decided(r Record, o recording.Outcome) Record {
	r.Kind, r.Outcome, r.Time = AttemptDecided, o, r.Time.Add(time.Second)
	r.Evidence = &recording.Evidence{Kind: recording.PopupClosed, AfterMS: 90}
	return r
}

func put(tb testing.TB, l *Log, r Record) Receipt {
	tb.Helper()
	at, err := l.Append(context.Background(), r)
	if err != nil {
		tb.Fatal(err)
	}
	return at
}

func collect(tb testing.TB, seq func(func(Entry, error) bool)) (all []Entry) {
	tb.Helper()
	for e, err := range seq {
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

func verify(tb testing.TB, l *Log) Report {
	tb.Helper()
	report, err := l.Verify(context.Background(), Trust{Keys: []string{l.PublicKey()}})
	if err != nil {
		tb.Fatal(err)
	}
	return report
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	c := testConfig(t)
	l := open(t, c)
	want := decided(begun("bill@acme.example", noon), recording.Confirmed)
	want.Detail, want.AutoResumeAt = NewText(`8x8 reports <success> & "more"`), noon.Add(3*time.Minute)
	if at := put(t, l, want); at != (Receipt{2, InStore}) {
		t.Errorf("receipt %+v: the first record is the log's own", at)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, c)
	page, err := l.Query(context.Background(), Filter{Agent: "bill@acme.example"})
	if err != nil || len(page.Items) != 1 {
		t.Fatalf("%d items, %v", len(page.Items), err)
	}
	got := page.Items[0]
	if !reflect.DeepEqual(got.Record, want) || got.Seq != 2 {
		t.Errorf("got  %+v\nwant %+v", got.Record, want)
	}
	b, err := json.Marshal(got)
	if err != nil || !bytes.Equal(b, got.body) {
		t.Errorf("an entry's JSON isn't the stored bytes: %s, %v", b, err)
	}
	if r := verify(t, l); r.First != 1 || r.Last != 4 || r.Vouched != 3 {
		t.Errorf("report %+v; want started, the record, stopped and started, the first three vouched for at the stop", r)
	}
}

func TestAnAttemptThereAndBack(t *testing.T) {
	due := noon.Add(time.Minute)
	for _, tt := range []struct {
		name    string
		outcome recording.Outcome
		settled bool
		kind    Kind
	}{
		{"begun", recording.Pending, false, AttemptBegun},
		{"seen", recording.Accepted, false, AttemptSeen},
		{"decided", recording.Confirmed, true, AttemptDecided},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := recording.Attempt{ID: uuid.NewString(), Action: recording.Pause, Agent: "a@b.example", Platform: "acme", Call: "7", Route: recording.RouteServer, SentAs: recording.Mask, By: "sue@b.example",
				Origin: "trigger:card", Reason: "card", Outcome: tt.outcome, State: recording.Pausing, Detail: "d", PlatformStatus: "success", RequestedAt: noon, AutoResumeAt: &due}
			if tt.settled {
				want.DecidedAt = &due
			}
			r, err := OfAttempt(want)
			if err != nil || r.Kind != tt.kind {
				t.Fatalf("kind %q, %v", r.Kind, err)
			}
			if got, ok := r.AsAttempt(); !ok || !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
		})
	}
	if _, err := OfAttempt(recording.Attempt{ID: "4111111111111111"}); err == nil {
		t.Error("an attempt's id that is no UUID")
	}
}

// TestNoFieldTakesFreeText is the promise that card data and secrets can't reach the log by type.
func TestNoFieldTakesFreeText(t *testing.T) {
	closed := map[reflect.Type]bool{}
	for _, v := range []any{Kind(""), Role(""), Client(""), recording.Action(""), recording.Route(""), recording.Transport(""), recording.Outcome(""),
		recording.State(""), recording.Origin(""), &recording.Evidence{}, Text{}, ID{}, uuid.UUID{}, time.Time{}, int64(0)} {
		closed[reflect.TypeOf(v)] = true
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Record]()) {
		if !closed[f.Type] {
			t.Errorf("%s is a %s: give it a closed or a vetted type", f.Name, f.Type)
		}
	}
	for name, r := range map[string]Record{
		"kind":      {Kind: "4111111111111111"},
		"role":      {Kind: SignIn, Role: "4111111111111111"},
		"client":    {Kind: SignIn, Client: "4111111111111111"},
		"action":    {Kind: SignIn, Action: "4111111111111111"},
		"route":     {Kind: SignIn, Route: "4111111111111111"},
		"transport": {Kind: SignIn, Transport: "4111111111111111"},
		"outcome":   {Kind: SignIn, Outcome: "4111111111111111"},
		"state":     {Kind: SignIn, State: "4111111111111111"},
		"evidence":  {Kind: SignIn, Evidence: &recording.Evidence{Kind: "4111111111111111"}},
		"no id":     {Kind: AttemptBegun, Action: recording.Pause},
		"a year":    {Kind: SignIn, Time: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		if _, err := r.seal(func(s string) string { return s }); err == nil {
			t.Errorf("%s: not refused", name)
		}
	}
	l, err := Record{Kind: Call, Origin: "trigger:4111111111111111"}.seal(func(s string) string { return s })
	if err != nil || strings.Contains(string(l.Origin), "4111") {
		t.Errorf("origin %q, %v", l.Origin, err)
	}
}

func TestCardNumbersAreMasked(t *testing.T) {
	const gone = "[card number removed]"
	for in, want := range map[string]string{
		"4111111111111111":                       gone,
		"card 4111 1111 1111 1111, exp 12/30":    "card " + gone + ", exp 12/30",
		"4111-1111-1111-1111":                    gone,
		"4111.1111.1111.1111":                    gone,
		"4111\u00a01111\u00a01111\u00a01111":     gone,
		"378282246310005":                        gone, // 15 digits
		"٤١١١١١١١١١١١١١١١":                       gone, // Arabic-Indic digits
		"４１１１１１１１１１１１１１１１":                       gone, // full-width digits
		"9994111111111111111999":                 gone, // within a longer run
		"4111\n1111\t1111 1111":                  gone,
		"4111\u200b1111\u200b1111\u200b1111":     gone, // zero-width spaces
		"4111 1111 1111 1111 123":                gone, // and its code
		"2026 4111111111111111":                  gone,
		"4111111111111112":                       "4111111111111112",
		"order 123456789012":                     "order 123456789012",
		"the customer pays by card":              "the customer pays by card",
		"  two\r\nlines \x00 and \u202enonsense": "two  lines   and nonsense",
		strings.Repeat("é", 300):                 strings.Repeat("é", 199) + "…",
		"\xff":                                   "\uFFFD",
	} {
		if got := NewText(in).String(); got != want {
			t.Errorf("NewText(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestIdentifiersAreHashedWithTheLogsKey(t *testing.T) {
	c := testConfig(t)
	c.HashIdentifiers = true
	l := open(t, c)
	put(t, l, begun("bill@acme.example", noon))
	put(t, l, begun("jo@acme.example", noon))
	page, err := l.Query(context.Background(), Filter{Agent: "bill@acme.example"})
	if err != nil || len(page.Items) != 1 {
		t.Fatalf("%d items, %v", len(page.Items), err)
	}
	e := page.Items[0]
	for _, plain := range []string{"bill", "192.0.2.7", "c-1"} {
		if bytes.Contains(e.body, []byte(plain)) {
			t.Errorf("%q is stored in %s", plain, e.body)
		}
	}
	if e.Agent.String() != l.Identify("bill@acme.example") || !strings.HasPrefix(e.Agent.String(), "hmac:") {
		t.Errorf("agent %q", e.Agent)
	}
	if got := recently(t, l, "bill@acme.example", noon.Add(-time.Hour)); len(got) != 1 {
		t.Errorf("%d recent records of the agent", len(got))
	}
	other := open(t, testConfig(t))
	if other.keys.hash("bill@acme.example") == l.keys.hash("bill@acme.example") {
		t.Error("two logs' hashes can be compared")
	}
	plain := open(t, testConfig(t))
	put(t, plain, Record{Kind: Call, Call: NewID("4111111111111111")})
	var b bytes.Buffer
	if err := plain.Export(context.Background(), &b); err != nil || strings.Contains(b.String(), "4111") {
		t.Errorf("a call's id that may be a card number is stored as it is: %v", err)
	}
}

func TestTheKeyIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	one, err := LoadKey(path, "test/audit")
	if err != nil {
		t.Fatal(err)
	}
	two, err := LoadKey(path, "test/audit")
	if err != nil || one.Reveal() != two.Reveal() {
		t.Errorf("another key the second time, %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := Open(context.Background(), Config{Key: secret.New("hunter2")}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a key that is none: %v", err)
	}
}

func TestTheTreeIsRFC6962s(t *testing.T) {
	var ours tree
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) (out []tlog.Hash, err error) {
		for _, i := range indexes {
			out = append(out, stored[i])
		}
		return out, nil
	})
	for n := range int64(300) {
		data := fmt.Append(nil, "record ", n)
		more, err := tlog.StoredHashes(n, data, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
		ours.add(tlog.RecordHash(data))
		want, err := tlog.TreeHash(n+1, reader)
		if err != nil || ours.root() != want {
			t.Fatalf("root of %d records: %v", n+1, err)
		}
		if again, err := parseTree(ours.size, ours.bytes()); err != nil || again.root() != want {
			t.Fatalf("stored tree of %d records: %v", n+1, err)
		}
	}
}

func TestQueryPagesNewestFirst(t *testing.T) {
	c := testConfig(t)
	c.Now = func() time.Time { return noon.Add(-time.Hour) } // of the log's own first record
	l := open(t, c)
	agents := []string{"bill@acme.example", "jo@acme.example"}
	outcomes := []recording.Outcome{recording.Confirmed, recording.Failed, recording.Unknown}
	for i := range 60 {
		r := decided(begun(agents[i%2], noon.Add(time.Duration(i/4)*time.Second)), outcomes[i%3]) // four share a time
		put(t, l, r)
	}
	tests := []struct {
		name string
		f    Filter
		want int
	}{
		{"all", Filter{From: noon}, 60},
		{"agent", Filter{Agent: agents[0]}, 30},
		{"outcome", Filter{Outcome: recording.Failed}, 20},
		{"agent and outcome", Filter{Agent: agents[1], Outcome: recording.Failed}, 10},
		{"kind", Filter{Kind: AttemptDecided}, 60},
		{"kind and agent", Filter{Kind: AttemptDecided, Agent: agents[1]}, 30},
		{"from", Filter{From: noon.Add(6 * time.Second), To: noon.Add(time.Hour)}, 40},
		{"to", Filter{From: noon, To: noon.Add(6 * time.Second)}, 20},
		{"nobody", Filter{Agent: "nobody"}, 0},
		{"no attempt", Filter{Attempt: uuid.NewString()}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.f.Limit = 7
			seen := map[int64]bool{}
			var last Entry
			for {
				page, err := l.Query(context.Background(), tt.f)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range page.Items {
					if seen[e.Seq] {
						t.Fatalf("record %d twice", e.Seq)
					}
					if last.Seq != 0 && (e.Time.After(last.Time) || e.Time.Equal(last.Time) && e.Seq > last.Seq) {
						t.Fatalf("record %d after %d", e.Seq, last.Seq)
					}
					seen[e.Seq], last = true, e
				}
				if tt.f.Cursor = page.Next; page.Next == "" {
					break
				}
			}
			if len(seen) != tt.want {
				t.Errorf("%d records, want %d", len(seen), tt.want)
			}
		})
	}
	for _, bad := range []string{"x", "AAAA", "fDE"} {
		if _, err := l.Query(context.Background(), Filter{Cursor: bad}); !errors.Is(err, ErrCursor) {
			t.Errorf("cursor %q: %v", bad, err)
		}
	}
}

// TestEveryQueryHasItsIndex keeps the cost of a page flat: no filter may lead to a sort or to a scan of the table.
func TestEveryQueryHasItsIndex(t *testing.T) {
	l := open(t, testConfig(t))
	for _, f := range []Filter{{}, {Agent: "a"}, {Outcome: recording.Failed}, {Agent: "a", Outcome: recording.Failed}, {Kind: SignIn}, {Attempt: uuid.NewString()}} {
		for _, cursor := range []string{"", "MjAyNi0xMS0yMVQxMjowMDowMC4wMDAwMDBafDk"} {
			f.Cursor = cursor
			query, args, err := f.sql(l.identify)
			if err != nil {
				t.Fatal(err)
			}
			rows, err := l.db.Query("EXPLAIN QUERY PLAN "+query, append(args, 50)...)
			if err != nil {
				t.Fatal(err)
			}
			for rows.Next() {
				var id, parent, unused int
				var detail string
				if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
					t.Fatal(err)
				}
				if strings.Contains(detail, "TEMP B-TREE") || strings.HasPrefix(detail, "SCAN record") && !strings.Contains(detail, "INDEX") {
					t.Errorf("%+v: %s", f, detail)
				}
			}
			rows.Close()
		}
	}
}

func TestCSVIsSafeForSpreadsheets(t *testing.T) {
	l := open(t, testConfig(t))
	for _, reason := range []string{"=1+1", "+1", "-1", "@SUM(A1)", " =1", "＝1", "|calc", "plain, with \"quotes\""} {
		put(t, l, Record{Kind: Refused, Time: noon, Reason: NewText(reason)})
	}
	var b bytes.Buffer
	if err := l.CSV(context.Background(), &b, Filter{Kind: Refused}); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(rows) != 9 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, row := range rows[1:8] {
		if reason := row[20]; reason[0] != '\'' {
			if reason != "plain, with \"quotes\"" {
				t.Errorf("%q would be a formula", reason)
			}
		}
	}
}

func recently(tb testing.TB, l *Log, agent string, since time.Time) []Entry {
	tb.Helper()
	r, err := l.Recently(context.Background(), since)
	if err != nil {
		tb.Fatal(err)
	}
	return collect(tb, r.Of(context.Background(), agent))
}

func TestUndecidedAndRecently(t *testing.T) {
	c := testConfig(t)
	var broken atomic.Bool
	c.fault = func() error {
		if broken.Load() {
			return errors.New("the disk is full")
		}
		return nil
	}
	c.Retry = time.Hour
	l := open(t, c)
	done, lone, late := begun("bill@acme.example", noon), begun("bill@acme.example", noon.Add(time.Minute)), begun("jo@acme.example", noon.Add(time.Hour))
	put(t, l, done)
	put(t, l, decided(done, recording.Confirmed))
	put(t, l, lone)
	seen := lone
	seen.Kind, seen.Outcome = AttemptSeen, recording.Accepted
	put(t, l, seen)
	put(t, l, late)
	broken.Store(true)
	put(t, l, decided(late, recording.Failed)) // into the spool
	spooled := begun("jo@acme.example", noon.Add(2*time.Hour))
	if at := put(t, l, spooled); at.Place != InSpool {
		t.Fatalf("receipt %+v", at)
	}
	names := func(entries []Entry) (out []string) {
		known := map[uuid.UUID]string{done.Attempt: "done", lone.Attempt: "lone", late.Attempt: "late", spooled.Attempt: "spooled"}
		for _, e := range entries {
			out = append(out, known[e.Attempt]+" "+string(e.Kind))
		}
		return out
	}
	check := func(what string, got []Entry, want ...string) {
		t.Helper()
		if !reflect.DeepEqual(names(got), want) {
			t.Errorf("%s: %q, want %q", what, names(got), want)
		}
	}
	ctx := context.Background()
	both := func() {
		t.Helper()
		check("undecided", collect(t, l.Undecided(ctx)), "lone attempt_begun", "lone attempt_seen", "spooled attempt_begun")
		check("recently", recently(t, l, "jo@acme.example", noon), "spooled attempt_begun", "late attempt_decided", "late attempt_begun")
		check("recently", recently(t, l, "bill@acme.example", noon.Add(time.Second)), "lone attempt_seen", "lone attempt_begun", "done attempt_decided")
	}
	both()
	l.Close()
	broken.Store(false)
	l = open(t, c)
	both()
	verify(t, l)
}

func TestConcurrentRecordsShareATransaction(t *testing.T) {
	c := testConfig(t)
	var commits atomic.Int64
	c.fault = func() error { commits.Add(1); return nil }
	l := open(t, c)
	const n = 400
	var wg sync.WaitGroup
	seqs := make([]int64, n)
	for i := range n {
		wg.Go(func() { seqs[i] = put(t, l, begun("bill@acme.example", noon)).Seq })
	}
	wg.Wait()
	seen := map[int64]bool{}
	for _, s := range seqs {
		if s < 2 || s > n+1 || seen[s] {
			t.Fatalf("number %d", s)
		}
		seen[s] = true
	}
	if commits.Load() > n/2 {
		t.Errorf("%d transactions for %d concurrent records", commits.Load(), n)
	}
	verify(t, l)
}

func TestRetentionPrunesAndSaysSo(t *testing.T) {
	c := testConfig(t)
	sink := &memory{}
	c.Sinks = []Sink{sink}
	now := noon
	c.Now = func() time.Time { return now }
	l := open(t, c)
	ctx := context.Background()
	kept := begun("bill@acme.example", noon)
	for i := range 1200 {
		r := begun("bill@acme.example", noon.Add(time.Duration(i)*time.Minute))
		if i == 700 {
			r.Time = noon.AddDate(10, 0, 0) // a clock that was wrong for a moment
		}
		put(t, l, r)
		if i == 300 {
			if err := l.Checkpoint(ctx); err != nil {
				t.Fatal(err)
			}
		}
		kept = r
	}
	now = noon.Add(24 * time.Hour)
	if err := l.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	n, err := l.Prune(ctx, noon.Add(1000*time.Minute))
	if err != nil || n != 1001 {
		t.Fatalf("%d pruned, %v: want the log's start and a thousand", n, err)
	}
	trust := Trust{Keys: []string{l.PublicKey()}, Checkpoints: sink.notes()}
	report, err := l.Verify(ctx, trust)
	if err != nil || report.First != 1002 || report.Last != 1202 || report.Unchecked != 1 {
		t.Errorf("report %+v, %v", report, err)
	}
	var b bytes.Buffer
	if err := l.Export(ctx, &b); err != nil {
		t.Fatal(err)
	}
	if report, err := Verify(bytes.NewReader(b.Bytes()), trust); err != nil || report.First != 1002 || report.Vouched != 1202 {
		t.Errorf("export: report %+v, %v", report, err)
	}
	page, err := l.Query(ctx, Filter{Kind: Retention})
	if err != nil || len(page.Items) != 1 || page.Items[0].Count != 1001 {
		t.Errorf("retention's record: %+v, %v", page, err)
	}
	var rows int
	if err := l.db.QueryRow(`SELECT count(*) FROM record`).Scan(&rows); err != nil || rows != 201 {
		t.Errorf("%d rows are left, %v", rows, err)
	}
	if again, err := l.Prune(ctx, noon.Add(1000*time.Minute)); err != nil || again != 0 {
		t.Errorf("%d pruned again, %v", again, err)
	}
	if n, err := l.Prune(ctx, noon.AddDate(20, 0, 0)); err != nil || n != 200 {
		t.Errorf("%d pruned, %v: the last record always stays", n, err)
	}
	if got := collect(t, l.Undecided(ctx)); len(got) != 0 {
		t.Errorf("%d records of undecided attempts, all pruned, such as %s", len(got), kept.Attempt)
	}
	verify(t, l)

	// Who cuts the head off himself has no note to show for it.
	forged := bytes.Join(bytes.SplitAfter(b.Bytes(), []byte("\n"))[10:], nil)
	header := bytes.SplitAfter(b.Bytes(), []byte("\n"))[0]
	var bad *BadRecord
	if _, err := Verify(bytes.NewReader(append(header, forged...)), trust); !errors.As(err, &bad) || bad.Seq != 1002 {
		t.Errorf("a cut head: %v", err)
	}
}

func TestRetentionRefusesALogThatDoesNotVerify(t *testing.T) {
	l := open(t, testConfig(t))
	for range 20 {
		put(t, l, begun("bill@acme.example", noon))
	}
	tamper(t, l, `UPDATE record SET body = replace(body, 'acme', 'ecma') WHERE seq = 9`)
	var bad *BadRecord
	if n, err := l.Prune(context.Background(), time.Now()); !errors.As(err, &bad) || bad.Seq != 9 || n != 0 {
		t.Errorf("%d pruned, %v", n, err)
	}
}

// tamper does what somebody with the file and an SQLite shell can.
func tamper(tb testing.TB, l *Log, statement string) {
	tb.Helper()
	const guard = `CREATE TRIGGER record_is_never_changed BEFORE UPDATE ON record BEGIN
    SELECT raise(ABORT, 'the audit log is append-only');
END`
	for _, s := range []string{`DROP TRIGGER record_is_never_changed`, statement, guard} {
		if _, err := l.store.db.Exec(s); err != nil {
			tb.Fatal(err)
		}
	}
}

// memory is a sink that keeps what it gets.
type memory struct {
	mu  sync.Mutex
	got [][]byte
	err error
}

func (m *memory) Send(_ context.Context, signed []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	m.got = append(m.got, signed)
	return nil
}

func (m *memory) notes() [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.got
}

func TestACheckpointIsSentAgainUntilItIsTaken(t *testing.T) {
	c := testConfig(t)
	file := FileSink(filepath.Join(t.TempDir(), "checkpoints"))
	away := &memory{err: errors.New("the webhook is down")}
	c.Sinks = []Sink{file, away}
	l := open(t, c)
	ctx := context.Background()
	if err := l.Checkpoint(ctx); err == nil || l.Status().Checkpoint == nil {
		t.Errorf("nobody said that a sink is down: %v, %+v", err, l.Status())
	}
	away.err = nil
	if err := l.Checkpoint(ctx); err != nil || l.Status().Checkpoint != nil || len(away.got) != 1 {
		t.Errorf("%v, %+v, %d notes", err, l.Status(), len(away.got))
	}
	if err := l.Checkpoint(ctx); err != nil || len(away.got) != 1 {
		t.Errorf("nothing is new: %v, %d notes", err, len(away.got))
	}
	// A kill tears the file; the next checkpoint can be read all the same.
	f, err := os.OpenFile(string(file), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.Write(away.got[0][:60])
	f.Close()
	put(t, l, begun("bill@acme.example", noon))
	if err := l.Checkpoint(ctx); err != nil {
		t.Fatal(err)
	}
	kept, err := os.Open(string(file))
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	notes, err := ReadCheckpoints(kept)
	if err != nil || len(notes) != 3 {
		t.Fatalf("%d notes, %v", len(notes), err)
	}
	for _, n := range notes {
		if _, err := OpenCheckpoint(n, l.PublicKey()); err != nil {
			t.Errorf("%v:\n%s", err, n)
		}
	}
}

func TestTheClockMayGoAnyWay(t *testing.T) {
	c := testConfig(t)
	var now atomic.Int64
	c.Now = func() time.Time { return time.Unix(now.Load(), 0) }
	now.Store(noon.Unix())
	l := open(t, c)
	for i, step := range []time.Duration{0, time.Hour, -48 * time.Hour, 240 * time.Hour, -time.Second, 0, -240 * time.Hour} {
		now.Add(int64(step / time.Second))
		r := begun("bill@acme.example", time.Time{})
		if at := put(t, l, r); at.Seq != int64(i+2) {
			t.Errorf("record %d has number %d", i, at.Seq)
		}
		if err := l.Checkpoint(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	if r := verify(t, l); r.Last != 8 || r.Vouched != 8 {
		t.Errorf("report %+v", r)
	}
	page, err := l.Query(context.Background(), Filter{Agent: "bill@acme.example", Limit: 3})
	if err != nil || len(page.Items) != 3 {
		t.Fatal(err)
	}
	for page.Next != "" {
		more, err := l.Query(context.Background(), Filter{Agent: "bill@acme.example", Limit: 3, Cursor: page.Next})
		if err != nil {
			t.Fatal(err)
		}
		page.Items, page.Next = append(page.Items, more.Items...), more.Next
	}
	if len(page.Items) != 7 {
		t.Errorf("%d of 7 records found by time", len(page.Items))
	}
}

func TestCheckpointsAndRetentionByTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConfig(t)
		sink := &memory{}
		c.Sinks, c.CheckpointEvery, c.Retention = []Sink{sink}, time.Minute, 24*time.Hour
		l, err := Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		if n := len(sink.notes()); n != 1 {
			t.Errorf("%d checkpoints after a minute", n)
		}
		for range 30 {
			put(t, l, begun("bill@acme.example", time.Time{}))
			time.Sleep(time.Hour)
		}
		synctest.Wait()
		if r := verify(t, l); r.First < 4 {
			t.Errorf("the first record is %d after thirty hours of a day's retention, %v", r.First, l.Status().Retention)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}
