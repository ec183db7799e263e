package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/cheggaaa/pb/v3"
	"github.com/mattn/go-isatty"

	"offrecord/web/audit"
)

// failed says what went wrong and returns the exit code.
func failed(complaints io.Writer, err error) int {
	fmt.Fprintf(complaints, "offrecord: %s.\n", printable(err.Error()))
	return finding
}

func misused(complaints io.Writer, err error) int {
	fmt.Fprintf(complaints, "offrecord: %s.\n", printable(err.Error()))
	return usage
}

// printable is a platform's text as a terminal may have it: no control characters, whose sequences move cursors and change
// titles, and nothing that reverses or hides what stands beside it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co, unicode.Cs) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// progress is a bar on a terminal, and nothing elsewhere. It goes to where complaints go: what is printed stays what was asked for.
type progress struct{ bar *pb.ProgressBar }

// counted is a bar of so many things; of bytes if they are. Without a total it counts.
func counted(to io.Writer, what string, total int64, bytes bool) progress {
	f, ok := to.(*os.File)
	if !ok || !isatty.IsTerminal(f.Fd()) {
		return progress{}
	}
	template := `{{string . "what"}} {{counters .}} {{bar .}} {{rtime .}}`
	if total <= 0 {
		template = `{{string . "what"}} {{counters .}} {{etime .}}`
	}
	bar := pb.New64(total).SetTemplateString(template).Set("what", what).Set(pb.Bytes, bytes).SetWriter(f).Set(pb.CleanOnFinish, true)
	return progress{bar.Start()}
}

func (p progress) add(n int64) {
	if p.bar != nil {
		p.bar.Add64(n)
	}
}

// Write counts bytes.
func (p progress) Write(b []byte) (int, error) {
	p.add(int64(len(b)))
	return len(b), nil
}

func (p progress) end() {
	if p.bar != nil {
		p.bar.Finish()
	}
}

// bar counts what is printed line by line, unless the lines are seen to come.
func bar(out, complaints io.Writer, what string, total int) progress {
	if f, ok := out.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		return progress{}
	}
	return counted(complaints, what, int64(total), false)
}

// each prints what comes, and ends the print also after an error, so that what was printed can be read.
func each[T any](all iter.Seq2[T, error], limit int, p progress, add func(T) error, end func() error) (err error) {
	defer p.end()
	count := 0
	for one, err2 := range all {
		if err = err2; err != nil {
			break
		}
		if err = add(one); err != nil {
			break
		}
		p.add(1)
		if count++; count == limit {
			break
		}
	}
	return errors.Join(err, end())
}

// table prints lines of columns, as wide as their heads or what is usual for them.
type table struct {
	to     *bufio.Writer
	widths []int
}

func newTable(w io.Writer, columns ...string) table {
	t := table{to: bufio.NewWriter(w)}
	var names []any
	for _, c := range columns {
		name, width, _ := strings.Cut(c, ":")
		n, _ := strconv.Atoi(width)
		t.widths, names = append(t.widths, max(n, len(name))), append(names, name)
	}
	t.line(names...)
	return t
}

func (t table) line(cells ...any) error {
	for i, c := range cells {
		text := printable(fmt.Sprint(c))
		if i == len(cells)-1 {
			_, err := fmt.Fprintln(t.to, text)
			return err
		}
		fmt.Fprintf(t.to, "%-*s  ", t.widths[i], text)
	}
	return nil
}

// shown is a time as tables have it.
func shown(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format("2006-01-02 15:04:05 -07:00")
}

// operator is who runs the command, and on which machine.
func operator() audit.ID {
	where := "unknown"
	if host, err := os.Hostname(); err == nil {
		where = host
	}
	who := "unknown"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	return audit.NewID(who + "@" + where)
}
