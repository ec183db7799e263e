package httpapi

import (
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"offrecord/web/identity"
	"offrecord/web/identity/oidc"
	"offrecord/web/site"
)

// Sign-in for a frame in another site's page, which the browser gives none of our cookies: in a window of its own.
//
//  1. The frame makes a verifier and opens /login/popup with its hash, the challenge.
//  2. That page asks its opener whether it is a frame of ours that made this challenge, and posts the challenge with the
//     answer. Nothing else can post it, so whoever made a challenge and sends somebody a link to this page isn't believed to
//     be the frame. The window keeps the challenge in a cookie, sealed.
//  3. Whoever isn't signed in in this window signs in, by any way. A page on the way may cut the window's tie to the frame.
//  4. The window asks whether to sign the frame in, and as whom. A press hands the sign-in to the challenge; for a window that
//     isn't known to be the frame's, with a code that its owner has to type into the frame.
//  5. The frame, which has been asking, gets a session of its own for the verifier, once.

const (
	popupPath   = "/login/popup"
	confirmPath = "/login/popup/confirm"

	popupPurpose = "popup"
)

// popup is a window's errand, as its cookie carries it.
type popup struct {
	Challenge string
	Proven    bool   // the window was opened by the frame that made the challenge
	Page      string // the origin whose page holds the frame, as the frame says
}

// inPopup reports whether a page is one of such a window's. It has to keep the window's tie to the frame that opened it, which
// any policy would cut but the one that the page around that frame has, and that is usually none; on a redirect as well (HTML,
// "cross-origin opener policies"). Whoever else opens such a window can send it elsewhere, and sees nothing of it.
func (a *API) inPopup(r *request) bool {
	path := r.URL.Path
	if strings.HasPrefix(path, popupPath) {
		return true
	}
	_, err := a.errand(r)
	return err == nil && (path == "/login" || path == "/logout" || strings.HasPrefix(path, "/login/"))
}

// popupPage is GET /login/popup. It changes nothing: its script does the rest.
func (a *API) popupPage(w http.ResponseWriter, r *request) error {
	if !identity.ValidChallenge(r.URL.Query().Get("challenge")) {
		return invalid("This window belongs to a sign-in in another page. Press Sign in there.")
	}
	return a.page(w, http.StatusOK, "", site.PopupPage{})
}

// popupBegin is POST /login/popup, by that page's script.
func (a *API) popupBegin(w http.ResponseWriter, r *request) error {
	var body struct {
		Challenge string `json:"challenge"`
		Proven    bool   `json:"proven"`
		Page      string `json:"page"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if !identity.ValidChallenge(body.Challenge) {
		return invalid("challenge must be 32 bytes in base64url.")
	}
	if r.Header.Get("Sec-Fetch-Site") != "same-origin" && r.Header.Get("Origin") == "" {
		return invalid("This is for the page of this window.")
	}
	errand := popup{Challenge: body.Challenge, Proven: body.Proven}
	if body.Proven && slices.Contains(a.EmbedOrigins, body.Page) {
		errand.Page = body.Page
	}
	carried, err := a.sealer.Seal(popupPurpose, errand, oidc.FlowTime)
	if err != nil {
		return err
	}
	http.SetCookie(w, a.flowCookie(popupPurpose, carried))
	next := confirmPath
	if r.principal.Email == "" {
		next = loginPath(confirmPath)
		if _, demo := a.Logins[identity.ByDemo]; a.Provider != nil && !demo {
			next = "/login/oidc?" + url.Values{"return": {confirmPath}}.Encode() // the only way in
		}
	}
	return answer(w, http.StatusOK, map[string]string{"next": next})
}

// errand is what this browser's window is about.
func (a *API) errand(r *request) (popup, error) {
	var p popup
	cookie, err := r.Cookie(a.flowCookie(popupPurpose, "").Name)
	if err != nil || !a.sealer.Open(popupPurpose, cookie.Value, &p) {
		return p, &problem{http.StatusBadRequest, codeInvalid, "This window's sign-in is over, or took too long. Close it, and press Sign in again in the page that you came from."}
	}
	return p, nil
}

// popupAsk is GET /login/popup/confirm.
func (a *API) popupAsk(w http.ResponseWriter, r *request) error {
	p, err := a.errand(r)
	if err != nil {
		return err
	}
	return a.page(w, http.StatusOK, "", site.ConfirmPage{Email: r.principal.Email, Page: p.Page, Challenge: p.Challenge, Return: confirmPath})
}

// popupGive is POST /login/popup/confirm.
func (a *API) popupGive(w http.ResponseWriter, r *request) error {
	if err := form(r); err != nil {
		return err
	}
	p, err := a.errand(r)
	if err != nil {
		return err
	}
	// Another window of this browser may have begun since the page was shown.
	if subtle.ConstantTimeCompare([]byte(r.PostForm.Get("challenge")), []byte(p.Challenge)) != 1 {
		return &problem{http.StatusBadRequest, codeInvalid, "Another window was opened to sign in since. Go on there, or close both and press Sign in again."}
	}
	in, ended, _ := a.Sessions.Look(r.token) // where the identity is ambient, no session of ours is behind it
	in.Email, in.Way = r.principal.Email, identity.ByPopup
	code, given := a.handed.Give(p.Challenge, in, ended, p.Proven)
	if !given {
		return &problem{http.StatusBadRequest, codeInvalid, "This sign-in was handed over already. Close this window; if the panel isn't signed in, press Sign in again there."}
	}
	http.SetCookie(w, a.flowCookie(popupPurpose, ""))
	return a.page(w, http.StatusOK, "", site.HandedPage{Code: code})
}

// loginPopup is POST /api/v1/login/popup: the frame asks whether it is signed in yet. That it isn't is no error, and is answered
// as none: browsers write errors to the console, and a frame asks again and again.
func (a *API) loginPopup(w http.ResponseWriter, r *request) error {
	var body struct {
		Verifier string `json:"verifier"`
		Code     string `json:"code"`
	}
	if err := read(r, &body); err != nil {
		return err
	}
	if raw, err := base64.RawURLEncoding.Strict().DecodeString(body.Verifier); err != nil || len(raw) < 32 || len(raw) > 96 {
		return invalid("verifier must be at least 32 random bytes in base64url.")
	}
	in, state := a.handed.Take(body.Verifier, body.Code)
	switch state {
	case identity.Taken:
	case identity.Over:
		return a.missed(w, r, &problem{http.StatusUnauthorized, codeUnauthenticated, "This sign-in is over. Press Sign in again."})
	default:
		w.Header().Set("Retry-After", "1")
		return answer(w, http.StatusAccepted, map[string]code{"code": map[identity.Taking]code{
			identity.Pending: codePending, identity.NeedsCode: codeNeedsCode, identity.WrongCode: codeWrongCode}[state]})
	}
	token, err := a.admit(r, identity.ByPopup, identity.Vouched{Email: in.Email, Subject: in.Subject, SID: in.SID, Since: in.Since})
	if err != nil {
		return err
	}
	life := identity.ByPopup.Idle()
	if !in.Since.IsZero() { // it ends with the day of the session that it comes from
		life = min(life, identity.MaxAge-time.Since(in.Since))
	}
	return bearer(w, token, life)
}
