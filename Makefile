# offrecord. `make` alone lists the targets.

# The tools' versions and the long runs' lengths, in one place. The flags of the browser's program are in
# web/site/build/program, where the tests read them too.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME    ?= 5m

GO      ?= go
GOFLAGS_SERVER := -trimpath -buildvcs=false -ldflags '-s -w'
JS      := GOOS=js GOARCH=wasm
# Where chromedp looks, in its order.
BROWSERS := headless_shell headless-shell chromium chromium-browser google-chrome google-chrome-stable

export TIMEFORMAT := (took %0lR)
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help assets build run test unit js-test e2e-test needs needs-ffmpeg programs lint fmt vet vet-js staticcheck vuln bench size fuzz soak screenshots clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

assets: ## compile, name and compress what the browser is served
	@$(GO) run ./web/site/build

size: ## print the browser program's size, and fail above the gate
	time $(GO) run ./web/site/build -size

build: assets ## make bin/offrecord, one file with all inside
	@CGO_ENABLED=0 $(GO) build $(GOFLAGS_SERVER) -o bin/offrecord ./web

run: build ## start the platforms' simulators and the companion on loopback
	@$(GO) build -o bin/offrecord-demo ./e2e/demo
	@exec bin/offrecord-demo

test: needs size vet vet-js unit js-test e2e-test ## pass every test, the browser ones included

unit:
	time $(GO) test $$($(GO) list ./... | grep -v '^offrecord/e2e')

# The browser's half, as far as it can be asked without a page.
JS_TESTS = $$($(JS) $(GO) list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}' ./wasm/...)
js-test:
	tests="$(JS_TESTS)"; [ -n "$$tests" ] || exit 0; \
	time $(JS) $(GO) test -exec "$$($(GO) env GOROOT)/lib/wasm/go_js_wasm_exec" $$tests

# One package at a time, and three stories side by side, which keep two processors busy: much of a story is waiting.
# Never from the cache, which doesn't know of a browser that changed its mind. What the tests count and measure is printed.
e2e-test:
	time $(GO) test -count=1 -p 1 -parallel 3 -timeout 14m -v ./e2e/... | { grep -v '^=== ' || true; }

# Chromium, for the tests in a browser; Node, for the loader's types and a test of ./wasm; npm, for what e2e/package.json names.
# A machine that lacks one fails: a test that is skipped proves nothing.
needs: programs e2e/node_modules/.package-lock.json

e2e/node_modules/.package-lock.json: e2e/package-lock.json | programs
	@cd e2e && npm ci --silent
	@touch $@

programs:
	@missing=; \
	found=; for name in $(BROWSERS); do ! command -v $$name >/dev/null || found=1; done; [ -n "$$found" ] || missing+=' chromium'; \
	command -v node >/dev/null || missing+=' nodejs'; \
	command -v npm >/dev/null || missing+=' npm'; \
	[ -n "$$missing" ] || exit 0; \
	sudo=; [ "$$(id -u)" = 0 ] || sudo='sudo -n'; \
	if command -v apt-get >/dev/null && $${sudo:-env} true 2>/dev/null; then \
		echo "make test: installing$$missing"; \
		$$sudo apt-get update -qq; \
		$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	else \
		echo "make test needs$$missing, and may not install it here. Install it (on Debian: apt-get install$$missing) and run make test again." >&2; exit 1; \
	fi

lint: fmt vet vet-js staticcheck vuln ## gofmt, go vet, staticcheck and the dependencies, for the server and for the browser

fmt:
	@unformatted=$$(gofmt -l app web wasm e2e); [ -z "$$unformatted" ] || { echo "not formatted: $$unformatted" >&2; exit 1; }

vet:
	$(GO) vet ./...

vet-js:
	$(JS) $(GO) vet ./wasm/... ./app/...

staticcheck:
	GOBIN=$(CURDIR)/bin $(GO) install $(STATICCHECK)
	bin/staticcheck ./...
	$(JS) bin/staticcheck ./wasm/... ./app/...

UNLOOKED = echo "make vuln: the dependencies were not checked; where Go's module proxy or https://vuln.go.dev can't be reached, run it elsewhere, or set GOVULNDB to a copy of the database." >&2
vuln: ## look the dependencies up in Go's vulnerability database (needs the network)
	GOBIN=$(CURDIR)/bin $(GO) install $(GOVULNCHECK) || { $(UNLOOKED); exit 1; }
	bin/govulncheck ./... || { [ $$? = 3 ] || $(UNLOOKED); exit 1; }
	$(JS) bin/govulncheck ./wasm/... ./app/... || { [ $$? = 3 ] || $(UNLOOKED); exit 1; }

bench: build ## measure click to arrival, first paint, mounting and bytes against the rival, what the server adds to an action, listing 10,000 recordings, and checking recordings against ffmpeg
	failed=0; $(GO) run ./e2e/bench || failed=$$?; $(GO) run ./e2e/bench/backend || failed=$$?; \
	$(GO) test -run '^$$' -bench '^BenchmarkList10000$$' ./web/recordings || failed=$$?; \
	$(MAKE) --no-print-directory needs-ffmpeg && $(GO) run ./e2e/bench/evidence || failed=$$?; exit $$failed

# What recordings are checked against. Debian's is the one that the bar is about.
needs-ffmpeg:
	@command -v ffmpeg >/dev/null && exit 0; \
	sudo=; [ "$$(id -u)" = 0 ] || sudo='sudo -n'; \
	if command -v apt-get >/dev/null && $${sudo:-env} true 2>/dev/null; then \
		echo "make bench: installing ffmpeg"; \
		$$sudo apt-get update -qq; \
		$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ffmpeg >/dev/null; \
	else \
		echo "make bench needs ffmpeg, and may not install it here. Install it (on Debian: apt-get install ffmpeg) and run make bench again." >&2; exit 1; \
	fi

# An input that is new is made small by a few tries: by default a minute goes into each, in which nothing else is tried.
fuzz: ## run each fuzz target for FUZZTIME (default 5m)
	@for package in $$($(GO) list ./...); do \
		names=$$($(GO) test -list '^Fuzz' $$package); \
		for name in $$names; do \
			case $$name in Fuzz*) ;; *) continue ;; esac; \
			echo "== $$package $$name"; \
			$(GO) test -run '^$$' -fuzz "^$$name$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x $$package; \
		done; \
	done

soak: assets ## the long runs: the server killed 200 times, a thousand pauses in one panel, a hundred thousand histories, a thousand tapes
	OFFRECORD_KILL_CYCLES=200 $(GO) test -count=1 -v -timeout 60m -run 'Killed' ./web ./web/audit
	OFFRECORD_CYCLES=1000 $(GO) test -count=1 -v -timeout 30m -run '^TestCyclesLeaveNothing$$' ./e2e
	$(GO) test -count=1 -timeout 60m -run '^(TestNoPauseIsForgottenAndNoneIsEndedUnsafely|TestThePlatformEndsAsTheAgentLastWantedOrItIsSaidToBeUnknown)$$' ./web/dispatch -rapid.checks=100000
	OFFRECORD_TRUTH_WORLDS=40 $(GO) test -count=1 -v -timeout 60m -run '^TestGroundTruth$$' ./web/evidence

screenshots: build ## make the README's pictures
	$(GO) run ./e2e/screenshots

clean: ## remove what was built, and what failed tests left behind
	rm -rf bin .demo e2e/failures
	find web/site/dist -mindepth 1 ! -name .keep -delete
