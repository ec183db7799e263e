package identity_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/web/identity"
)

var (
	bill = identity.Principal{Email: "bill@acme.example", Role: identity.Agent, Platform: "acme", AgentID: "bill"}
	jo   = identity.Principal{Email: "jo@acme.example", Role: identity.Supervisor}

	everyone = identity.NewDirectory([]identity.Principal{bill, jo})
)

func as(p identity.Principal) identity.SignIn {
	return identity.SignIn{Email: p.Email, Way: identity.ByDemo}
}

func TestTheDirectoryFoldsAddresses(t *testing.T) {
	d := identity.NewDirectory([]identity.Principal{bill, {Email: "BILL@acme.example", Role: identity.Admin}, jo})
	for _, email := range []string{"bill@acme.example", "Bill@ACME.example", " bill@acme.example "} {
		if p, ok := d.Find(email); !ok || p != bill {
			t.Errorf("%q: %+v %v", email, p, ok)
		}
	}
	if _, ok := d.Find(""); ok || len(d.All()) != 2 {
		t.Error("nobody was found, or somebody twice")
	}
}

func TestASessionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := identity.NewSessions(everyone)
		token := s.Begin(as(bill), "")
		if p, ok := s.Use(token); !ok || p != bill {
			t.Fatalf("%+v %v", p, ok)
		}
		time.Sleep(identity.MaxIdle - time.Second)
		if _, ok := s.Use(token); !ok {
			t.Error("it ended before its idle time")
		}
		time.Sleep(identity.MaxIdle)
		if _, ok := s.Use(token); ok {
			t.Error("it outlived its idle time")
		}

		token = s.Begin(as(bill), "")
		for range identity.MaxAge / time.Hour {
			if _, ok := s.Use(token); !ok {
				t.Fatal("a used session ended early")
			}
			time.Sleep(time.Hour)
		}
		if _, ok := s.Use(token); ok {
			t.Error("it outlived its whole time")
		}

		token = s.Begin(as(bill), "")
		s.End(token)
		s.End("nonsense")
		if _, ok := s.Use(token); ok {
			t.Error("it outlived its log-out")
		}
	})
}

// Whoever speaks for a CRM may name any agent, and can't become a supervisor by it.
func TestInAFrameNobodySupervises(t *testing.T) {
	sue := identity.Principal{Email: "sue@acme.example", Role: identity.Supervisor, Platform: "acme", AgentID: "sue"}
	s := identity.NewSessions(identity.NewDirectory([]identity.Principal{sue}))
	for way, role := range map[identity.Way]identity.Role{identity.ByDemo: identity.Supervisor, identity.ByOIDC: identity.Supervisor, identity.ByEmbed: identity.Agent, identity.ByPopup: identity.Agent} {
		who, ok := s.Use(s.Begin(identity.SignIn{Email: sue.Email, Way: way}, ""))
		if want := sue; !ok || who.Role != role || who.Platform != want.Platform || who.AgentID != want.AgentID {
			t.Errorf("by %s: %+v", way, who)
		}
	}
}

func TestALogInEndsTheSessionItCameWith(t *testing.T) {
	s := identity.NewSessions(everyone)
	planted := s.Begin(as(jo), "")
	token := s.Begin(as(bill), planted)
	if _, ok := s.Use(planted); ok || token == planted {
		t.Error("the planted session lives")
	}
}

func TestTokensAreLongAndDiffer(t *testing.T) {
	s := identity.NewSessions(everyone)
	seen := map[string]bool{}
	for range 100 {
		token := s.Begin(as(bill), "")
		if len(token) < 43 || seen[token] {
			t.Fatalf("token %q", token)
		}
		seen[token] = true
	}
	if _, ok := s.Use(""); ok {
		t.Error("no token is a session")
	}
}

func TestSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := identity.NewSessions(everyone)
		panel, other := s.Begin(as(bill), ""), s.Begin(as(jo), "")
		var tokens []string
		for range 40 {
			time.Sleep(time.Minute)
			tokens = append(tokens, s.Begin(as(bill), ""))
			s.Use(panel)
		}
		for name, token := range map[string]string{"one that is used": panel, "somebody else's": other, "the newest": tokens[39], "a new one": tokens[9]} {
			if _, ok := s.Use(token); !ok {
				t.Errorf("%s gave way", name)
			}
		}
		if _, ok := s.Use(tokens[8]); ok {
			t.Error("there are more than there may be")
		}
	})
}

func TestTheDemoReadsJSONAndForms(t *testing.T) {
	const form, asJSON = "application/x-www-form-urlencoded", "application/json; charset=utf-8"
	tests := []struct{ name, contentType, body, email string }{
		{"JSON", asJSON, `{"email":"bill@acme.example"}`, "bill@acme.example"},
		{"a form", form, "email=bill%40acme.example", "bill@acme.example"},
		{"an empty form", form, "", ""},
		{"an empty object", asJSON, "{}", ""},
		{"nonsense", asJSON, "[", ""},
		{"a form that is none", form, "%zz", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/login/demo?email=eve@evil.example", strings.NewReader(tt.body))
			r.Header.Set("Content-Type", tt.contentType)
			vouched, err := identity.Demo{}.Authenticate(r)
			if vouched != (identity.Vouched{Email: tt.email}) || (err == nil) != (tt.email != "") {
				t.Errorf("%+v, %v", vouched, err)
			}
			if tt.body == "" && !errors.Is(err, identity.ErrNoCredentials) {
				t.Errorf("error %v", err)
			}
		})
	}
}
