package httpapi

import (
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"offrecord/app/recording"
	"offrecord/web/site"
)

// setupPage is GET /setup: what an agent puts into the browser, and an administrator, who needn't be an agent, into the CRM's
// pages. It holds no secret: its script asks for the agent's links.
func (a *API) setupPage(w http.ResponseWriter, r *request) error {
	p, home := a.Platforms[r.principal.Platform], a.home(r)
	page := site.SetupPage{
		Agent: r.principal.Email, Platform: p.Name, Kind: p.Kind, Home: home, Nav: a.nav(r, "/setup"),
		Session: p.Session != nil, Server: p.Ability.Can(recording.Pause),
		Admin: r.principal.Role.Supervises(), Origins: a.EmbedOrigins, Platforms: slices.Sorted(maps.Keys(a.Platforms)),
	}
	if p.Name == "" {
		return a.page(w, http.StatusOK, "", page)
	}
	if page.Session {
		page.Secret = p.Session.SessionRoute().Method != http.MethodPost
	}
	for _, b := range []struct {
		name   string
		action recording.Action
	}{{"Pause recording", recording.Pause}, {"Resume recording", recording.Resume}} {
		page.Bookmarks = append(page.Bookmarks, site.Bookmark{Name: b.name, Code: bookmarklet(home, a.origin[p.Name], b.action)})
	}
	page.Bookmarks = append(page.Bookmarks, site.Bookmark{Name: "Open the panel", Code: template.URL("javascript:void open(" + literal(home+"/") + ",'offrecord-panel','popup,width=420,height=760')")})
	return a.page(w, http.StatusOK, "", page)
}

// samplePage is GET /setup/sample: a page such as a CRM's, with the loader as the administrator is about to set it, for /setup to
// show. What is set is of a few choices: an address that leads here may not make triggers of its own.
func (a *API) samplePage(w http.ResponseWriter, r *request) error {
	var page site.SamplePage
	query := r.URL.Query()
	chosen := func(name string, of ...string) string {
		if given := query.Get(name); slices.Contains(of, given) {
			return given
		}
		return ""
	}
	page.Platform = chosen("platform", slices.Collect(maps.Keys(a.Platforms))...)
	page.Guard = chosen("guard", "confirmed", "accepted", "sent")
	page.After = chosen("after", "2s", "10s", "30s")
	page.On, page.Float = page.Guard != "" || query.Has("on"), query.Has("float")
	return a.page(w, http.StatusOK, "", page)
}

// bookmarklet is a bookmark that acts. It carries no token. On the platform's own page it opens the small window that hands the
// request over, and makes it there, where its answer can be read; elsewhere the window of a link. /setup's script makes that one
// of the agent's own signed links, which pauses without a further press.
func bookmarklet(home, platform string, action recording.Action) template.URL {
	code := `(()=>{const h=` + literal(home) + `,o='popup,width=480,height=480';` +
		`if(location.origin!==` + literal(platform) + `){open(h+'/act?action=` + string(action) + `&reason=bookmark','offrecord-act',o);return}` +
		`const w=open(h+'/act/here?action=` + string(action) + `','offrecord-here',o);` +
		`if(!w){alert('The browser blocked the small window. Allow pop-ups for this page, then try again.');return}` +
		`addEventListener('message',async e=>{if(e.source!==w||e.origin!==h||!e.data||e.data.source!=='offrecord')return;` +
		`const{id,type,url,body}=e.data,say=x=>w.postMessage({source:'offrecord',id,...x},h);if(type==='who')say({type:'here'});if(type==='do')try{` +
		`const a=await fetch(url,{method:body?'POST':'GET',body:body&&new URLSearchParams(body),credentials:'same-origin',cache:'no-store',referrerPolicy:'no-referrer'});` +
		`say({type:'seen',status:a.status,moved:a.redirected})}catch{say({type:'seen',status:0})}})})()`
	return template.URL("javascript:" + strings.ReplaceAll(code, "%", "%25"))
}

// literal is text as a script writes it.
func literal(s string) string {
	text, err := json.Marshal(s)
	if err != nil { // a string always has a form
		return `""`
	}
	return "'" + strings.Trim(string(text), `"`) + "'"
}

// herePage is GET /act/here: the window of a bookmark that was pressed on the platform's own page. It hands the request over by
// message to that page's origin and no other, so it may know the token and its opener may not read it from anywhere else.
func (a *API) herePage(w http.ResponseWriter, r *request) error {
	p, signed := a.Platforms[r.principal.Platform]
	if !signed {
		return a.logInToAct(w, r)
	}
	x, err := wished(r.URL.Query())
	if err != nil {
		return err
	}
	if p.Session == nil {
		http.Redirect(w, r.Request, x.address(), http.StatusSeeOther)
		return nil
	}
	w.Header().Set("Cross-Origin-Opener-Policy", "unsafe-none")
	return a.page(w, http.StatusOK, a.origin[p.Name], site.HerePage{Action: x.Action, Agent: r.principal.Email, Platform: p.Name, Origin: a.origin[p.Name], Otherwise: x.address()})
}
