package agui

import (
	"bytes"
	"fmt"
	"net/http"

	"offrecord/app/recording"
)

// The words of the API's 200 answers, by 8x8's document.
const (
	success    = "success"
	nothing    = "nothing to be modified" // no active transaction
	notEnabled = "not enabled"            // recording isn't enabled for the agent
)

// api is PUT /api/tstats/rccontrol/{pause|resume}/{tenant}/{agentId|email}/{id}, with the tenant as the user and the action
// token as the password. It needs no session.
func (s *Simulator) api(w http.ResponseWriter, r *http.Request) {
	action, known := parseAction(r.PathValue("action"))
	agent := s.find(r.PathValue("by"), r.PathValue("id"))
	s.note(r, action, agent)

	f := s.meet(recording.RouteServer, agent)
	s.wait(f.Before)
	if f.Drop == DropBefore {
		cut()
	}
	user, password, _ := r.BasicAuth()
	switch {
	case user != s.config.Tenant || password != s.config.ActionToken || r.PathValue("tenant") != s.config.Tenant:
		w.Header().Set("WWW-Authenticate", `Basic realm="rccontrol"`)
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	case !known:
		http.Error(w, "Bad request", http.StatusBadRequest)
		return
	case agent == "":
		http.Error(w, "Not found", http.StatusNotFound)
		return
	}
	found := s.look(agent)
	if f.acts() {
		found = s.act(agent, action, seqOf(r))
	}
	s.wait(f.After)
	if f.Drop == DropAfter {
		cut()
	}
	if f.Status != 0 {
		w.WriteHeader(f.Status)
		return
	}
	words := success
	switch {
	case f.Words != "":
		words = f.Words
	case !found.call:
		words = nothing
	case !found.recorded:
		words = notEnabled
	case !found.changed && s.config.NothingIfAlready:
		words = nothing
	}
	kind, body := f.Body.format(words)
	w.Header().Set("Content-Type", kind)
	w.Write(body)
}

// find returns the id of the agent so addressed. An email address that two agents share finds neither: the document asks
// for a unique one "to keep the function working".
func (s *Simulator) find(by, id string) string {
	switch by {
	case "agentId":
		if s.desks[id] != nil {
			return id
		}
	case "email":
		found := ""
		for _, a := range s.config.Agents {
			if a.Email == id && found != "" {
				return ""
			}
			if a.Email == id {
				found = a.ID
			}
		}
		return found
	}
	return ""
}

func (b Body) format(words string) (contentType string, body []byte) {
	switch b {
	case BodyJSON:
		return "application/json", fmt.Appendf(nil, `{"status":%q}`, words)
	case BodyText:
		return "text/plain; charset=utf-8", []byte("Status: " + words + "\n")
	case BodyEmpty:
		return "text/plain", nil
	case BodyGarbled:
		return "application/json", []byte("{\"status\":\"\xff\xfe\x00<resp")
	case BodyHuge:
		return "text/plain", append(bytes.Repeat([]byte{' '}, 10<<20), words...)
	}
	return "application/xml", fmt.Appendf(nil, "<?xml version='1.0' encoding='UTF-8'?>\n<response><status>%s</status></response>\n", words)
}
