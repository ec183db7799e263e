// Command demo is what `make run` starts: the simulated platforms and the real companion on loopback, with a configuration
// made for the occasion, no account and no certificate. It prints what to open, one "name URL" a line, and runs until it is
// interrupted.
//
// The companion is the built binary, run as anyone would run it. Of its packages only the log's is linked in, to write down a past.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// The demo's names. *.localhost is loopback in every browser, a secure context without a certificate, and its names are
// sites of their own: so the panel and the platforms are as foreign to one another as in real life.
const (
	panelName     = "panel.localhost"
	workspaceName = "agui.localhost"
	vonageName    = "vonage.localhost"
	cxoneName     = "cxone.localhost"
	crmName       = "crm.localhost"
	paymentName   = "pay.localhost" // the company whose frame takes a card in the CRM
)

// The ports that are tried first.
const (
	companionFirst = 8080
	platformsFirst = 8088
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// errUsage is a mistake in the flags, of which the flag package has already told.
var errUsage = errors.New("usage")

// run runs the demo until ctx ends, which is its good end. Only "name URL" lines go to stdout.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	binary := flags.String("offrecord", "bin/offrecord", "the companion's `binary`")
	panelPort := flags.Int("port", 0, fmt.Sprintf("the companion's `port` (default %d, or a free one if that is taken)", companionFirst))
	simPort := flags.Int("simulator-port", 0, fmt.Sprintf("the simulators' `port` (default %d, or a free one if that is taken)", platformsFirst))
	verbose := flags.Bool("v", false, "show the companion's log")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return errUsage
	}

	ln, err := listen(*simPort, platformsFirst)
	if err != nil {
		return fmt.Errorf("starting the simulators: %w", err)
	}
	port, err := pick(*panelPort, companionFirst)
	if err != nil {
		ln.Close()
		return fmt.Errorf("finding a port for the companion: %w", err)
	}
	panel := func(name string) string { return address(name, port) }
	platform := func(name string) string { return address(name, ln.Addr().(*net.TCPAddr).Port) }

	sims := newPlatforms(panel, platform)
	server := &http.Server{Handler: sims.handler(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	defer func() {
		sims.Close()
		err = errors.Join(err, server.Close())
		<-served
	}()

	dir, err := os.MkdirTemp("", "offrecord-demo-")
	if err != nil {
		return fmt.Errorf("making a place for the configuration: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	config, err := writeConfig(dir, port, panel(panelName), platform, sims)
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
	}

	if err := past(context.WithoutCancel(ctx), dir, sims.archive.Past()); err != nil {
		return fmt.Errorf("making up a past: %w", err)
	}
	var last tail
	log := io.Writer(&last)
	if *verbose {
		log = stderr
	}
	defer func() {
		if err != nil {
			io.WriteString(stderr, last.String()) // the companion's own words, before ours
		}
	}()
	c, err := startCompanion(*binary, config, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	if err := c.ready(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}

	fmt.Fprintf(stdout, "panel %s/\nagent-workspace %s/\nvonage %s/\ncxone %s/\ncrm %s/\n",
		panel(panelName), platform(workspaceName), platform(vonageName), platform(cxoneName), platform(crmName))
	fmt.Fprintf(stderr, hint, config)
	select {
	case <-ctx.Done():
		return nil
	case <-c.exited:
		return errors.New("the companion ended by itself")
	case err := <-served:
		served <- err
		return fmt.Errorf("the simulators ended: %w", err)
	}
}

// hint is what to do with the addresses. Becky's and Bill's workspace is one browser session, theirs in turn.
const hint = `
Put a platform and the panel side by side, log in to both as the same agent, and press Pause recording.

  Bill   8x8, by his browser's own session. 8x8 doesn't say whether it paused, so the panel doesn't either.
  Becky  8x8, by the server. 8x8 says what it did, and the panel shows it as confirmed.
  Vera   Vonage, and Nico on NICE CXone: by the server, confirmed by the platform's status. Their pages lead to
         a panel under a name of its own, so that all of them can be open in one browser.

The CRM has the panel in its own pages, and pauses by itself when somebody is about to type a card.
` + supervisor + ` is a supervisor: under Evidence, the recordings of Ada's calls wait to be listened to. For offrecord's commands, the configuration is
%s
Ctrl-C ends it all.
`

func address(name string, port int) string {
	return "http://" + net.JoinHostPort(name, strconv.Itoa(port))
}

// listen listens on loopback: on the wanted port, or else on the first choice, or else on a free one.
func listen(wanted, first int) (net.Listener, error) {
	port, err := pick(wanted, first)
	if err != nil {
		return nil, err
	}
	return net.Listen("tcp", hostPort("127.0.0.1", port))
}

// pick returns a port that nobody listens on. A browser tries a name's IPv6 address too, so it has to be free there as well.
func pick(wanted, first int) (int, error) {
	if wanted != 0 {
		if !free(wanted) {
			return 0, fmt.Errorf("port %d is taken: choose another, or leave the flag out", wanted)
		}
		return wanted, nil
	}
	if free(first) {
		return first, nil
	}
	for range 10 {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := ln.Addr().(*net.TCPAddr).Port
		ln.Close()
		if free(port) {
			return port, nil
		}
	}
	return 0, errors.New("no port is free")
}

func free(port int) bool {
	for _, host := range []string{"127.0.0.1", "::1"} {
		ln, err := net.Listen("tcp", hostPort(host, port))
		switch {
		case err == nil:
			ln.Close()
		case host == "127.0.0.1" || errors.Is(err, syscall.EADDRINUSE):
			return false
		} // else there is no IPv6 here
	}
	return true
}

func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
