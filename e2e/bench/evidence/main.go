// Command evidence measures how fast recordings are checked, against ffmpeg's silencedetect on the same files in the same run,
// and what memory it takes, from one minute to ten hours. It prints the figures and holds them against the bars; a missed bar is
// exit code 1.
//
// How it is fair. Both are processes of their own on one core, the same (taskset), in turns, and read the same files from the same
// disk. What counts is the processor's time that the system says a process took, so that what else runs on the machine doesn't.
// Ours does all of a run: it takes the pauses from a log, lists, reads, listens closely around each pause, lays the clocks over each
// other, judges, and keeps what it found in its database. ffmpeg does silencedetect and nothing else. What each takes to start is
// measured with a file of a second, and taken off for both. Nothing leaves the machine.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"offrecord/app/recording"
	"offrecord/e2e/bench/figures"
	"offrecord/web/audit"
	"offrecord/web/evidence"
	"offrecord/web/evidence/truth"
	"offrecord/web/evidence/wav"
	"offrecord/web/store"
)

// The bars.
const (
	fasterLeast = 5   // times ffmpeg's speed, over all files
	flatMost    = 1.1 // the peak memory of ten hours, against that of a minute
)

// formats are the files: what contact centers have, and how long each is.
var formats = []struct {
	name   string
	format wav.Format
	length time.Duration
}{
	{"PCM 16 bit, 8 kHz, mono", wav.Format{Codec: wav.PCM, Bits: 16, Rate: 8000, Channels: 1}, time.Hour},
	{"µ-law, 8 kHz, mono", wav.Format{Codec: wav.MuLaw, Bits: 8, Rate: 8000, Channels: 1}, time.Hour},
	{"µ-law, 8 kHz, stereo", wav.Format{Codec: wav.MuLaw, Bits: 8, Rate: 8000, Channels: 2}, time.Hour},
	{"A-law, 8 kHz, mono", wav.Format{Codec: wav.ALaw, Bits: 8, Rate: 8000, Channels: 1}, time.Hour},
	{"PCM 8 bit, 8 kHz, mono", wav.Format{Codec: wav.PCM, Bits: 8, Rate: 8000, Channels: 1}, time.Hour},
	{"PCM 16 bit, 16 kHz, stereo", wav.Format{Codec: wav.PCM, Bits: 16, Rate: 16000, Channels: 2}, 20 * time.Minute},
	{"PCM 16 bit, 48 kHz, mono", wav.Format{Codec: wav.PCM, Bits: 16, Rate: 48000, Channels: 1}, 20 * time.Minute},
}

// A pause of half a minute each ten minutes, as on a busy payments line.
const (
	pauseEvery = 10 * time.Minute
	pauseAfter = 4 * time.Minute
	pauseFor   = 30 * time.Second
)

var began = time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)

func main() {
	rounds := flag.Int("rounds", 5, "rounds; each is one run of ours and one of ffmpeg over each file")
	child := flag.String("child", "", "what a child does: check FILE, or stream DURATION")
	flag.Parse()
	var err error
	missed := 0
	switch *child {
	case "check":
		err = check(flag.Arg(0))
	case "stream":
		err = stream(flag.Arg(0), os.Stdout)
	default:
		missed, err = run(context.Background(), *rounds, os.Stdout)
	}
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "evidence:", err)
		os.Exit(2)
	case missed > 0:
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds int, out io.Writer) (missed int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	for _, tool := range []string{"ffmpeg", "taskset"} {
		if _, err := exec.LookPath(tool); err != nil {
			return 0, fmt.Errorf("%s is missing: on Debian, apt-get install %s", tool, map[string]string{"ffmpeg": "ffmpeg", "taskset": "util-linux"}[tool])
		}
	}
	dir, err := os.MkdirTemp("", "offrecord-evidence")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	tiny := filepath.Join(dir, "tiny.wav")
	if err := write(tiny, formats[0].format, time.Second, 0); err != nil {
		return 0, err
	}
	hours, our, their := 0.0, 0.0, 0.0
	var oursAtStart, theirsAtStart figures.Series
	for range 2 * rounds {
		took, err := checked(ctx, tiny)
		if err != nil {
			return 0, err
		}
		oursAtStart = append(oursAtStart, took)
		if took, err = ffmpeg(ctx, tiny); err != nil {
			return 0, err
		}
		theirsAtStart = append(theirsAtStart, took)
	}
	ourStart, theirStart := oursAtStart.Median(), theirsAtStart.Median()
	fmt.Fprintf(out, "hours of sound checked a second, on one core, median of %d   offrecord   ffmpeg   times\n", rounds)
	for i, f := range formats {
		file := filepath.Join(dir, fmt.Sprintf("%d.wav", i))
		if err := write(file, f.format, f.length, uint64(i)); err != nil {
			return 0, err
		}
		var a, b figures.Series
		for range rounds {
			took, err := checked(ctx, file)
			if err != nil {
				return 0, err
			}
			a = append(a, took-ourStart)
			if took, err = ffmpeg(ctx, file); err != nil {
				return 0, err
			}
			b = append(b, took-theirStart)
		}
		if err := os.Remove(file); err != nil {
			return 0, err
		}
		h := f.length.Hours()
		hours, our, their = hours+h, our+a.Median(), their+b.Median()
		fmt.Fprintf(out, "%-55s  %9.1f  %8.2f  %6.1f\n", f.name, h/a.Median(), h/b.Median(), b.Median()/a.Median())
	}
	fmt.Fprintf(out, "%-55s  %9.1f  %8.2f  %6.1f\n\n", "all", hours/our, hours/their, their/our)

	minute, err := peak(ctx, time.Minute)
	if err != nil {
		return 0, err
	}
	long, err := peak(ctx, 10*time.Hour)
	if err != nil {
		return 0, err
	}
	fmt.Fprintf(out, "Peak memory of a run, MiB: a minute of sound %.1f, ten hours of it %.1f\n\n", minute, long)
	return figures.WriteBars(out, []figures.Bar{
		{Name: "times ffmpeg -af silencedetect", Got: their / our, Least: fasterLeast, Digits: 1, Note: fmt.Sprintf("the starts taken off: ours %.0f ms, ffmpeg's %.0f ms", 1000*ourStart, 1000*theirStart)},
		{Name: "peak memory of ten hours against a minute", Got: long / minute, Most: flatMost, Digits: 2},
	})
}

// write makes a file.
func write(file string, f wav.Format, length time.Duration, seed uint64) error {
	s := truth.Scene{Seed: seed, Format: f, Length: length, Noise: -60, Speech: -22}
	for at := pauseAfter; at < length; at += pauseEvery {
		s.Pauses = append(s.Pauses, truth.Pause{From: at, To: at + pauseFor})
	}
	w, err := os.Create(file)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, s.Reader(nil))
	return errors.Join(err, w.Close())
}

// core is where both run.
const core = "0"

// ffmpeg runs silencedetect over a file and returns the seconds that it took of the processor.
func ffmpeg(ctx context.Context, file string) (float64, error) {
	cmd := exec.CommandContext(ctx, "taskset", "-c", core, "ffmpeg", "-hide_banner", "-nostats", "-loglevel", "error", "-threads", "1", "-i", file, "-af", "silencedetect=noise=-50dB:d=0.3", "-f", "null", "-")
	if said, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("ffmpeg: %w: %s", err, said)
	}
	return took(cmd), nil
}

func took(cmd *exec.Cmd) float64 {
	return (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
}

func ourself(ctx context.Context, args ...string) (said string, seconds float64, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", 0, err
	}
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", core, self, "-child"}, args...)...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return "", 0, fmt.Errorf("checking: %w: %s", err, complaints.String())
	}
	return strings.TrimSpace(string(out)), took(cmd), nil
}

// checked makes a run over a file and returns the seconds that it took of the processor.
func checked(ctx context.Context, file string) (float64, error) {
	_, seconds, err := ourself(ctx, "check", file)
	return seconds, err
}

// peak is the most memory that a process takes in which a recording of this length is checked, in MiB.
func peak(ctx context.Context, length time.Duration) (float64, error) {
	said, _, err := ourself(ctx, "stream", length.String())
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(said, 64)
}

// shelf is an archive of one recording.
type shelf struct {
	recording evidence.Recording
	open      func() (io.ReadCloser, error)
}

func (s shelf) List(context.Context, time.Time, time.Time) iter.Seq2[evidence.Recording, error] {
	return func(yield func(evidence.Recording, error) bool) { yield(s.recording, nil) }
}
func (s shelf) Open(context.Context, string) (io.ReadCloser, error) { return s.open() }
func (s shelf) Delete(context.Context, string) error                { return errors.New("nothing is deleted here") }

// log has a pause and a resume for each that is in the recording: the first, and one each so often.
type log struct{ first, every, length time.Duration }

func (l log) Query(_ context.Context, f audit.Filter) (p audit.Page, err error) {
	if f.Kind != audit.AttemptDecided {
		return p, nil
	}
	for at := l.first; at+pauseFor < l.length; at += l.every {
		for action, on := range map[recording.Action]time.Duration{recording.Pause: at, recording.Resume: at + pauseFor} {
			effect := began.Add(on)
			p.Items = append(p.Items, audit.Entry{Seq: int64(len(p.Items) + 1), Record: audit.Record{Kind: audit.AttemptDecided, Time: effect.Add(60 * time.Millisecond), Agent: audit.NewID("bill@acme.example"),
				Platform: audit.NewText("acme"), Attempt: uuid.New(), Action: action, Route: recording.RouteServer, Outcome: recording.Confirmed, RequestedAt: effect.Add(-60 * time.Millisecond)}})
		}
	}
	return p, nil
}

// through makes a run over one recording.
func through(pauses log, length time.Duration, open func() (io.ReadCloser, error)) error {
	ctx := context.Background()
	db, err := store.Open(ctx, "")
	if err != nil {
		return err
	}
	defer db.Close()
	c := evidence.New(evidence.Options{Store: evidence.NewStore(db), Audit: pauses, Platforms: []evidence.Platform{{Name: "acme", Agents: []evidence.Agent{{Email: "bill@acme.example", Platform: "acme", ID: "bill"}},
		Archive: shelf{evidence.Recording{Name: "R1.wav", AgentID: "bill", Start: began, Duration: length}, open}}}})
	defer c.Close()
	run, err := c.Run(ctx, evidence.Request{From: began.Add(-time.Hour), To: began.Add(length + time.Hour)})
	if err != nil {
		return err
	}
	if silent := run.Verdicts[evidence.Silent]; silent != run.Windows || length > pauses.first+pauseFor && silent == 0 {
		return fmt.Errorf("of %d pauses, which are all silent, %d are called so: %v", run.Windows, silent, run.Verdicts)
	}
	return nil
}

func check(file string) error {
	info, err := os.Open(file)
	if err != nil {
		return err
	}
	head, err := wav.NewReader(info)
	if err != nil {
		return err
	}
	frames, _ := head.Promised()
	length := head.Format().Duration(frames)
	info.Close()
	return through(log{pauseAfter, pauseEvery, length}, length, func() (io.ReadCloser, error) { return os.Open(file) })
}

// stream checks a recording that is made while it is read: a minute with a pause in it, and then the same minute without one, over
// and over.
func stream(length string, out io.Writer) error {
	d, err := time.ParseDuration(length)
	if err != nil {
		return err
	}
	const after = 15 * time.Second
	s := truth.Scene{Seed: 1, Format: wav.Format{Codec: wav.MuLaw, Bits: 8, Rate: 8000, Channels: 1}, Length: time.Minute, Noise: -60, Speech: -22, Streamed: true}
	plain, err := io.ReadAll(s.Reader(nil))
	if err != nil {
		return err
	}
	s.Pauses = []truth.Pause{{From: after, To: after + pauseFor}}
	paused, err := io.ReadAll(s.Reader(nil))
	if err != nil {
		return err
	}
	const head = 44
	err = through(log{after, 24 * time.Hour, d}, d, func() (io.ReadCloser, error) {
		return io.NopCloser(&again{first: paused, body: plain[head:], left: int64((d - time.Minute) / time.Second * 8000)}), nil
	})
	if err != nil {
		return err
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		if kilobytes, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(kilobytes), " kB"), 64)
			fmt.Fprintf(out, "%.2f\n", n/1024)
			return err
		}
	}
	return errors.New("the system doesn't say how much memory was taken")
}

// again plays something, and then something else over and over.
type again struct {
	first, body []byte
	at          int
	left        int64
}

func (a *again) Read(b []byte) (int, error) {
	if len(a.first) > 0 {
		n := copy(b, a.first)
		a.first = a.first[n:]
		return n, nil
	}
	if a.left == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(int64(len(b)), a.left)], a.body[a.at:])
	a.at = (a.at + n) % len(a.body)
	a.left -= int64(n)
	return n, nil
}
