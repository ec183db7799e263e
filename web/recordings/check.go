package recordings

import (
	"context"
	"crypto/rand"
	"errors"

	"offrecord/web/platform"
	"offrecord/web/secret"
)

// Check tries the data token without touching a recording: it asks for a list of a file that doesn't exist, and then once more
// with a wrong token, for only where 8x8 refuses that one does its answer say something about ours.
func (c *Client) Check(ctx context.Context) platform.Finding {
	f := platform.Finding{Credential: "data_token", Verdict: platform.NotCheckable}
	err := c.glance(ctx)
	switch {
	case errors.Is(err, ErrDenied):
		f.Verdict, f.Detail = platform.Bad, "8x8 refuses the tenant or its data token: a new token revokes the old one, so copy both again from Configuration Manager."
		return f
	case err != nil:
		f.Detail = "8x8's Recordings API couldn't be asked: " + err.Error() + "."
		return f
	}
	wrong := &Client{set: c.set, up: c.up, retry: c.retry}
	wrong.set.DataToken = secret.New(rand.Text())
	if err := wrong.glance(ctx); errors.Is(err, ErrDenied) {
		f.Verdict, f.Detail = platform.Good, "8x8 takes the tenant and its data token, and refuses a wrong one."
		return f
	}
	f.Detail = "8x8 gives lists without looking at the data token: run offrecord recordings list."
	return f
}

// glance asks for a list of at most one page, which holds nothing.
func (c *Client) glance(ctx context.Context) error {
	for _, err := range c.Recordings(ctx, Query{Where: map[Field]string{Filename: "offrecord-check-" + rand.Text() + ".wav"}}) {
		return err // at most one page is asked for
	}
	return nil
}
