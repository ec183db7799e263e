package httpapi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"offrecord/app/recording"
	"offrecord/web/audit"
	"offrecord/web/identity"
)

// Audit is the log of who asked for what, as the handlers need it. What becomes of an attempt is the dispatcher's to write.
type Audit interface {
	// Append writes a record durably.
	Append(context.Context, audit.Record) (audit.Receipt, error)
	// Refuse writes that a request was turned down. Nobody waits for it, and a flood of them doesn't fill the log.
	Refuse(audit.Record)
	Query(context.Context, audit.Filter) (audit.Page, error)
	CSV(context.Context, io.Writer, audit.Filter) error
}

// Asker is who sent a request, from where: a request's context holds it for those who write down what became of it.
type Asker struct {
	who       identity.Principal
	from      string
	userAgent string
	requestID string
}

type askerKey struct{}

// AskerOf returns who sent the request that a context belongs to; the zero value if it is nobody's.
func AskerOf(ctx context.Context) Asker {
	k, _ := ctx.Value(askerKey{}).(Asker)
	return k
}

// Sign adds the asker to a record; where there is none, the server itself.
func (k Asker) Sign(r audit.Record) audit.Record {
	if k == (Asker{}) {
		r.Client = audit.Server
		return r
	}
	r.Role, r.Peer, r.Client, r.Request = audit.Role(k.who.Role), audit.NewID(k.from), audit.Classify(k.userAgent), audit.NewText(k.requestID)
	if r.Agent == (audit.ID{}) {
		r.Agent = audit.NewID(k.who.Email)
	}
	if r.Platform == (audit.Text{}) {
		r.Platform = audit.NewText(k.who.Platform)
	}
	return r
}

func (a *API) asker(r *request) Asker {
	return Asker{r.principal, a.from(r), r.UserAgent(), r.id}
}

// noteTime bounds the wait for the log.
const noteTime = time.Second

// note writes down what a request did besides an attempt. A log that can't be written keeps nobody from signing in: who is
// kept out can't pause.
func (a *API) note(r *request, record audit.Record) error {
	if a.Audit == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), noteTime)
	defer cancel()
	_, err := a.Audit.Append(ctx, a.asker(r).Sign(record))
	if err != nil {
		a.Log.Error("what was asked for couldn't be written to the audit log", "kind", record.Kind, "request_id", r.id, "error", err)
	}
	return err
}

// refused writes down that a request was turned down, for who it came from.
func (a *API) refused(r *request, rt route, p *problem) {
	if a.Audit == nil || r.refusalNoted || p.code != codeUnauthenticated && p.code != codeForbidden {
		return
	}
	a.refuse(r, audit.Record{Kind: audit.Refused, Outcome: recording.Denied, Detail: audit.NewText(rt.method + " " + rt.pattern + ": " + string(p.code))})
}

func (a *API) refuse(r *request, record audit.Record) {
	if a.Audit == nil {
		return
	}
	r.refusalNoted = true
	a.Audit.Refuse(a.asker(r).Sign(record))
}

// auditFilter reads the query of the audit log's addresses.
func (a *API) auditFilter(r *request) (f audit.Filter, err error) {
	query := r.URL.Query()
	for key := range query {
		switch key {
		case "from", "to", "agent", "outcome", "limit", "cursor":
		default:
			return f, invalid("The address takes from, to, agent, outcome, limit and cursor only.")
		}
	}
	for key, to := range map[string]*time.Time{"from": &f.From, "to": &f.To} {
		if text := query.Get(key); text != "" {
			if *to, err = time.Parse(time.RFC3339, text); err != nil || to.UTC().Year() < 1 || to.UTC().Year() > 9999 {
				return f, invalid(key + " must be a time in RFC 3339 such as 2026-11-21T10:00:00Z.")
			}
		}
	}
	if text := query.Get("outcome"); text != "" {
		if f.Outcome, err = recording.ParseOutcome(text); err != nil {
			return f, invalid("outcome must be one of an attempt's outcomes; /api/v1/openapi.json lists them.")
		}
	}
	if text := query.Get("limit"); text != "" {
		if f.Limit, err = strconv.Atoi(text); err != nil || f.Limit < 1 || f.Limit > 1000 {
			return f, invalid("limit must be a number from 1 to 1000.")
		}
	}
	f.Agent, f.Cursor = query.Get("agent"), query.Get("cursor")
	if who, ok := a.Directory.Find(f.Agent); ok {
		f.Agent = who.Email // as it is written down
	}
	return f, nil
}

// auditRead reads the filter and writes down who reads the log. Without that nothing is read.
func (a *API) auditRead(r *request) (audit.Filter, error) {
	f, err := a.auditFilter(r)
	if err != nil {
		return f, err
	}
	if a.Audit == nil {
		return f, &problem{http.StatusServiceUnavailable, codeLogUnavailable, "This server keeps no log. Ask who runs it to configure a store."}
	}
	about := audit.Record{Kind: audit.AuditRead, Detail: audit.NewText(r.Pattern)}
	if f.Agent != "" {
		about.Detail = audit.NewText(r.Pattern + " of one agent")
	}
	if a.note(r, about) != nil {
		return f, &problem{http.StatusServiceUnavailable, codeLogUnavailable, "The log can't be written, so that it was read can't be either. Try again soon."}
	}
	return f, nil
}

// audit is GET /api/v1/audit, newest first.
func (a *API) audit(w http.ResponseWriter, r *request) error {
	f, err := a.auditRead(r)
	if err != nil {
		return err
	}
	page, err := a.Audit.Query(r.Context(), f)
	if errors.Is(err, audit.ErrCursor) {
		return invalid("cursor isn't one that an earlier answer gave as next. Ask again without it.")
	}
	if err != nil {
		a.Log.Error("the audit log can't be read", "request_id", r.id, "error", err)
		return &problem{http.StatusServiceUnavailable, codeLogUnavailable, "The log can't be read now. Try again, and tell who runs this server."}
	}
	return answer(w, http.StatusOK, page)
}

// auditCSV is GET /api/v1/audit.csv: all that the filter chooses, as a table.
func (a *API) auditCSV(w http.ResponseWriter, r *request) error {
	f, err := a.auditRead(r)
	if err != nil {
		return err
	}
	if f.Limit != 0 || f.Cursor != "" {
		return invalid("The table has no pages: leave limit and cursor out.")
	}
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="offrecord-audit.csv"`)
	if err := a.Audit.CSV(r.Context(), w, f); err != nil {
		a.Log.Warn("the audit log's table broke off", "request_id", r.id, "error", err)
		panic(http.ErrAbortHandler) // half a table must not look like a whole one
	}
	return nil
}

// noteSignIn writes down that someone signed in, or was turned away; email is who they say they are.
func (a *API) noteSignIn(r *request, by identity.Way, email string, refused bool) {
	record := audit.Record{Kind: audit.SignIn, Agent: audit.NewID(email), Detail: audit.NewText("by " + string(by))}
	if refused {
		record.Outcome = recording.Denied
		a.refuse(r, record)
		return
	}
	a.note(r, record)
}
