// Package server puts the server together: it makes the platforms, the dispatcher and the handlers of a configuration, and
// runs the listeners. Tests start the whole of it in their own process.
//
// It holds no logic of its own; whatever could be tested without a listener belongs elsewhere.
package server

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"offrecord/app/panel"
	"offrecord/app/recording"
	"offrecord/web/alert"
	"offrecord/web/audit"
	"offrecord/web/config"
	"offrecord/web/dispatch"
	"offrecord/web/evidence"
	"offrecord/web/httpapi"
	"offrecord/web/identity"
	"offrecord/web/link"
	"offrecord/web/platform/upstream"
	"offrecord/web/probe"
	"offrecord/web/site"
	"offrecord/web/store"
)

// Main is one server. Set the fields, Run it, and Close it; it runs once.
type Main struct {
	Config  *config.Config
	Version string
	// Log is where it writes; nil writes nowhere.
	Log *slog.Logger
	// Journal is where attempts are written down instead of the configuration's store.
	Journal dispatch.Journal
	// Upstream is how the platforms are reached; the zero value is the system's network and certificates.
	Upstream upstream.Options

	url, metricsURL string
	api             *httpapi.API
	dispatcher      *dispatch.Dispatcher
	journal         *journal // nil without a store
	data            *sql.DB  // what isn't the log
	alerts          *alert.Alerts
	evidence        *evidence.Checker  // nil where no platform's recordings can be asked for
	unfollow        context.CancelFunc // ends what follows the log's health and the alerts
	sessions        *identity.Sessions
	forget          context.CancelFunc // ends the look for the identity provider
	servers         []*http.Server
	running         sync.WaitGroup
	failed          chan error
}

const (
	// shutdownTime is how long Close takes at most; who asks a server to end often kills it after 10 seconds.
	shutdownTime = 9 * time.Second
	// finishing is how long of that actions may take to end by themselves before the dispatcher is told that time is short.
	finishing = 2 * time.Second
)

// Run starts the listeners and returns once they accept connections. Warnings of the configuration are logged.
func (m *Main) Run(ctx context.Context) (err error) {
	if m.Log == nil {
		m.Log = slog.New(slog.DiscardHandler)
	}
	for _, w := range m.Config.Warnings {
		m.Log.Warn(w.Text, "configuration_line", w.Line)
	}
	metrics := newMetrics()
	accounts, err := accounts(m.Config, m.Upstream, metrics.exchanges)
	if err != nil {
		return err
	}
	platforms := map[string]httpapi.Platform{}
	for name, a := range accounts {
		platforms[name] = a.asked()
	}
	people := directory(m.Config)
	if m.data, err = store.Open(ctx, m.Config.DataFile); err != nil {
		return err
	}
	m.sessions = identity.OpenSessions(ctx, people, m.data, m.Log)
	defer func() {
		if err != nil {
			m.closeData()
		}
	}()
	if m.Config.StoreFile != "" && m.Journal == nil {
		var sinks []audit.Sink
		if sinks, err = m.sinks(); err != nil {
			return err
		}
		if m.journal, err = openJournal(ctx, m.Config, m.Log, nil, sinks...); err != nil {
			return err
		}
		defer func() {
			if err != nil {
				m.journal.Close()
			}
		}()
		m.Journal = m.journal
		m.journal.loaded(m.Config, m.Version)
		metrics.log(m.journal.Status)
	}
	if err := m.openAlerts(ctx, metrics); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			m.closeAlerts()
		}
	}()
	m.dispatcher = dispatch.New(dispatch.Options{
		Journal: m.Journal,
		Log:     m.Log,
		AttemptTimeout: func(name string) time.Duration {
			return accounts[name].Timeouts.Attempt
		},
		Upstream: func(name string) (dispatch.Upstream, bool) {
			a := accounts[name]
			return dispatch.Upstream{Server: a.server, Try: a.Timeouts.Try, Attempt: a.Timeouts.Attempt, Combine: a.Combine}, a.server != nil
		},
		Limit: func(name string) dispatch.Limit {
			a := accounts[name]
			return dispatch.Limit{Max: a.MaxPause, AtMax: a.OnMaxPause, Extensions: a.MaxExtensions}
		},
		Ready: func(name string) (bool, string) {
			if a := accounts[name]; a.server != nil && a.Routes[0] == recording.RouteServer && m.dispatcher.BreakerOpen(name) {
				return false, "Your platform isn't answering."
			}
			return true, ""
		},
		Notices: func(name string) (all []recording.Notice) {
			if m.journal != nil {
				all = notices(m.journal.Status())
			}
			if accounts[name].server != nil && m.dispatcher.BreakerOpen(name) {
				all = append(all, recording.Notice{Code: recording.PlatformAway, Text: "Your platform isn't answering. A pause is sent all the same: make it in the platform's own screen, too."})
			}
			return all
		},
		Settled: metrics.settled,
		Alert:   m.alerts.Raise,
		Fixed:   m.alerts.Settle,
		Alerts:  m.alerts.Unacknowledged,
	})
	for name, a := range accounts {
		if a.server != nil {
			metrics.breaker(name, func() bool { return m.dispatcher.BreakerOpen(name) })
		}
	}
	if m.journal != nil {
		if err := m.journal.restore(ctx, m.dispatcher, acting(people)); err != nil {
			m.Log.Error("what was asked for before this start couldn't be read, so nothing is known of it", "error", err)
		}
	}
	assets, err := site.New()
	if err != nil {
		return err
	}
	if assets.URL("app.wasm") == "" {
		m.Log.Warn("the browser's program was not built: the panel works by plain forms only")
	}
	ways := m.ways(ctx)
	options := httpapi.Options{
		Log:            m.Log,
		Version:        m.Version,
		Secure:         m.Config.Secure(),
		Directory:      people,
		Sessions:       m.sessions,
		Platforms:      platforms,
		Dispatcher:     m.dispatcher,
		Site:           assets,
		Panel:          panel.HTML,
		Logins:         ways.logins,
		Provider:       ways.provider,
		Ambient:        ways.ambient,
		Alerts:         m.alerts,
		Probe:          probe.Handler(m.Config.EmbedOrigins...),
		TrustedProxies: m.Config.TrustedProxies,
		Host:           hosts(m.Config),
		Observe:        metrics.answered,
		PublicURL:      publicURL(m.Config),
		EmbedOrigins:   m.Config.EmbedOrigins,
	}
	if options.Links, err = link.Open(ctx, m.data, m.Config.LinkLifetime); err != nil {
		return err
	}
	if options.Evidence, err = m.openEvidence(); err != nil {
		return err
	}
	if m.journal != nil {
		options.Audit = m.journal
	}
	if m.api, err = httpapi.New(options); err != nil {
		return err
	}
	m.failed = make(chan error, 2)
	m.follow()
	if m.evidence != nil {
		m.evidence.Nightly(evidence.Night{At: m.Config.Evidence.At, Every: m.Config.Evidence.Every})
	}
	if err := m.listen(ctx); err != nil {
		m.Close()
		return err
	}
	if m.Config.MetricsListen != "" {
		if err := m.listenMetrics(ctx, metrics); err != nil {
			m.Close()
			return err
		}
	}
	return nil
}

func (m *Main) listen(ctx context.Context) error {
	server := &http.Server{
		Handler:           m.api,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		HTTP2:             http2(),
		// OPTIONS * would be answered without our headers.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     slog.NewLogLogger(m.Log.Handler(), slog.LevelWarn),
	}
	server.RegisterOnShutdown(m.api.Close)
	scheme := "http"
	var certificate *pair
	if t := m.Config.TLS; t != nil {
		var err error
		if certificate, err = openPair(t.CertFile, t.KeyFile, m.Log); err != nil {
			return fmt.Errorf("loading the certificate of tls: %w", err)
		}
		server.TLSConfig = certificate.config()
		scheme = "https"
	}
	at, err := m.start(ctx, server, m.Config.Listen)
	if err != nil {
		return fmt.Errorf("listening on listen's address: %w", err)
	}
	if certificate != nil {
		watching, stop := context.WithCancel(context.WithoutCancel(ctx))
		server.RegisterOnShutdown(stop)
		m.running.Go(func() { certificate.watch(watching, renewTime) })
	}
	m.url = scheme + "://" + at
	return nil
}

func (m *Main) listenMetrics(ctx context.Context, metrics *metrics) error {
	server := &http.Server{Handler: metrics.handler(), ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(m.Log.Handler(), slog.LevelWarn)}
	at, err := m.start(ctx, server, m.Config.MetricsListen)
	if err != nil {
		return fmt.Errorf("listening on metrics_listen's address: %w", err)
	}
	m.metricsURL = "http://" + at
	return nil
}

// start listens and serves, and returns where.
func (m *Main) start(ctx context.Context, server *http.Server, address string) (string, error) {
	network, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	m.servers = append(m.servers, server)
	m.running.Go(func() {
		var err error
		if server.TLSConfig != nil {
			err = server.ServeTLS(network, "", "")
		} else {
			err = server.Serve(network)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			m.failed <- err
		}
	})
	return network.Addr().String(), nil
}

// URL is where the server listens, for example http://127.0.0.1:8080.
func (m *Main) URL() string { return m.url }

// MetricsURL is where metrics and profiles are; empty without metrics_listen.
func (m *Main) MetricsURL() string { return m.metricsURL }

// Failed delivers the error of a listener that broke.
func (m *Main) Failed() <-chan error { return m.failed }

// Close stops accepting, ends the event streams, lets answers finish, and returns once outcomes are written down. What is
// still being asked of a platform is ended in time for its fate to be recorded, and answered.
func (m *Main) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
	defer cancel()
	if m.forget != nil {
		m.forget()
	}
	if m.api != nil {
		m.api.Close()
	}
	soon, cancel := context.WithTimeout(ctx, finishing)
	defer cancel()
	for _, server := range m.servers {
		server.Shutdown(soon) // what it doesn't finish is tried again
	}
	if m.dispatcher != nil {
		m.dispatcher.Close()
	}
	var problems []error
	for _, server := range m.servers {
		if err := server.Shutdown(ctx); err != nil {
			problems = append(problems, fmt.Errorf("shutting down: %w", err), server.Close())
		}
	}
	if m.unfollow != nil {
		m.unfollow()
	}
	m.running.Wait()
	m.closeEvidence()
	m.closeAlerts()
	if m.journal != nil {
		if err := m.journal.Close(); err != nil {
			problems = append(problems, fmt.Errorf("closing the audit log: %w", err))
		}
	}
	if err := m.closeData(); err != nil {
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// closeData writes what is still to be written, and closes the data store.
func (m *Main) closeData() error {
	if m.data == nil {
		return nil
	}
	if m.forget != nil {
		m.forget()
	}
	err := errors.Join(m.sessions.Close(), m.data.Close())
	m.data = nil
	if err != nil {
		return fmt.Errorf("closing the data store: %w", err)
	}
	return nil
}
