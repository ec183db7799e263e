package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"offrecord/web/audit"
	"offrecord/web/evidence"
	"offrecord/web/site"
)

// evidenceAudio is GET /evidence/{id}/audio: the recording as it comes from the archive, with what leaked silenced. The archive's
// credentials stay here.
func (a *API) evidenceAudio(w http.ResponseWriter, r *request) error {
	x, all, tape, err := a.item(r)
	switch {
	case err != nil:
		return err
	case tape == nil || a.Evidence.Checker == nil || !x.DeletedAt.IsZero():
		return &problem{http.StatusNotFound, codeInvalid, "This recording can't be played: it was deleted, or what leaks in it couldn't be silenced."}
	}
	platform, ok := a.Evidence.Checker.Platform(x.Platform)
	if !ok {
		return errNoItem
	}
	about := audit.Record{Agent: audit.NewID(x.Agent), Platform: audit.NewText(x.Platform), Call: audit.NewID(x.Recording.Name), Detail: audit.NewText("recording played")}
	if err := a.noteReading(r, "sound "+x.Platform+" "+x.Recording.Name, about); err != nil {
		return err
	}
	stream, err := platform.Archive.Open(r.Context(), x.Recording.Name)
	if err != nil {
		return a.evidenceError(r, err)
	}
	defer stream.Close()
	size := int64(-1)
	if s, ok := stream.(interface{ Size() int64 }); ok {
		size = s.Size()
	}
	muted, err := evidence.Mute(stream, evidence.Leaky(all))
	if err != nil {
		return a.evidenceError(r, err)
	}
	h := w.Header()
	h.Set("Content-Type", "audio/wav")
	h.Set("Content-Disposition", "inline")
	from, to, part := byteRange(r.Header.Get("Range"), size)
	switch {
	case size < 0:
		h.Set("Accept-Ranges", "none")
	case part && from >= size:
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return nil
	default:
		h.Set("Accept-Ranges", "bytes")
		h.Set("Content-Length", strconv.FormatInt(to-from, 10))
	}
	if part {
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, size))
		w.WriteHeader(http.StatusPartialContent)
	}
	if r.Method == http.MethodHead {
		return nil
	}
	if _, err := io.CopyN(io.Discard, muted, from); err != nil {
		return a.brokeOff(r, err)
	}
	var body io.Reader = muted
	if size >= 0 {
		body = io.LimitReader(muted, to-from)
	}
	if _, err := io.Copy(w, body); err != nil && r.Context().Err() == nil {
		return a.brokeOff(r, err)
	}
	return nil
}

// brokeOff ends an answer that can't be completed, so that it doesn't look like a whole one.
func (a *API) brokeOff(r *request, err error) error {
	a.Log.Warn("a recording broke off", "request_id", r.id, "error", err)
	panic(http.ErrAbortHandler)
}

// byteRange reads a range of one part; what it doesn't understand is the whole (RFC 9110, 14.2).
func byteRange(header string, size int64) (from, to int64, part bool) {
	spec, ok := strings.CutPrefix(header, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	if !ok || !dash || size < 0 || strings.Contains(spec, ",") {
		return 0, size, false
	}
	if first == "" {
		n, err := strconv.ParseInt(last, 10, 64)
		if err != nil || n <= 0 {
			return 0, size, false
		}
		return max(size-n, 0), size, true
	}
	from, err := strconv.ParseInt(first, 10, 64)
	if err != nil || from < 0 {
		return 0, size, false
	}
	to = size
	if last != "" {
		end, err := strconv.ParseInt(last, 10, 64)
		if err != nil || end < from {
			return 0, size, false
		}
		to = min(end+1, size)
	}
	return from, to, true
}

// evidenceDeletePage is GET /evidence/{id}/delete: the first step, which asks.
func (a *API) evidenceDeletePage(w http.ResponseWriter, r *request) error {
	return a.askDeletion(w, r, http.StatusOK, "")
}

func (a *API) askDeletion(w http.ResponseWriter, r *request, status int, notice string) error {
	x, _, tape, err := a.item(r)
	if err != nil {
		return err
	}
	if tape == nil || a.Evidence.Checker == nil || !x.DeletedAt.IsZero() {
		return &problem{http.StatusNotFound, codeInvalid, "There is no recording to delete: it was deleted already, or never found."}
	}
	return a.page(w, status, "", site.EvidenceDeletePage{Nav: a.nav(r, "/evidence/"), Name: x.Recording.Name, Back: "/evidence/" + x.ID, Notice: notice,
		About: fmt.Sprintf("The recording of %s, %s, %d s.", cmp.Or(x.Agent, x.Recording.AgentID), moment(x.Recording.Start), x.Recording.Duration/time.Second)})
}

// evidenceDelete is POST /evidence/{id}/delete: the second step, with the recording's name.
func (a *API) evidenceDelete(w http.ResponseWriter, r *request) error {
	x, _, tape, err := a.item(r)
	if err != nil {
		return err
	}
	if err := form(r); err != nil {
		return err
	}
	if tape == nil || a.Evidence.Checker == nil || !x.DeletedAt.IsZero() {
		return &problem{http.StatusNotFound, codeInvalid, "There is no recording to delete: it was deleted already, or never found."}
	}
	err = a.Evidence.Checker.Delete(context.WithoutCancel(r.Context()), x.Platform, x.Recording.Name, strings.TrimSpace(r.PostForm.Get("name")), func(record audit.Record) error {
		record.By = audit.NewID(r.principal.Email)
		return a.note(r, record)
	})
	switch {
	case errors.Is(err, evidence.ErrName):
		return a.askDeletion(w, r, http.StatusUnprocessableEntity, "That isn't the recording's name. Nothing was deleted.")
	case errors.Is(err, evidence.ErrNotFound):
		return errNoItem
	case err != nil:
		a.Log.Error("a recording couldn't be deleted", "request_id", r.id, "error", err)
		return &problem{http.StatusBadGateway, codeInternal, "It isn't known whether the recording was deleted: look for it in 8x8's own screen. The log says that it was tried."}
	}
	http.Redirect(w, r.Request, "/evidence/"+x.ID, http.StatusSeeOther)
	return nil
}
