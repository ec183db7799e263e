package server

import (
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"offrecord/app/recording"
)

// metrics counts answers and outcomes. No label holds an agent, a call or an address.
type metrics struct {
	registry *prometheus.Registry
	answers  *prometheus.HistogramVec
	attempts *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		answers: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "offrecord_http_request_duration_seconds",
			Help: "Time to answer, by route and status.", Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10}}, []string{"route", "status"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "offrecord_attempts_total",
			Help: "Attempts by what became of them."}, []string{"platform", "route", "action", "outcome"}),
	}
	m.registry.MustRegister(m.answers, m.attempts, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) answered(route string, status int, took time.Duration) {
	m.answers.WithLabelValues(route, strconv.Itoa(status)).Observe(took.Seconds())
}

func (m *metrics) settled(a recording.Attempt) {
	m.attempts.WithLabelValues(a.Platform, string(a.Route), string(a.Action), string(a.Outcome)).Inc()
}

// handler is the metrics' own listener; profiles show memory, so it must never be public.
func (m *metrics) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
