package recordings

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/retrypolicy"

	"offrecord/web/platform"
	"offrecord/web/platform/upstream"
	"offrecord/web/secret"
)

// Settings are one tenant's.
type Settings struct {
	// BaseURL is the tenant's platform address, for example https://vcc-na4.8x8.com ("Platform URL Guide").
	BaseURL *url.URL
	// Tenant is the tenant's name, the user of the API's basic authentication.
	Tenant string
	// DataToken is the tenant's Data Request Token from Configuration Manager, its password.
	DataToken secret.String
	// Format is what answers are asked for in; XML if empty.
	Format Format
}

// Client asks one tenant's Recordings API. Its methods may be called concurrently.
type Client struct {
	set   Settings
	up    *upstream.Client
	retry retrypolicy.RetryPolicy[any]
}

// Bounds of what is asked and read.
const (
	tryTime    = time.Minute // for one request and its whole answer; a download's answer may take longer
	stallTime  = 30 * time.Second
	maxAnswer  = 32 << 20 // bytes of a page of 50 records, or of one transcript
	maxFile    = 16 << 30 // bytes of a recording: 24 hours of 48 kHz stereo
	tries      = 5
	retryFirst = 500 * time.Millisecond
	retryMost  = 8 * time.Second
	askedMost  = time.Minute // the longest Retry-After that is waited for
)

// New makes a client. It sends nothing.
func New(s Settings, o upstream.Options) (*Client, error) {
	switch {
	case s.Tenant == "" || strings.Contains(s.Tenant, ":"): // RFC 7617: a colon would end the user name
		return nil, fmt.Errorf("8x8 recordings: the tenant %q isn't a tenant's name", s.Tenant)
	case s.DataToken.IsZero():
		return nil, errors.New("8x8 recordings: the data token is missing: set data_token_file")
	}
	if s.Format == "" {
		s.Format = XML
	}
	o.MaxBody = maxFile
	up, err := upstream.New(o, s.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("8x8 recordings: %w", err)
	}
	retry := retrypolicy.NewBuilder[any]().
		HandleIf(func(_ any, err error) bool { return again(err) }).
		WithMaxAttempts(tries).
		WithBackoff(retryFirst, retryMost).
		WithJitterFactor(.25).
		WithDelayFunc(func(e failsafe.ExecutionAttempt[any]) time.Duration {
			var failed *Error
			if errors.As(e.LastError(), &failed) && failed.RetryAfter > 0 {
				return failed.RetryAfter
			}
			return -1 // the backoff's
		}).
		ReturnLastFailure().
		Build()
	return &Client{set: s, up: up, retry: retry}, nil
}

// Close closes the idle connections.
func (c *Client) Close() { c.up.Close() }

// Why an answer isn't what was asked for, by the document's table of response codes. Each is a sentence for a person.
var (
	ErrBadRequest = errors.New("8x8 doesn't understand the request: check the dates and the names of the fields")
	ErrDenied     = errors.New("8x8 refuses the tenant or its data token: a new token revokes the old one, so copy the Data Request Token again from Configuration Manager")
	ErrNotFound   = errors.New("8x8 has no such record: it may have been deleted, or base_url isn't this tenant's")
	ErrInternal   = errors.New("8x8 met an error of its own: try again later")
	ErrBusy       = errors.New("8x8 is overloaded: try again later, or ask for less at once")
	ErrElsewhere  = errors.New("8x8 is at another address: check base_url")
	ErrUnexpected = errors.New("8x8 answered with a status that its document doesn't have")
	// ErrNoAnswer is an exchange that broke; the cause is wrapped, too.
	ErrNoAnswer = errors.New("8x8 gave no answer")
	// ErrNoCSV is the document's own limit.
	ErrNoCSV = errors.New("8x8 gives one transcript as XML or JSON only, \"for compatibility reasons\": choose one of these")
	// ErrUnreadable is a 200 that makes no sense.
	ErrUnreadable = errors.New("8x8's answer can't be read")
	// ErrChanged is a recording that became another one while it was fetched.
	ErrChanged = errors.New("the recording changed while it was fetched: fetch it again")
	// ErrRepeats is a list without an end.
	ErrRepeats = errors.New("8x8 sends the same page again and again: ask for a shorter range of dates")
)

// Error is a request that failed.
type Error struct {
	Doing  string // for example "list recordings"
	Status int    // the answer's; 0 without an answer
	// Sent is false if it is certain that nothing left: a deletion then wasn't asked for.
	Sent bool
	// RetryAfter is how long 8x8 asked to wait; 0 if it didn't.
	RetryAfter time.Duration
	// Err is one of the errors above.
	Err error
	// Cause is why there was no answer, or why it can't be read; else nil.
	Cause error
}

func (e *Error) Error() string {
	text := e.Doing + ": " + e.Err.Error()
	switch {
	case e.Status >= 300:
		text += " (" + platform.StatusText(e.Status) + ")"
	case errors.Is(e.Cause, context.DeadlineExceeded):
		text += " (not in time)"
	case errors.Is(e.Cause, context.Canceled):
		text += " (given up)"
	case e.Cause != nil:
		text += " (" + e.Cause.Error() + ")"
	}
	return text
}

func (e *Error) Unwrap() []error { return []error{e.Err, e.Cause} }

// again reports whether a request that only reads may work if it is sent once more.
func again(err error) bool {
	var failed *Error
	if !errors.As(err, &failed) || failed.RetryAfter > askedMost {
		return false
	}
	switch failed.Err {
	case ErrNoAnswer, ErrBusy, ErrInternal:
		return true
	}
	return false
}

// failure is the error of a status; nil for one of success.
func failure(doing string, resp *http.Response) error {
	e := &Error{Doing: doing, Status: resp.StatusCode, Sent: true}
	switch s := resp.StatusCode; {
	case s >= 200 && s < 300:
		return nil
	case s == http.StatusBadRequest:
		e.Err = ErrBadRequest
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		e.Err = ErrDenied
	case s == http.StatusNotFound || s == http.StatusGone:
		e.Err = ErrNotFound
	case s == http.StatusServiceUnavailable || s == http.StatusTooManyRequests:
		e.Err, e.RetryAfter = ErrBusy, upstream.Response{Header: resp.Header}.RetryAfter()
	case s >= 500:
		e.Err = ErrInternal
	case s >= 300 && s < 400:
		e.Err = ErrElsewhere
	default:
		e.Err = ErrUnexpected
	}
	return e
}

// request makes a request below /api/recordings. Every segment stays one, so that no name of a file leads anywhere else, and
// an empty name isn't the whole list.
func (c *Client) request(ctx context.Context, method, query string, segments ...string) (*http.Request, error) {
	u, err := upstream.Join(c.set.BaseURL, append([]string{"api", "recordings"}, segments...)...)
	if err != nil {
		return nil, err
	}
	u.RawQuery = query
	r, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	r.SetBasicAuth(c.set.Tenant, c.set.DataToken.Reveal())
	return r, nil
}

// send sends a request once. The answer is one of success.
func (c *Client) send(doing string, r *http.Request) (*http.Response, error) {
	resp, err := c.up.Stream(r)
	if err != nil {
		e := &Error{Doing: doing, Sent: true, Err: ErrNoAnswer, Cause: err}
		var sent *upstream.Error
		if errors.As(err, &sent) {
			e.Sent, e.Cause = sent.Sent, sent.Err
		}
		return nil, e
	}
	if err := failure(doing, resp); err != nil {
		drain(resp)
		return nil, err
	}
	return resp, nil
}

// drain lets the connection be used again, if little is left.
func drain(resp *http.Response) {
	io.CopyN(io.Discard, resp.Body, 64<<10)
	resp.Body.Close()
}

// repeat calls try until it succeeds, fails for good, or has failed too often.
func repeat[T any](ctx context.Context, c *Client, try func(context.Context) (T, error)) (T, error) {
	var got T
	err := failsafe.With(c.retry).WithContext(ctx).Run(func() (err error) {
		got, err = try(ctx)
		return err
	})
	return got, err
}

// get asks for an answer and reads all of it, again if need be.
func (c *Client) get(ctx context.Context, doing, query string, segments ...string) ([]byte, error) {
	return repeat(ctx, c, func(ctx context.Context) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, tryTime)
		defer cancel()
		r, err := c.request(ctx, http.MethodGet, query, segments...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", doing, err)
		}
		resp, err := c.send(doing, r)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		var body bytes.Buffer
		if n := resp.ContentLength; n > 0 && n <= maxAnswer {
			body.Grow(int(n) + bytes.MinRead)
		}
		_, err = body.ReadFrom(io.LimitReader(resp.Body, maxAnswer+1))
		switch {
		case err != nil:
			return nil, &Error{Doing: doing, Sent: true, Err: ErrNoAnswer, Cause: upstream.Broken(err)}
		case body.Len() > maxAnswer:
			return nil, &Error{Doing: doing, Sent: true, Err: ErrUnreadable, Cause: fmt.Errorf("it is longer than %d MB", maxAnswer>>20)}
		}
		return body.Bytes(), nil
	})
}

// Recordings asks for the recordings that a query finds, page by page as they are needed, in the platform's order. After an
// error it ends. Records that come or go meanwhile may be met twice or missed at a page's edge, as the platform counts anew
// for each page; what it repeats at once is left out.
func (c *Client) Recordings(ctx context.Context, q Query) iter.Seq2[Recording, error] {
	return list(ctx, c, "list recordings", Files, q, readRecordings, func(r Recording) string { return r.Filename })
}

// Transcripts asks for the transcripts that a query finds, without their messages, as Recordings does.
func (c *Client) Transcripts(ctx context.Context, q Query) iter.Seq2[Transcript, error] {
	return list(ctx, c, "list transcripts", Transcripts, q, readTranscripts, func(t Transcript) string { return t.GUID })
}

func list[T any](ctx context.Context, c *Client, doing string, k Kind, q Query, read func(Format, []byte) ([]T, error), key func(T) string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		before := map[string]bool{} // the keys of the page before
		for first := 1; first < math.MaxInt32; {
			query, err := q.encode(k, first)
			if err != nil {
				yield(none, fmt.Errorf("%s: %w", doing, err))
				return
			}
			body, err := c.get(ctx, doing, query, string(k)+c.suffix())
			if err != nil {
				yield(none, err)
				return
			}
			page, err := read(c.set.Format, body)
			if err != nil {
				yield(none, &Error{Doing: doing, Sent: true, Err: ErrUnreadable, Cause: err})
				return
			}
			now, isNew := make(map[string]bool, len(page)), false
			for _, one := range page {
				id := key(one)
				now[id] = id != ""
				if before[id] {
					continue
				}
				isNew = true
				if !yield(one, nil) {
					return
				}
			}
			if len(page) < PageSize {
				return
			}
			if !isNew {
				yield(none, &Error{Doing: doing, Sent: true, Err: ErrRepeats})
				return
			}
			before, first = now, first+len(page)
		}
	}
}

// suffix is how the format is asked for. XML is the default, and isn't named.
func (c *Client) suffix() string {
	if c.set.Format == XML {
		return ""
	}
	return "." + string(c.set.Format)
}

// Recording looks one up by its file's name; an error that is ErrNotFound if there is none.
func (c *Client) Recording(ctx context.Context, name string) (Recording, error) {
	for r, err := range c.Recordings(ctx, Query{Where: map[Field]string{Filename: name}}) {
		if err != nil {
			return Recording{}, err
		}
		if r.Filename == name { // a platform that ignores what it doesn't know would list them all
			return r, nil
		}
		break
	}
	return Recording{}, &Error{Doing: "find recording", Status: http.StatusNotFound, Sent: true, Err: ErrNotFound}
}

// Transcript fetches one transcript with its messages.
func (c *Client) Transcript(ctx context.Context, guid string) (Transcript, error) {
	const doing = "fetch transcript"
	if c.set.Format == CSV {
		return Transcript{}, fmt.Errorf("%s: %w", doing, ErrNoCSV)
	}
	if guid == "" {
		return Transcript{}, fmt.Errorf("%s: give its interaction's id", doing)
	}
	body, err := c.get(ctx, doing, "", string(Transcripts), guid+c.suffix())
	if err != nil {
		return Transcript{}, err
	}
	t, err := readTranscript(c.set.Format, body)
	if err != nil {
		return Transcript{}, &Error{Doing: doing, Sent: true, Err: ErrUnreadable, Cause: err}
	}
	return t, nil
}

// Deletion is what became of one.
type Deletion string

// The ends of a deletion that 8x8 answered.
const (
	Deleted Deletion = "deleted"
	// Missing is one of what wasn't there: of a transcript 204 by the document, 404 of either.
	Missing Deletion = "missing"
)

// DeleteRecording deletes a recording for good. It is sent once: after an Error with Sent, nobody knows whether it was done.
func (c *Client) DeleteRecording(ctx context.Context, name string) (Deletion, error) {
	return c.delete(ctx, "delete recording", append([]string{string(Files)}, strings.Split(name, "/")...)...)
}

// DeleteTranscript deletes all messages of a transcript for good; the interaction stays, with a dummy message. It is sent once,
// as DeleteRecording.
func (c *Client) DeleteTranscript(ctx context.Context, guid string) (Deletion, error) {
	return c.delete(ctx, "delete transcript", string(Transcripts), guid)
}

func (c *Client) delete(ctx context.Context, doing string, segments ...string) (Deletion, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTime)
	defer cancel()
	r, err := c.request(ctx, http.MethodDelete, "", segments...)
	if err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	resp, err := c.send(doing, r)
	if errors.Is(err, ErrNotFound) {
		return Missing, nil
	}
	if err != nil {
		return "", err
	}
	drain(resp)
	if resp.StatusCode == http.StatusNoContent && segments[0] == string(Transcripts) {
		return Missing, nil
	}
	return Deleted, nil
}
