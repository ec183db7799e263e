package site

import (
	"fmt"
	"html/template"
	"io"

	"offrecord/app/panel"
	"offrecord/app/recording"
)

// Pages are the page shells.
type Pages struct{ templates *template.Template }

// NewPages parses the shells, which name the assets of s.
func NewPages(s *Site) (*Pages, error) {
	t, err := template.New("pages").Funcs(template.FuncMap{"asset": s.URL}).ParseFS(embedded, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("parsing the page shells: %w", err)
	}
	return &Pages{t}, nil
}

// PanelPage is the panel's page.
type PanelPage struct {
	// Panel is the panel, drawn by the component that the program mounts: one element.
	Panel template.HTML
	// View is what the program begins with. It is written as JSON.
	View any
	// Elsewhere says that another site's page led here. It may have done so under a double click, whose second half is not to
	// resume anything.
	Elsewhere bool
	Nav       Nav
}

// Nav is the way to the other pages, for those who have more than one: the template "nav" draws it.
type Nav []NavLink

// NavLink is a page, and whether it is the one that is shown.
type NavLink struct {
	Path, Name string
	Here       bool
}

// AlertsPage is the faults that need a person, and those that did.
type AlertsPage struct {
	Nav        Nav
	Who        string // who is logged in
	Open, Past []AlertItem
	Older      string // where earlier ones are
	Notice     string
	Webhook    string // why nobody is told by it
}

// AlertItem is an alert in words.
type AlertItem struct {
	recording.Alert
	Title, Whose     string
	Since, Age, Told string
	Ended            string // how it came that it needs nobody any more
	Evidence         string // the address of what the recording shows; empty where it is about something else
}

// WidgetPage is the panel to be framed by another site's page, or what keeps it from being shown.
type WidgetPage struct {
	PanelPage        // empty where nobody is signed in
	Origins   string // whose pages may frame it, a space between
	Previewed bool   // it is a page of our own that asks
	Notice    string
}

// SetupPage is what is put into an agent's browser and into a CRM's pages.
type SetupPage struct {
	Agent, Platform, Kind string
	Home                  string // our origin
	Session, Server       bool   // the routes that there are
	Secret                bool   // the session route's addresses hold the token
	Admin                 bool
	Origins               []string // whose pages may frame the widget
	Platforms             []string // all there are, for an administrator
	Bookmarks             []Bookmark
	Nav                   Nav
}

// SamplePage is a page such as a CRM's, with the loader in it. Its fields are the loader's settings; what is empty isn't set.
type SamplePage struct {
	Platform, Guard, After string
	On, Float              bool // a card field's focus pauses; the panel is a pill
}

// Bookmark is one to drag to the browser's bar.
type Bookmark struct {
	Name string
	Code template.URL // a script
}

// HelperPage is the window that is kept open.
type HelperPage struct{ Agent, Platform string }

// HerePage is the window of a bookmark that was pressed on the platform's own page.
type HerePage struct {
	Action            recording.Action
	Agent, Platform   string
	Origin, Otherwise string // the platform's; where else to go
}

// LoginPage is where someone logs in.
type LoginPage struct {
	Agents []LoginAgent // whom a demo offers
	More   bool         // there are more than that: the address is to be typed
	Notice string
	Return string // where the log-in leads: one of our own addresses
	// Provider is the name of the one that people are sent to; empty without one.
	Provider string
	// CRM and Proxy say that there are log-ins which aren't begun here.
	CRM, Proxy bool
}

// PopupPage is what a window shows that a frame opened to be signed in, for the moment in which it asks the frame.
type PopupPage struct{}

// ConfirmPage asks whether to sign that frame in, and as whom.
type ConfirmPage struct {
	Email     string
	Page      string // the origin whose page holds the frame; empty if it isn't known
	Challenge string
	Return    string // this page's own address
}

// HandedPage says that the frame is signed in.
type HandedPage struct {
	Code string // what has to be typed into the frame first; empty for nothing
}

// LoginAgent is one agent that a demo offers.
type LoginAgent struct{ Email, Platform, Role string }

// StatusPage is the state in words, for browsers without scripts. It loads itself again, so it holds nothing to press.
type StatusPage struct {
	panel.Words
	At string // when it was so
	// Due and Warning are of an open pause's time; empty without one.
	Due, Warning string
}

// DeclinePage asks once more before it is recorded that the customer declined.
type DeclinePage struct {
	Text           string // what it would do
	Action, Target string // of the form
	ID, Reason     string // of the attempt
}

// ActPage is the page of a link: what would happen, one button, and what came of it.
type ActPage struct {
	Title, Button         string
	Agent, Platform, Kind string
	Action                recording.Action
	How                   string
	Reason, Call, ID      string
	Origin                recording.Origin
	// Route and Transport are how the action goes; Target is where its form's answer is shown without a script.
	Route     recording.Route
	Transport recording.Transport
	Target    string
	Popup     bool
	// Done says that something was asked for, and Words what is known since.
	Done  bool
	Words panel.Words
	// WithoutRecord makes the button a resume that can't be written down.
	WithoutRecord bool
	Notice        string
	// LogIn is where to log in first; nothing but that is then shown.
	LogIn string
}

// MessagePage is one thing said to a person, with what to do.
type MessagePage struct {
	Title, Text, RequestID string
	LogIn                  bool // what there is to do is to log in
}

// Write writes a page. The page's type chooses the shell.
func (p *Pages) Write(w io.Writer, page any) error {
	var name string
	switch page.(type) {
	case PanelPage:
		name = "panel.html"
	case SetupPage:
		name = "setup.html"
	case SamplePage:
		name = "sample.html"
	case HelperPage:
		name = "helper.html"
	case HerePage:
		name = "here.html"
	case WidgetPage:
		name = "widget.html"
	case LoginPage:
		name = "login.html"
	case PopupPage:
		name = "popup.html"
	case ConfirmPage:
		name = "confirm.html"
	case HandedPage:
		name = "handed.html"
	case StatusPage:
		name = "status.html"
	case DeclinePage:
		name = "decline.html"
	case ActPage:
		name = "act.html"
	case AlertsPage:
		name = "alerts.html"
	case EvidencePage:
		name = "evidence.html"
	case EvidenceCallPage:
		name = "evidencecall.html"
	case EvidenceDeletePage:
		name = "evidencedelete.html"
	case EvidenceChatsPage:
		name = "evidencechats.html"
	case EvidenceChatPage:
		name = "evidencechat.html"
	case MessagePage:
		name = "message.html"
	default:
		return fmt.Errorf("no page shell for %T", page)
	}
	if err := p.templates.ExecuteTemplate(w, name, page); err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}
