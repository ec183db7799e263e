package agui

import (
	"net/http"

	"offrecord/app/recording"
)

// Login opens a session of the agent and returns its cookie, as the log-in page does.
func (s *Simulator) Login(agent string) *http.Cookie {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.desk(agent)
	token := randomHex()
	s.sessions[token] = agent
	s.Notify()
	return &http.Cookie{Name: Cookie, Value: token, Path: "/", HttpOnly: true, Secure: true, SameSite: s.config.SameSite}
}

// Expire ends the agent's sessions, as time or an administrator does; the browsers keep their cookies. Calls go on.
func (s *Simulator) Expire(agent string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for token, a := range s.sessions {
		if a == agent {
			delete(s.sessions, token)
		}
	}
	s.Notify()
}

// agentOf returns whose session the request carries, or "".
func (s *Simulator) agentOf(r *http.Request) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessionAgent(r)
}

// sessionAgent is agentOf with the lock held.
func (s *Simulator) sessionAgent(r *http.Request) string {
	c, err := r.Cookie(Cookie)
	if err != nil {
		return ""
	}
	return s.sessions[c.Value]
}

func (s *Simulator) loginPage(w http.ResponseWriter, r *http.Request) {
	s.page(w, http.StatusOK, "login", loginView{Agents: s.config.Agents, CallAtLogin: s.config.CallAtLogin})
}

// login takes the agent's id or email address; the simulator has no passwords.
func (s *Simulator) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	who := r.PostFormValue("agent")
	agent := s.find("agentId", who)
	if agent == "" {
		agent = s.find("email", who)
	}
	if agent == "" {
		s.page(w, http.StatusUnauthorized, "login", loginView{Agents: s.config.Agents, CallAtLogin: s.config.CallAtLogin,
			Error: "There is no such agent here. Choose one of these."})
		return
	}
	s.note(r, "", agent)
	http.SetCookie(w, s.Login(agent))
	if s.config.CallAtLogin {
		s.startCall(agent, seqOf(r))
	}
	http.Redirect(w, r, WorkspacePath, http.StatusSeeOther)
}

func (s *Simulator) logout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(Cookie); err == nil {
		s.mu.Lock()
		delete(s.sessions, c.Value)
		s.Notify()
		s.mu.Unlock()
	}
	http.SetCookie(w, &http.Cookie{Name: Cookie, Path: "/", MaxAge: -1, HttpOnly: true, Secure: true, SameSite: s.config.SameSite})
	http.Redirect(w, r, LoginPath, http.StatusSeeOther)
}

// deskForm is every control of the workspace page.
func (s *Simulator) deskForm(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	agent := s.agentOf(r)
	if agent == "" {
		http.Redirect(w, r, LoginPath, http.StatusSeeOther)
		return
	}
	seq := seqOf(r)
	switch do := r.PostFormValue("do"); do {
	case "start":
		s.startCall(agent, seq)
	case "end":
		s.endCall(agent, seq)
	case "pause", "resume":
		s.note(r, recording.Action(do), agent)
		s.act(agent, recording.Action(do), seq)
	case "record":
		s.Record(agent, r.PostFormValue("on") != "")
	case "expire":
		s.Expire(agent)
	case "fault":
		for _, p := range presets() {
			if p.Name == r.PostFormValue("fault") {
				s.SetFault(recording.RouteSession, agent, p.Fault)
				s.SetFault(recording.RouteServer, agent, p.Fault)
			}
		}
	default:
		http.Error(w, "There is no such control.", http.StatusBadRequest)
		return
	}
	http.Redirect(w, r, WorkspacePath, http.StatusSeeOther)
}
