package upstream

import (
	"context"
	"errors"
	"net/http"

	"offrecord/app/recording"
	"offrecord/web/platform"
)

// Failure is the result of an action whose exchange with a platform, called who, had no answer.
func Failure(who string, err error) platform.Result {
	r := platform.Result{Outcome: recording.Failed, Retry: platform.DidNotAct, Err: err}
	var sent *Error
	var token *TokenError
	var why string
	switch {
	case errors.As(err, &token) && token.Denied:
		r.Outcome, r.Retry, r.HTTPStatus, r.Said = recording.Denied, platform.Never, token.Status, platform.StatusText(token.Status)
		r.Detail = who + " refused offrecord's own credentials, nothing was done: tell an administrator, and use " + who + "'s own screen."
		return r
	case errors.As(err, &token):
		r.RetryAfter, why = token.RetryAfter, said(token.Err)
		if token.Status != 0 {
			r.HTTPStatus, r.Said = token.Status, platform.StatusText(token.Status)
		}
		r.Detail = who + " gave no access token (" + why + "), nothing was sent: try again, or use " + who + "'s own screen."
		return r
	case errors.As(err, &sent) && sent.Sent:
		r.Outcome, r.Retry = recording.Unknown, platform.Harmless
		r.Detail = "It isn't known whether it worked (" + said(sent.Err) + "): look at " + who + "'s own screen."
		return r
	case errors.As(err, &sent):
		why = said(sent.Err)
	default: // the request couldn't be built
		r.Retry = platform.Never
		r.Detail = who + " can't be asked about this agent or call (" + err.Error() + "), nothing was sent: tell an administrator to check agent_id, and use " + who + "'s own screen."
		return r
	}
	r.Detail = who + " couldn't be reached (" + why + "), nothing was sent: try again, or use " + who + "'s own screen."
	return r
}

// Answer is the result of an action for which who answered with a status that has no special meaning there. A 2xx is
// accepted: the platform took it and didn't say that it had an effect.
func Answer(who string, resp Response) platform.Result {
	r := platform.Result{HTTPStatus: resp.Status, Said: platform.StatusText(resp.Status)}
	switch s := resp.Status; {
	case s >= 200 && s < 300:
		r.Outcome = recording.Accepted
		r.Detail = who + " took the request, but didn't say that it worked: look at " + who + "'s own screen."
	case s == http.StatusUnauthorized || s == http.StatusForbidden:
		r.Outcome = recording.Denied
		r.Detail = who + " refused offrecord's own credentials, nothing was done: tell an administrator, and use " + who + "'s own screen."
	case s == http.StatusTooManyRequests:
		r.Outcome, r.Retry, r.RetryAfter = recording.Failed, platform.DidNotAct, resp.RetryAfter()
		r.Detail = who + " gets too many requests and didn't take this one: try again, or use " + who + "'s own screen."
	case s == http.StatusRequestTimeout || s >= 500:
		r.Outcome, r.Retry, r.RetryAfter = recording.Unknown, platform.Harmless, resp.RetryAfter()
		r.Detail = "It isn't known whether it worked (" + r.Said + "): look at " + who + "'s own screen."
	case s == http.StatusFound || s == http.StatusSeeOther: // may be said after acting
		r.Outcome = recording.Unknown
		r.Detail = who + " answered with a redirect, which is refused: tell an administrator to check base_url, and look at " + who + "'s own screen."
	case s >= 300 && s < 400:
		r.Outcome = recording.Failed
		r.Detail = who + " is at another address now, nothing was done: tell an administrator to check base_url, and use " + who + "'s own screen."
	default:
		r.Outcome = recording.Failed
		r.Detail = who + " refused the request (" + r.Said + "), nothing was done: use " + who + "'s own screen."
	}
	return r
}

// LookedUp turns the result of a request that only reads (a look-up before the action) into that of the action, to which
// it didn't come: nothing was done, and anything but a refusal may be tried again.
func LookedUp(who string, r platform.Result) platform.Result {
	switch r.Outcome {
	case recording.Unknown, recording.Accepted:
		r.Outcome, r.Retry = recording.Failed, platform.DidNotAct
		r.Detail = who + " didn't say which call the agent is on, nothing was done: try again, or use " + who + "'s own screen."
	}
	return r
}

// Unread is the reading of a status that couldn't be had, from what Failure or Answer made of it.
func Unread(who string, r platform.Result) platform.Reading {
	reading := platform.Reading{State: recording.StateUnknown, Said: r.Said, Retry: platform.DidNotAct, RetryAfter: r.RetryAfter, Err: r.Err,
		Detail: who + " didn't tell the recording's status: look at " + who + "'s own screen."}
	if r.Outcome == recording.Denied {
		reading.Retry = platform.Never
	}
	return reading
}

// said puts a reason into words for a person.
func said(err error) string {
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "given up"
	}
	return err.Error()
}
