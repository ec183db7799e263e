package main

import (
	"crypto/rand"
	"net/http"

	"offrecord/e2e/sim/agui"
	"offrecord/e2e/sim/archive"
	"offrecord/e2e/sim/center"
	"offrecord/e2e/sim/crm"
	"offrecord/e2e/sim/cxone"
	"offrecord/e2e/sim/vonage"
)

// The demo's people. Each kind of platform has one, and 8x8 two: Bill goes by his own browser's session, of which nothing is
// ever confirmed, Becky by the server, to which 8x8 says what it did. So does Ada, who has worked before: her calls are what there
// is evidence of.
var (
	bill  = agui.Agent{ID: "bill", Email: "bill@acme.example", Name: "Bill"}
	becky = agui.Agent{ID: "becky", Email: "becky@acme.example", Name: "Becky"}
	ada   = agui.Agent{ID: "ada", Email: "ada@acme.example", Name: "Ada"}
	vera  = center.Agent{ID: "462", Email: "vera@emea.example", Name: "Vera"}
	nico  = center.Agent{ID: "1234567", Email: "nico@cx.example", Name: "Nico"}
)

const supervisor = "sam@acme.example"

// What the platforms know of offrecord, besides the secrets that they make themselves.
const (
	tenant      = "acme01"
	account     = "a1b2c3d4e5"
	clientID    = "offrecord"
	accessKeyID = "OFFRECORD"
	audience    = "offrecord" // of what the CRM signs
)

// platforms are the simulated platforms. They share a listener, and each answers to its own name.
type platforms struct {
	workspace *agui.Simulator
	archive   *archive.Archive // of the workspace's calls
	vonage    *vonage.Simulator
	cxone     *cxone.Simulator

	crm, payment http.Handler
	crmSecret    string
}

// newPlatforms sets them up with a call for everyone but Bill, whose call begins when he logs in to Agent Workspace. panel
// makes the address of the panel under a name; a browser has one session for each name, so that the page of a platform leads
// to a panel of its own agent's.
func newPlatforms(panel, platform func(name string) string) platforms {
	kept := archive.New(archive.Config{Tenant: tenant, Agents: []string{bill.ID, becky.ID, ada.ID}, Recordings: 300, Transcripts: 60})
	p := platforms{
		archive: kept,
		workspace: agui.New(agui.Config{Tenant: tenant, Agents: []agui.Agent{bill, becky, ada}, PlainLoopback: true, CallAtLogin: true,
			Archive: kept, PanelURL: panel(panelName) + "/"}),
		vonage: vonage.New(vonage.Config{Account: account, ClientID: clientID, Agents: []center.Agent{vera}, PanelURL: panel("vera."+panelName) + "/"}),
		cxone:  cxone.New(cxone.Config{AccessKeyID: accessKeyID, Agents: []center.Agent{nico}, PanelURL: panel("nico."+panelName) + "/"}),
	}
	p.crmSecret, p.payment = rand.Text()+rand.Text(), crm.Payment(platform(crmName))
	p.crm = crm.New(crm.Config{Offrecord: panel(panelName), Origin: platform(crmName), Payment: platform(paymentName), Secret: p.crmSecret, Audience: audience,
		Agents: []crm.Agent{
			{Email: becky.Email, Platform: "acme-server", About: "8x8, by the server: confirmed"},
			{Email: bill.Email, Platform: "acme", About: "8x8, by this browser’s own session: nothing is confirmed"},
			{Email: vera.Email, Platform: "emea", About: "Vonage"},
			{Email: nico.Email, Platform: "cx", About: "NICE CXone"},
		}})
	p.workspace.StartCall(becky.ID)
	p.vonage.Start(vera.ID)
	p.cxone.Start(nico.ID)
	return p
}

func (p platforms) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", p.workspace)
	mux.Handle(vonageName+"/", p.vonage)
	mux.Handle(cxoneName+"/", p.cxone)
	mux.Handle(crmName+"/", p.crm)
	mux.Handle(paymentName+"/", p.payment)
	return mux
}

// Close ends what hangs at a platform.
func (p platforms) Close() {
	p.workspace.Close()
	p.archive.Close()
	p.vonage.Close()
	p.cxone.Close()
}
