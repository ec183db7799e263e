package agui

import (
	"net/http"

	"offrecord/app/recording"
)

// control is controlRecording.php. Its answers are the document's: 200 with a page that tries to close its window, also when
// there was nothing to act on; 400 for an unknown action; 401 without a session or with a bad token; 500. Which of two wrongs
// it names first is open; here a stranger learns nothing about actions.
func (s *Simulator) control(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	word, token := r.FormValue("action"), r.FormValue("token")
	action, known := parseAction(word)
	agent := s.agentOf(r)
	s.note(r, action, agent)

	f := s.meet(recording.RouteSession, agent)
	s.wait(f.Before)
	if f.Drop == DropBefore {
		cut()
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Security-Policy", "frame-ancestors 'self'")
	if s.config.XFrameOptions != "" {
		w.Header().Set("X-Frame-Options", s.config.XFrameOptions)
	}
	if f.COOP {
		w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
	}
	if f.Status == http.StatusFound {
		http.Redirect(w, r, LoginPath, http.StatusFound)
		return
	}
	if agent = s.agentOf(r); agent == "" { // asked again: the session may have ended during a wait
		s.answer(w, http.StatusUnauthorized, "There is no Agent Workspace session in this browser, or it has expired. Log in to Agent Workspace and try again.")
		return
	}
	if token != s.config.ActionToken {
		s.answer(w, http.StatusUnauthorized, "The token is not this tenant's action token.")
		return
	}
	if !known {
		s.answer(w, http.StatusBadRequest, "The action is not known: it is pause or resume.")
		return
	}
	if f.acts() {
		s.act(agent, action, seqOf(r))
	}
	s.wait(f.After)
	if f.Drop == DropAfter {
		cut()
	}
	switch {
	case f.Status == http.StatusNoContent:
		w.WriteHeader(http.StatusNoContent)
	case f.Status != 0:
		s.answer(w, f.Status, "An internal error prevented the request from being completed.")
	default:
		s.fragment(w, http.StatusOK, "closing", nil)
	}
}

// answer is a page of controlRecording.php that stays open and can be read.
func (s *Simulator) answer(w http.ResponseWriter, status int, text string) {
	s.fragment(w, status, "message", message{Title: http.StatusText(status), Status: status, Text: text})
}

// parseAction accepts what both editions of the document write, "Pause or Resume" and "pause or resume", and nothing else.
func parseAction(word string) (recording.Action, bool) {
	switch word {
	case "pause", "Pause":
		return recording.Pause, true
	case "resume", "Resume":
		return recording.Resume, true
	}
	return "", false
}
