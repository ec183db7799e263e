package audit

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"offrecord/web/secret"
)

// The children are this test binary again: childEnv says which, the rest is what they need.
const (
	childEnv  = "OFFRECORD_AUDIT_CHILD"
	dirEnv    = "OFFRECORD_AUDIT_DIR"
	keyEnv    = "OFFRECORD_AUDIT_KEY"
	cyclesEnv = "OFFRECORD_KILL_CYCLES" // more than the ordinary number, for the long run
)

func runChild(what string) {
	switch what {
	case "kill":
		killChild()
	case "full":
		fullChild()
	}
}

func childConfig(dir string, key secret.String) Config {
	return Config{Store: filepath.Join(dir, "log.db"), Spool: filepath.Join(dir, "log.spool"), Key: key, Retry: 2 * time.Millisecond,
		Sinks: []Sink{FileSink(filepath.Join(dir, "checkpoints"))}, CheckpointEvery: 15 * time.Millisecond, reserve: 1 << 16}
}

// killChild appends as fast as it can, from eight sides, with a store that now and then fails, and says what was acknowledged.
func killChild() {
	c := childConfig(os.Getenv(dirEnv), secret.New(os.Getenv(keyEnv)))
	c.fault = func() error {
		if rand.IntN(60) == 0 {
			return errors.New("a fault, for the test")
		}
		return nil
	}
	l, err := Open(context.Background(), c)
	for err != nil && strings.Contains(err.Error(), "for the test") { // a merge at the start met the fault
		l, err = Open(context.Background(), c)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				r := begun("bill@acme.example", time.Now())
				for _, r := range []Record{r, decided(r, "confirmed")} {
					at, err := l.Append(context.Background(), r)
					if err != nil {
						fmt.Fprintln(os.Stderr, "child:", err)
						os.Exit(1)
					}
					os.Stdout.WriteString(fmt.Sprintf("%d %s %s\n", at.Seq, r.Attempt, r.Kind))
				}
			}
		})
	}
	wg.Wait()
}

// TestKilledAtAnyMoment kills a process that writes the log, with SIGKILL, again and again. It shows what a kill can do; that the disk
// keeps what it was told to sync, through a loss of power, is the disk's and the file system's promise.
func TestKilledAtAnyMoment(t *testing.T) {
	cycles := 40
	if s := os.Getenv(cyclesEnv); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("%s: %v", cyclesEnv, err)
		}
		cycles = n
	}
	dir, key := t.TempDir(), testKey(t)
	public, err := PublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	acked := map[string]int64{} // attempt and kind → number, 0 from the spool
	spooled, early := 0, 0
	for cycle := range cycles {
		got := killOne(t, dir, key)
		if len(got) == 0 {
			early++
		}
		for what, seq := range got {
			acked[what] = seq
			if seq == 0 {
				spooled++
			}
		}
		if cycle%8 == 7 {
			checkKilled(t, dir, public, got)
		}
	}
	l := open(t, childConfig(dir, key)) // merges what is left
	counts, merges, records := map[string]int{}, 0, 0
	for e, err := range l.each(context.Background(), `SELECT seq, body FROM record ORDER BY seq`) {
		if err != nil {
			t.Fatal(err)
		}
		records++
		if e.Kind == SpoolMerged {
			merges++
		}
		if e.Action == "" {
			continue
		}
		what := e.Attempt.String() + " " + string(e.Kind)
		counts[what]++
		if seq := acked[what]; seq != 0 && seq != e.Seq {
			t.Errorf("%s was acknowledged as %d and is %d", what, seq, e.Seq)
		}
	}
	lost, doubled := 0, 0
	for what := range acked {
		if counts[what] == 0 {
			lost++
		}
	}
	for _, n := range counts {
		if n > 1 {
			doubled++
		}
	}
	if lost > 0 || doubled > 0 {
		t.Errorf("%d acknowledged records lost, %d doubled", lost, doubled)
	}
	report, notes := checkCheckpoints(t, &l.Reader, dir, public)
	t.Logf("%d kills (%d before the first record): %d records acknowledged, %d of them by the spool; %d in the log, %d merges, %d checkpoints kept elsewhere, vouched for to %d; lost %d, doubled %d",
		cycles, early, len(acked), spooled, records, merges, notes, report.Vouched, lost, doubled)
}

// killOne runs a child until a random moment and returns what it acknowledged.
func killOne(t *testing.T, dir string, key secret.String) map[string]int64 {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=kill", dirEnv+"="+dir, keyEnv+"="+key.Reveal())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(time.Duration(rand.IntN(300))*time.Millisecond, func() { cmd.Process.Kill() })
	defer kill.Stop()
	acked := map[string]int64{}
	for s := bufio.NewScanner(out); s.Scan(); {
		seq, what, ok := strings.Cut(s.Text(), " ")
		n, err := strconv.ParseInt(seq, 10, 64)
		if !ok || err != nil || !strings.Contains(what, " attempt_") {
			continue // torn by the kill
		}
		acked[what] = n
	}
	if err := cmd.Wait(); err == nil || stderr.Len() > 0 {
		t.Fatalf("the child ended by itself: %v\n%s", err, &stderr)
	}
	return acked
}

// checkKilled verifies what a kill has left, offline, before anything mends it.
func checkKilled(t *testing.T, dir, public string, got map[string]int64) {
	t.Helper()
	r, err := OpenReader(filepath.Join(dir, "log.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	checkCheckpoints(t, r, dir, public)
	for what, seq := range got {
		if seq == 0 {
			continue
		}
		var n int
		id, kind, _ := strings.Cut(what, " ")
		if err := r.db.QueryRow(`SELECT count(*) FROM record WHERE seq = ? AND attempt = ? AND kind = ?`, seq, id, kind).Scan(&n); err != nil || n != 1 {
			t.Errorf("%s, acknowledged as %d, isn't there: %v", what, seq, err)
		}
	}
}

func checkCheckpoints(t *testing.T, r *Reader, dir, public string) (Report, int) {
	t.Helper()
	trust := Trust{Keys: []string{public}}
	if f, err := os.Open(filepath.Join(dir, "checkpoints")); err == nil {
		defer f.Close()
		if trust.Checkpoints, err = ReadCheckpoints(f); err != nil {
			t.Fatal(err)
		}
	}
	report, err := r.Verify(context.Background(), trust)
	if err != nil {
		t.Fatal(err)
	}
	return report, len(trust.Checkpoints)
}

// fullChild fills what it may write, by a limit on the size of files (no right is needed for that, and a full disk answers in the same
// place), and then has room again.
func fullChild() {
	signal.Ignore(syscall.SIGXFSZ)
	limit := func(n uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: ^uint64(0)}); err != nil {
			fmt.Println("limit:", err)
			os.Exit(1)
		}
	}
	c := childConfig(os.Getenv(dirEnv), secret.New(os.Getenv(keyEnv)))
	c.Sinks, c.CheckpointEvery, c.Retry = nil, time.Hour, 50*time.Millisecond
	l, err := Open(context.Background(), c)
	if err != nil {
		fmt.Println("open:", err)
		os.Exit(1)
	}
	limit(300 << 10)
	var places []Place
	stored, spooled := 0, 0
	for {
		at, err := l.Append(context.Background(), begun("bill@acme.example", time.Now()))
		if errors.Is(err, ErrNotWritten) {
			places = append(places, "nowhere")
			break
		}
		if err != nil {
			fmt.Println("append:", err)
			os.Exit(1)
		}
		if n := len(places); n == 0 || places[n-1] != at.Place {
			places = append(places, at.Place)
		}
		if at.Place == InStore {
			stored++
		} else {
			spooled++
		}
	}
	limit(^uint64(0))
	for {
		at, err := l.Append(context.Background(), Record{Kind: SignOut})
		if err == nil && at.Place == InStore {
			break
		}
	}
	report, err := l.Verify(context.Background(), Trust{})
	fmt.Println(places[0], places[len(places)-1], stored, spooled, report.Last, err, l.Close())
}

func TestADiskThatIsFull(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	key := testKey(t)
	cmd.Env = append(os.Environ(), childEnv+"=full", dirEnv+"="+t.TempDir(), keyEnv+"="+key.Reveal())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var first, last, verified, closed string
	var stored, spooled, total int
	if _, err := fmt.Sscan(string(out), &first, &last, &stored, &spooled, &total, &verified, &closed); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if first != "store" || last != "nowhere" || spooled == 0 || verified != "<nil>" || closed != "<nil>" || total < stored+spooled+3 {
		t.Errorf("%s", out)
	}
	t.Logf("%d records in the store, then %d in the spool, then none; with room again all %d verify", stored, spooled, total)
}
