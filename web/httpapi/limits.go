package httpapi

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// What a request may be like before anything looks at it.
const (
	// maxURL bounds an address, in bytes. A provider's answer to a log-in is the longest that is known here.
	maxURL = 8 << 10
	// maxFields bounds how many fields a request's header may have; the server bounds their bytes.
	maxFields = 100
	// maxStreams is how many event streams one account may have open: one for each tab, of a day in which none was closed.
	maxStreams = 128
)

// clean reports whether a path is the one way to write it. Nothing is redirected to another spelling: a path such as
// //host/.. is nobody's.
func clean(u *url.URL) bool {
	p := u.Path
	if !strings.HasPrefix(p, "/") {
		return false
	}
	want := path.Clean(p)
	if want != "/" && strings.HasSuffix(p, "/") {
		want += "/"
	}
	return p == want
}

// fits refuses a request that is larger than any of ours.
func fits(r *request) error {
	if len(r.RequestURI) > maxURL {
		return &problem{http.StatusRequestURITooLong, codeInvalid, "The address is too long."}
	}
	fields := 0
	for _, values := range r.Header {
		fields += len(values)
	}
	if fields > maxFields {
		return &problem{http.StatusRequestHeaderFieldsTooLarge, codeInvalid, "The request has too many header fields."}
	}
	return nil
}

// limit says how often a route may be asked for.
type limit int

const (
	unlimited limit = iota
	ordinary        // what one account may ask for, in a day's work and by a program
	heavy           // what makes the server read much
	door            // for who isn't logged in: counted by network address, which a whole center may share
)

// limit is what the route is paid with.
func (rt route) limit() limit {
	switch {
	case rt.free:
		return unlimited
	case rt.who == anyone:
		return door
	case rt.who == supervisors:
		return heavy
	}
	return ordinary
}

// limits are the buckets that requests are paid from.
type limits struct {
	accounts, readers, strangers, failures *buckets

	mu      sync.Mutex
	streams map[string]int // open event streams, by account
}

func newLimits() *limits {
	return &limits{
		accounts:  newBuckets(20, 200),
		readers:   newBuckets(5, 60),
		strangers: newBuckets(200, 5000), // a shift of a thousand opens its panels within a minute
		failures:  newBuckets(2, 300),    // of log-ins, likewise
		streams:   map[string]int{},
	}
}

// pay refuses a request that comes too soon after too many.
func (a *API) pay(w http.ResponseWriter, r *request, l limit) error {
	now := time.Now()
	var wait time.Duration
	switch l {
	case ordinary:
		wait = a.limits.accounts.take(r.principal.Email, now)
	case heavy:
		wait = a.limits.readers.take(r.principal.Email, now)
	case door:
		wait = a.limits.strangers.take(a.peer(r), now)
	}
	if wait == 0 {
		return nil
	}
	return limited(w, wait)
}

func limited(w http.ResponseWriter, wait time.Duration) error {
	seconds := int(math.Ceil(wait.Seconds()))
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	return &problem{http.StatusTooManyRequests, codeRateLimited, fmt.Sprintf("These are too many requests. Wait %d s, then try again; a pause is never held back.", seconds)}
}

// missed counts a log-in that was turned away, and answers that there were too many where there were. It is asked after the
// log-in was judged: one that is good is never held back for somebody else's, who may share its address.
func (a *API) missed(w http.ResponseWriter, r *request, err error) error {
	if asProblem(err).status != http.StatusUnauthorized {
		return err
	}
	if wait := a.limits.failures.take(a.peer(r), time.Now()); wait > 0 {
		return limited(w, wait)
	}
	return err
}

// peer is the network that a request comes from: an address, and of IPv6 the part that one customer is given whole.
func (a *API) peer(r *request) string {
	at, err := netip.ParseAddr(a.from(r))
	if err != nil {
		return ""
	}
	if at.Is6() {
		if network, err := at.Prefix(64); err == nil {
			return network.String()
		}
	}
	return at.String()
}

// stream counts an account's event stream until it is released.
func (a *API) stream(w http.ResponseWriter, r *request) (release func(), err error) {
	l, who := a.limits, r.principal.Email
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams[who] >= maxStreams {
		return nil, limited(w, 5*time.Second)
	}
	l.streams[who]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.streams[who]--; l.streams[who] == 0 {
			delete(l.streams, who)
		}
	}, nil
}

// buckets are token buckets by key, in bounded memory.
type buckets struct {
	rate  rate.Limit
	burst int

	mu     sync.Mutex
	by     map[string]*rate.Limiter
	others *rate.Limiter // of all who came when there was no room
	swept  time.Time
}

// maxBuckets bounds how many keys are told apart. A bucket that is full again is as good as none.
const maxBuckets = 4096

func newBuckets(perSecond rate.Limit, burst int) *buckets {
	return &buckets{rate: perSecond, burst: burst, by: map[string]*rate.Limiter{}, others: rate.NewLimiter(perSecond, burst)}
}

func (b *buckets) of(key string, now time.Time) *rate.Limiter {
	if l, ok := b.by[key]; ok {
		return l
	}
	if len(b.by) >= maxBuckets && now.Sub(b.swept) >= time.Second {
		b.swept = now
		for k, l := range b.by {
			if l.TokensAt(now) >= float64(b.burst) {
				delete(b.by, k)
			}
		}
	}
	if len(b.by) >= maxBuckets {
		return b.others
	}
	l := rate.NewLimiter(b.rate, b.burst)
	b.by[key] = l
	return l
}

// take takes one token, or says how long to wait for it.
func (b *buckets) take(key string, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := b.of(key, now)
	if l.AllowN(now, 1) {
		return 0
	}
	return b.until(l, now)
}

func (b *buckets) until(l *rate.Limiter, now time.Time) time.Duration {
	return max(time.Duration((1-l.TokensAt(now))/float64(b.rate)*float64(time.Second)), time.Millisecond)
}

// canonical writes origins anew from what they mean, so that nothing else that a configuration holds gets into a header: lower
// case, without a default port.
func canonical(origins []string) ([]string, error) {
	var out []string
	for _, given := range origins {
		u, err := url.Parse(given)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.Opaque != "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" ||
			!isHost(u.Hostname()) {
			return nil, fmt.Errorf("%.60q is no origin such as https://acme.my.salesforce.com", given)
		}
		host := strings.ToLower(u.Hostname())
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		if port := u.Port(); port != "" {
			number, err := strconv.ParseUint(port, 10, 16)
			if err != nil {
				return nil, fmt.Errorf("%.60q has no valid port", given)
			}
			if number != map[string]uint64{"https": 443, "http": 80}[u.Scheme] {
				host += ":" + strconv.FormatUint(number, 10)
			}
		}
		out = append(out, u.Scheme+"://"+host)
	}
	return out, nil
}

// isHost reports whether it is a host as a browser writes it: a name in ASCII, or an address.
func isHost(s string) bool {
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.Zone() == ""
	}
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.')
	})
}

// foreign reports whether a page of another site, or of another host of ours, made the browser send this; and whether it does
// so to show an answer as a page of its own, which people do with links.
func foreign(r *request) (from, toOpen bool) {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		from = true
	}
	dest := r.Header.Get("Sec-Fetch-Dest")
	return from, r.Header.Get("Sec-Fetch-Mode") == "navigate" && cmp.Or(dest, "document") == "document"
}
