// Command demo is what `make run` starts: the simulated Agent Workspace and the real companion on loopback, with a
// configuration made for the occasion, no account and no certificate. It prints what to open, one "name URL" a line, and
// runs until it is interrupted.
//
// The companion is the built binary, run as anyone would run it; nothing of it is linked in.
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

	"offrecord/e2e/sim/agui"
)

// The demo's people and names. *.localhost is loopback in every browser, a secure context without a certificate, and its
// names are sites of their own: so the panel and the platform are as foreign to one another as in real life.
const (
	tenant         = "acme01"
	agentID        = "bill"
	agentEmail     = "bill@acme.example"
	supervisor     = "sam@acme.example"
	panelName      = "panel.localhost"
	workspaceName  = "agui.localhost"
	companionFirst = 8080
	workspaceFirst = 8088
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
	simPort := flags.Int("simulator-port", 0, fmt.Sprintf("the simulator's `port` (default %d, or a free one if that is taken)", workspaceFirst))
	verbose := flags.Bool("v", false, "show the companion's log")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return err
	} else if err != nil {
		return errUsage
	}

	ln, err := listen(*simPort, workspaceFirst)
	if err != nil {
		return fmt.Errorf("starting the simulator: %w", err)
	}
	port, err := pick(*panelPort, companionFirst)
	if err != nil {
		ln.Close()
		return fmt.Errorf("finding a port for the companion: %w", err)
	}
	panel := address(panelName, port)
	workspace := address(workspaceName, ln.Addr().(*net.TCPAddr).Port)

	sim := agui.New(agui.Config{
		Tenant:        tenant,
		Agents:        []agui.Agent{{ID: agentID, Email: agentEmail, Name: "Bill"}},
		PlainLoopback: true,
		CallAtLogin:   true,
		PanelURL:      panel + "/",
	})
	server := &http.Server{Handler: sim, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(ln) }()
	defer func() {
		sim.Close()
		err = errors.Join(err, server.Close())
		<-served
	}()

	dir, err := os.MkdirTemp("", "offrecord-demo-")
	if err != nil {
		return fmt.Errorf("making a place for the configuration: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	config, err := writeConfig(dir, port, panel, workspace, sim.ActionToken())
	if err != nil {
		return fmt.Errorf("writing the configuration: %w", err)
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

	fmt.Fprintf(stdout, "agent-workspace %s/\npanel %s/\n", workspace, panel)
	fmt.Fprintf(stderr, "\nOpen both side by side. Log in as Bill in the first: a recorded call starts. Then pause it in the panel as %s.\n"+
		"%s is a supervisor. Ctrl-C ends it all.\n", agentEmail, supervisor)
	select {
	case <-ctx.Done():
		return nil
	case <-c.exited:
		return errors.New("the companion ended by itself")
	case err := <-served:
		served <- err
		return fmt.Errorf("the simulator ended: %w", err)
	}
}

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
