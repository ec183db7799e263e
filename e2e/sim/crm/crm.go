// Package crm is a sample CRM: a company's own pages, on a name of their own, in which agents take a card. It shows how
// offrecord is embedded, and is what the tests embed it in: a checkout form that loads page by page, an application that
// changes without loading, and a payment company's frame, all under a strict content security policy.
//
// It knows offrecord by its public addresses only, as any CRM does, and it may not import anything of it.
package crm

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

//go:embed page
var files embed.FS

// Agent is one who works with the CRM.
type Agent struct {
	Email, Platform string
	// About says how offrecord reaches the agent's platform, for the page that lets one choose.
	About string
}

// Config is how the CRM is set up.
type Config struct {
	// Offrecord is the companion's origin, Origin the CRM's own, Payment the payment company's.
	Offrecord, Origin, Payment string
	Agents                     []Agent
	// Secret signs what the CRM says of its agents (HS256); without one its agents sign in by themselves.
	Secret string
	// Audience is whom that is for.
	Audience string
}

// cookie says which of the agents works at this browser: the sample asks for no password.
const cookie = "crm_agent"

// CRM is a handler of the CRM's own origin. Its Payment is one of the payment company's.
type CRM struct {
	config Config
	mux    *http.ServeMux
	pages  *template.Template
}

// New sets it up.
func New(config Config) *CRM {
	c := &CRM{config: config, mux: http.NewServeMux(), pages: template.Must(template.ParseFS(files, "page/*.html"))}
	for _, name := range []string{"checkout", "app", "hosted", "done", "sandboxed"} {
		c.mux.HandleFunc("GET /"+name, c.page(name))
	}
	c.mux.HandleFunc("GET /app/{step}", c.page("app"))
	c.mux.HandleFunc("GET /{$}", c.page("index"))
	c.mux.HandleFunc("POST /agent", c.choose)
	c.mux.HandleFunc("POST /done", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/done?"+r.URL.RawQuery, http.StatusSeeOther)
	})
	c.mux.HandleFunc("GET /token", c.token)
	c.mux.HandleFunc("GET /icon.svg", static("icon.svg"))
	for _, name := range []string{"crm.css", "crm.js", "app.js", "offrecord.js"} {
		c.mux.HandleFunc("GET /"+name, static(name))
	}
	return c
}

// ServeHTTP implements http.Handler.
func (c *CRM) ServeHTTP(w http.ResponseWriter, r *http.Request) { c.mux.ServeHTTP(w, r) }

// Payment serves the payment company's frame, which is another origin's.
func Payment(ancestor string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /frame", func(w http.ResponseWriter, r *http.Request) {
		policy(w, "frame-ancestors "+ancestor)
		http.ServeFileFS(w, r, files, "page/frame.htm")
	})
	mux.HandleFunc("GET /crm.css", static("crm.css"))
	return mux
}

func static(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-cache")
		http.ServeFileFS(w, r, files, "page/"+name)
	}
}

// policy is a strict one: what isn't named isn't allowed, and nothing inline is. The two directives that offrecord needs are
// among its sources.
func policy(w http.ResponseWriter, more string) {
	w.Header().Set("Content-Security-Policy", strings.Join([]string{"default-src 'none'", "style-src 'self'", "img-src 'self'", "connect-src 'self'",
		"form-action 'self'", "base-uri 'none'", more}, "; "))
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}

// view is what a page shows.
type view struct {
	Config
	Agent Agent
	// Set are the loader's settings, by the name of their attribute.
	Set map[string]string
	// Panel is where the panel is: inline, float, or none for what the loader adds by itself.
	Panel string
	Query template.URL
	// Plain leaves offrecord out, to compare the page with.
	Plain bool
}

// settings are the loader's attributes that an address may set, so that one page serves for every way to include it.
var settings = []string{"pause-on", "pause-frame", "pause-path", "pause-submit", "resume-after", "guard"}

func (c *CRM) page(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := view{Config: c.config, Agent: c.agent(r), Set: map[string]string{}, Panel: "inline", Query: template.URL(r.URL.Query().Encode()), Plain: r.URL.Query().Has("plain")}
		switch name {
		case "checkout", "done", "app":
			v.Set["pause-on"] = `[autocomplete^="cc-"]`
		case "hosted":
			v.Set["pause-frame"] = `iframe[name^="payment"]`
		}
		query := r.URL.Query()
		for _, key := range settings {
			if query.Has(key) {
				v.Set[key] = query.Get(key)
			}
		}
		if panel := query.Get("panel"); slices.Contains([]string{"inline", "float", "none"}, panel) {
			v.Panel = panel
		}
		var body bytes.Buffer
		if err := c.pages.ExecuteTemplate(&body, name+".html", v); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		policy(w, "script-src 'self' "+c.config.Offrecord+"; frame-src 'self' "+c.config.Offrecord+" "+c.config.Payment+"; frame-ancestors 'self'")
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		body.WriteTo(w)
	}
}

// agent is who works at this browser: the first one unless another was chosen.
func (c *CRM) agent(r *http.Request) Agent {
	if chosen, err := r.Cookie(cookie); err == nil {
		email, _ := url.QueryUnescape(chosen.Value)
		if i := slices.IndexFunc(c.config.Agents, func(a Agent) bool { return a.Email == email }); i >= 0 {
			return c.config.Agents[i]
		}
	}
	if len(c.config.Agents) == 0 {
		return Agent{}
	}
	return c.config.Agents[0]
}

func (c *CRM) choose(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: cookie, Value: url.QueryEscape(r.FormValue("email")), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// token is what the CRM's server says of who works at this browser, signed for offrecord (RFC 7519), for two minutes.
func (c *CRM) token(w http.ResponseWriter, r *http.Request) {
	if c.config.Secret == "" || r.Header.Get("Sec-Fetch-Site") == "cross-site" {
		http.Error(w, "no tokens here", http.StatusNotFound)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprint(w, c.Token(c.agent(r)))
}

// Token signs that this is the agent.
func (c *CRM) Token(a Agent) string {
	id := make([]byte, 16)
	rand.Read(id) // never fails
	now := time.Now()
	claims, err := json.Marshal(map[string]any{"iss": c.config.Origin, "aud": c.config.Audience, "sub": a.Email, "platform": a.Platform,
		"iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": hex.EncodeToString(id)})
	if err != nil {
		panic(err) // strings and numbers have a form
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
	mac := hmac.New(sha256.New, []byte(c.config.Secret))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
