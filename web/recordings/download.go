package recordings

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"offrecord/web/platform/upstream"
)

// Download is a recording as it comes. When the connection breaks, Read goes on where it was: by a range where the platform
// takes one and the file is shown to be the same, else by reading it again and passing over what was read, which has to be the
// same bytes. Nothing is kept in memory. It isn't for concurrent use, but for Close.
type Download struct {
	c    *Client
	ctx  context.Context
	stop context.CancelFunc // ends the whole
	name []string

	body   io.ReadCloser
	cancel context.CancelFunc // ends this connection
	size   int64              // -1: not said
	tag    string             // shows by If-Range that the file is the same; empty: nothing does
	ranges bool               // worth asking for
	at     int64              // bytes read
	sum    uint32             // of what was read, CRC-32C

	resumed  int
	failures int   // one after another
	mark     int64 // where the last break was
	err      error
}

const (
	breaks = 5         // breaks in a row that are forgiven
	stride = 256 << 10 // bytes that end a row
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Open begins to fetch a recording by its file's name. The context is for the whole download.
func (c *Client) Open(ctx context.Context, name string) (*Download, error) {
	ctx, stop := context.WithCancel(ctx)
	d := &Download{c: c, ctx: ctx, stop: stop, name: append([]string{string(Files)}, strings.Split(name, "/")...), size: -1, ranges: true}
	if err := d.connect(); err != nil {
		stop()
		return nil, err
	}
	return d, nil
}

// Size is the whole file's, in bytes, as far as the platform said it; else -1.
func (d *Download) Size() int64 { return d.size }

// Resumed is how often the connection broke and Read went on.
func (d *Download) Resumed() int { return d.resumed }

// Close ends the download.
func (d *Download) Close() error {
	d.stop()
	if d.body == nil {
		return nil
	}
	return d.body.Close()
}

const fetching = "fetch recording"

// Read implements io.Reader. It returns io.EOF only at the end of the whole file.
func (d *Download) Read(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	for {
		stalled := time.AfterFunc(stallTime, d.cancel)
		n, err := d.body.Read(p)
		stalled.Stop()
		if n > 0 {
			d.sum = crc32.Update(d.sum, castagnoli, p[:n])
			d.at += int64(n)
			if d.at > maxFile || d.size >= 0 && d.at > d.size {
				d.err = d.failed(ErrUnreadable, errors.New("it is longer than it said"))
				return 0, d.err
			}
		}
		if err == io.EOF && d.size >= 0 && d.at < d.size {
			err = io.ErrUnexpectedEOF
		}
		switch {
		case n > 0:
			if err == io.EOF {
				d.err = io.EOF // for the next Read
			}
			return n, nil // a break is met again by the next Read
		case err == io.EOF:
			d.err = io.EOF
		case err != nil:
			d.err = d.resume(upstream.Broken(err))
		}
		if d.err != nil {
			return 0, d.err
		}
	}
}

func (d *Download) failed(err, cause error) error {
	return &Error{Doing: fetching, Sent: true, Err: err, Cause: cause}
}

// resume goes on after a break.
func (d *Download) resume(cause error) error {
	d.body.Close()
	d.cancel()
	if err := d.ctx.Err(); err != nil {
		return d.failed(ErrNoAnswer, err)
	}
	if d.at-d.mark >= stride {
		d.failures = 0
	}
	d.mark = d.at
	if d.failures++; d.failures > breaks {
		return d.failed(ErrNoAnswer, fmt.Errorf("the connection broke %d times, at last because %w", d.resumed+1, cause))
	}
	d.resumed++
	select { // a platform in trouble isn't pressed
	case <-time.After(retryFirst << (d.failures - 1)):
	case <-d.ctx.Done():
		return d.failed(ErrNoAnswer, d.ctx.Err())
	}
	return d.connect()
}

// connect asks for the file, or for the rest of it, and leaves the body where reading goes on.
func (d *Download) connect() error {
	type opened struct {
		resp   *http.Response
		cancel context.CancelFunc
	}
	got, err := repeat(d.ctx, d.c, func(ctx context.Context) (opened, error) {
		ctx, cancel := context.WithCancel(ctx)
		late := time.AfterFunc(tryTime, cancel)
		resp, err := d.ask(ctx)
		late.Stop()
		if err != nil {
			cancel()
			return opened{}, err
		}
		return opened{resp, cancel}, nil
	})
	if err != nil {
		return err
	}
	d.body, d.cancel = got.resp.Body, got.cancel
	if err := d.place(got.resp); err != nil {
		d.body.Close()
		d.cancel()
		return err
	}
	return nil
}

func (d *Download) ask(ctx context.Context) (*http.Response, error) {
	r, err := d.c.request(ctx, http.MethodGet, "", d.name...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", fetching, err)
	}
	if d.at > 0 && d.ranges {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", d.at))
		if d.tag != "" {
			r.Header.Set("If-Range", d.tag)
		}
	}
	resp, err := d.c.send(fetching, r)
	var refused *Error
	if errors.As(err, &refused) && refused.Status == http.StatusRequestedRangeNotSatisfiable {
		return nil, d.failed(ErrChanged, nil)
	}
	return resp, err
}

// place looks at where an answer begins.
func (d *Download) place(resp *http.Response) error {
	switch {
	case resp.StatusCode == http.StatusNoContent, strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html"):
		return d.failed(ErrUnreadable, errors.New("it isn't a recording"))
	case resp.StatusCode == http.StatusPartialContent:
		from, size, ok := contentRange(resp.Header.Get("Content-Range"))
		if !ok || from != d.at || d.at == 0 {
			return d.failed(ErrUnreadable, errors.New("it is another part of the recording than was asked for"))
		}
		if size != d.size {
			return d.failed(ErrChanged, nil)
		}
		return nil
	}
	size := resp.ContentLength // -1 if it isn't said
	if d.at == 0 {
		d.size, d.tag = size, validator(resp.Header)
		// Without a validator, the same size is all that shows the file to be the same.
		d.ranges = resp.Header.Get("Accept-Ranges") != "none" && size >= 0
		return nil
	}
	d.ranges = false // it was asked for and not given
	if size != d.size {
		return d.failed(ErrChanged, nil)
	}
	return d.skip()
}

// skip passes over what was read before.
func (d *Download) skip() error {
	sum, buf := uint32(0), make([]byte, 64<<10)
	for left := d.at; left > 0; {
		stalled := time.AfterFunc(stallTime, d.cancel)
		n, err := d.body.Read(buf[:min(left, int64(len(buf)))])
		stalled.Stop()
		sum = crc32.Update(sum, castagnoli, buf[:n])
		if left -= int64(n); err != nil && left > 0 {
			if err == io.EOF {
				return d.failed(ErrChanged, nil)
			}
			return d.resume(upstream.Broken(err))
		}
	}
	if sum != d.sum {
		return d.failed(ErrChanged, nil)
	}
	return nil
}

// validator is what If-Range may be asked with (RFC 9110, 13.1.5): a strong entity tag, else nothing, since a date in whole
// seconds is only strong if it is old enough, which can't be known by another's clock.
func validator(h http.Header) string {
	if tag := h.Get("ETag"); strings.HasPrefix(tag, `"`) {
		return tag
	}
	return ""
}

// contentRange reads "bytes 100-199/200".
func contentRange(s string) (from, size int64, ok bool) {
	span, total, ok1 := strings.Cut(strings.TrimPrefix(s, "bytes "), "/")
	first, _, ok2 := strings.Cut(span, "-")
	from, err1 := strconv.ParseInt(first, 10, 64)
	size, err2 := strconv.ParseInt(total, 10, 64)
	return from, size, ok1 && ok2 && err1 == nil && err2 == nil && strings.HasPrefix(s, "bytes ")
}
