package server

import (
	"net/http"
	"net/http/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"offrecord/app/recording"
	"offrecord/web/audit"
	"offrecord/web/config"
	"offrecord/web/httpapi"
)

// metrics counts answers, outcomes and what goes to the platforms. No label holds an agent, a call or an address.
type metrics struct {
	registry  *prometheus.Registry
	answers   *prometheus.HistogramVec
	attempts  *prometheus.CounterVec
	platforms *prometheus.HistogramVec
	told      *prometheus.CounterVec // alerts that were raised
	posted    *prometheus.CounterVec // what became of their messages
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		answers: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "offrecord_http_request_duration_seconds",
			Help: "Time to answer, by route and status.", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}}, []string{"route", "status"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "offrecord_attempts_total",
			Help: "Attempts by what became of them."}, []string{"platform", "route", "action", "outcome"}),
		platforms: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "offrecord_platform_request_duration_seconds",
			Help:    "Time until a platform's answer begins, by what was asked for (token, act, read) and its status; none: there was no answer.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}}, []string{"platform", "request", "status"}),
	}
	m.told = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "offrecord_alerts_raised_total", Help: "Alerts that were raised, by what they are about."}, []string{"kind"})
	m.posted = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "offrecord_alert_deliveries_total",
		Help: "Tries to deliver an alert's message to the webhook, by what became of them."}, []string{"result"})
	m.registry.MustRegister(m.told, m.posted, m.answers, m.attempts, m.platforms, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) answered(route string, status int, took time.Duration) {
	m.answers.WithLabelValues(route, strconv.Itoa(status)).Observe(took.Seconds())
}

func (m *metrics) settled(a recording.Attempt) {
	m.attempts.WithLabelValues(a.Platform, string(a.Route), string(a.Action), string(a.Outcome)).Inc()
}

// alerts shows how many wait for a person.
func (m *metrics) alerts(open func(recording.AlertKind) int) {
	for _, kind := range []recording.AlertKind{recording.AlertFailed, recording.AlertUnknown, recording.AlertOverdue, recording.AlertRestart, recording.AlertLog,
		recording.AlertNoProof, recording.AlertLeak, recording.AlertCheckpoint} {
		m.told.WithLabelValues(string(kind)) // so that there is a zero
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "offrecord_alerts_open", Help: "Alerts that nobody has acknowledged and that aren't over.",
			ConstLabels: prometheus.Labels{"kind": string(kind)}}, func() float64 { return float64(open(kind)) }))
	}
}

func (m *metrics) raised(kind recording.AlertKind) { m.told.WithLabelValues(string(kind)).Inc() }

func (m *metrics) tried(result string) { m.posted.WithLabelValues(result).Inc() }

// breaker shows whether a platform is failing so often that only pauses are sent to it.
func (m *metrics) breaker(platform string, open func() bool) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "offrecord_platform_breaker_open",
		Help: "1 while a platform is failing so often that only pauses are sent to it.", ConstLabels: prometheus.Labels{"platform": platform}}, func() float64 {
		if open() {
			return 1
		}
		return 0
	}))
}

// log shows whether the audit log is written, and how much waits in its spool.
func (m *metrics) log(status func() audit.Status) {
	gauge := func(name, help string, value func(audit.Status) float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value(status()) }))
	}
	one := func(err error) float64 {
		if err != nil {
			return 1
		}
		return 0
	}
	gauge("offrecord_audit_store_failing", "1 while the audit log can't be written to its store.", func(s audit.Status) float64 { return one(s.Store) })
	gauge("offrecord_audit_failing", "1 while the audit log can't be written at all.", func(s audit.Status) float64 { return one(s.Spool) })
	gauge("offrecord_audit_spooled_records", "Records that wait to be added to the store.", func(s audit.Status) float64 { return float64(s.Spooled) })
}

// exchanges measures what is asked of a platform.
func (m *metrics) exchanges(p config.Platform, next http.RoundTripper) http.RoundTripper {
	token := p.BaseURL.JoinPath("v0", "oauth2", "token").EscapedPath() // Vonage's, where none is configured
	if !p.TokenURL.IsZero() {
		token = p.TokenURL.EscapedPath()
	}
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		request := "act"
		switch {
		case strings.Trim(r.URL.EscapedPath(), "/") == strings.Trim(token, "/"):
			request = "token"
		case r.Method == http.MethodGet:
			request = "read"
		}
		began, status := time.Now(), "none"
		answer, err := next.RoundTrip(r)
		if err == nil {
			status = strconv.Itoa(answer.StatusCode)
		}
		m.platforms.WithLabelValues(p.Name, request, status).Observe(time.Since(began).Seconds())
		return answer, err
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// handler is the metrics' own listener; profiles show memory, so it must never be public.
func (m *metrics) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		httpapi.Shut(w.Header())
		mux.ServeHTTP(w, r)
	})
}
