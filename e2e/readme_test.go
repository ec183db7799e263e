package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image/png"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"offrecord/app/recording"
	"offrecord/web/config"
)

// The README is read by strangers, who believe it. What it says is held here against what is there.

// TestMain lets this binary stand in for curl, under its name, on a machine that has none.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "curl" {
		if err := curl(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "curl:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// curl does what the README's lines ask of it.
func curl(args []string) error {
	method, address, body, header, limit := http.MethodGet, "", "", http.Header{}, time.Minute
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "-s" || arg == "-sN":
		case !strings.HasPrefix(arg, "-"):
			address = arg
		case i+1 == len(args):
			return fmt.Errorf("%s needs a value", arg)
		default:
			i++
			switch arg {
			case "-H":
				name, value, _ := strings.Cut(args[i], ": ")
				header.Set(name, value)
			case "-d":
				method, body = http.MethodPost, args[i]
			case "--max-time":
				limit, _ = time.ParseDuration(args[i] + "s")
			default:
				return fmt.Errorf("%s isn't known to this stand-in", arg)
			}
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header = header
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(os.Stdout, answer.Body)
	return err
}

func readme(t *testing.T) string {
	t.Helper()
	return readFile(t, "README.md")
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(house, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// block is the README's fenced block of a language that holds a text.
func block(t *testing.T, language, holds string) string {
	t.Helper()
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(readme(t), -1) {
		if strings.Contains(m[1], holds) {
			return m[1]
		}
	}
	t.Fatalf("the README has no %s with %q", language, holds)
	return ""
}

// parse reads the README's configuration, with something added, as offrecord check would where its secrets are.
func parse(t *testing.T, more string) *config.Config {
	t.Helper()
	dir := t.TempDir()
	text := strings.Replace(block(t, "yaml", "platforms:"), "\nplatforms:", "\n"+more+"platforms:", 1)
	for _, m := range regexp.MustCompile(`_file: (\S+)`).FindAllStringSubmatch(text, -1) {
		file := filepath.Join(dir, m[1])
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("secret\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Parse([]byte(text), config.Environment{Dir: dir, Getenv: func(string) (string, bool) { return "secret", true }})
	if err != nil {
		t.Fatalf("the README's configuration is refused:\n%v\n%s", err, text)
	}
	return c
}

func TestREADMEsConfigurationIsTaken(t *testing.T) {
	c := parse(t, "")
	for _, w := range c.Warnings {
		t.Errorf("it is warned of: %s", w)
	}
	kinds := map[config.Kind]bool{}
	for _, p := range c.Platforms {
		kinds[p.Kind] = true
	}
	if len(kinds) != 3 {
		t.Errorf("it shows %d kinds of platform, and there are three", len(kinds))
	}
}

// What the README says to be taken without effect is warned of, and the other way round.
func TestREADMEKnowsWhatHasNoEffect(t *testing.T) {
	_, rest, _ := strings.Cut(readme(t), "Taken with a warning, and without effect in this version:")
	said, _, _ := strings.Cut(rest, "\n\n")
	var named []string
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(said, -1) {
		named = append(named, m[1])
	}
	const account = "\nplatforms: [{name: x, kind: 8x8, base_url: https://vcc-na4.8x8.com, tenant: x, action_token: \"${X}\", %s}]\nagents: [{email: x@acme.example, platform: x}]\n"
	samples := map[string]string{
		"spool": "store: sqlite:x.db\nspool: x", "retention": "store: sqlite:x.db\nretention: 8760h", "audit": "store: sqlite:x.db\naudit: {hash_identifiers: true}",
		"embed_origins": "embed_origins: [https://crm.example.com]",
		"max_pause":     "max_pause: 3m", "on_max_pause": "max_pause: 3m, on_max_pause: alert", "max_extensions": "max_pause: 3m, max_extensions: 1",
		"data_token_file": "data_token: \"${X}\"", "data_tenant": "data_tenant: y",
	}
	for key, sample := range samples {
		top, platform := sample, "routes: [server]"
		if !slices.Contains([]string{"spool", "retention", "audit", "embed_origins"}, key) {
			top, platform = "", sample
		}
		text := "listen: 127.0.0.1:0\nidentity: {demo: true}\n" + top + fmt.Sprintf(account, platform)
		c, err := config.Parse([]byte(text), config.Environment{Getenv: func(string) (string, bool) { return "secret", true }})
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		warned := slices.ContainsFunc(c.Warnings, func(f config.Finding) bool {
			return strings.Contains(f.Text, strings.TrimSuffix(key, "_file")) && strings.Contains(f.Text, "this version")
		})
		if warned != slices.Contains(named, key) {
			t.Errorf("%s is without effect: the configuration says %t, the README %t", key, warned, !warned)
		}
	}
	for _, key := range named {
		if samples[key] == "" {
			t.Errorf("the README says that %s has no effect, and no sample of it is known here", key)
		}
	}
}

// The policy is of one pair of sites, and of the panel's own check.
func TestREADMEsPolicy(t *testing.T) {
	var policy struct{ CookiesAllowedForUrls []string }
	if err := json.Unmarshal([]byte(block(t, "json", "CookiesAllowedForUrls")), &policy); err != nil {
		t.Fatal(err)
	}
	panels := map[string]int{}
	for _, pair := range policy.CookiesAllowedForUrls {
		site, top, ok := strings.Cut(pair, ",")
		for _, address := range []string{site, top} {
			if u, err := url.Parse(address); !ok || err != nil || u.Scheme != "https" || u.Host == "" || u.Path != "" {
				t.Errorf("%q isn't a pair of origins", pair)
			}
		}
		panels[top]++
		if platform := "base_url: " + site; site != top && !strings.Contains(readme(t), platform) {
			t.Errorf("the policy allows %s, which isn't the platform of the configuration", site)
		}
	}
	if len(policy.CookiesAllowedForUrls) != 2 || len(panels) != 1 {
		t.Errorf("the policy's pairs: %q", policy.CookiesAllowedForUrls)
	}
}

// Every target that the README names is the Makefile's, every path that it names is the API's, and every outcome and state
// has its line.
func TestREADMENamesWhatThereIs(t *testing.T) {
	text := readme(t)
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+):.*## `).FindAllStringSubmatch(readFile(t, "Makefile"), -1) {
		targets[m[1]] = true
	}
	for _, m := range regexp.MustCompile("(?m)(?:`|^)make ([a-z-]+)").FindAllStringSubmatch(text, -1) {
		if !targets[m[1]] {
			t.Errorf("the README names make %s, which make doesn't list", m[1])
		}
	}

	var api struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal([]byte(readFile(t, "web/httpapi/openapi.json")), &api); err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("`(GET|POST|DELETE|PUT) (/api/[^`?]+)`").FindAllStringSubmatch(text, -1) {
		if api.Paths[m[2]][strings.ToLower(m[1])] == nil {
			t.Errorf("the README names %s %s, which isn't in the API's description", m[1], m[2])
		}
	}

	for _, o := range []recording.Outcome{recording.Confirmed, recording.Accepted, recording.Sent, recording.NoCall, recording.NotEnabled, recording.Locked,
		recording.Denied, recording.NotFound, recording.Failed, recording.Unknown, recording.Superseded, recording.Attested} {
		if !strings.Contains(text, "\n| `"+string(o)+"` |") {
			t.Errorf("the README doesn't say what %s means", o)
		}
	}
	for _, s := range []recording.State{recording.Recording, recording.Pausing, recording.Paused, recording.Resuming, recording.Stopped, recording.Declined,
		recording.StateUnknown, recording.Idle} {
		if !regexp.MustCompile("(?m)^\\| [^|]*`" + string(s) + "`[^|]* \\|").MatchString(text) {
			t.Errorf("the README doesn't say what the state %s means", s)
		}
	}
}

// The commands that the README names are the program's.
func TestREADMEsCommands(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "offrecord")
	commandOutput(t, nil, "go", "build", "-o", binary, "./web")
	named := regexp.MustCompile("`offrecord ([a-z]+(?: [a-z]+)?)").FindAllStringSubmatch(readme(t), -1)
	if len(named) == 0 {
		t.Error("the README names no command")
	}
	for _, m := range named {
		commandOutput(t, nil, binary, append(strings.Fields(m[1]), "--help")...)
	}
}

func TestREADMEsPicturesAndLinks(t *testing.T) {
	pictures := 0
	for _, m := range regexp.MustCompile(`\]\(([^)#]+)\)|src="([^"]+)"`).FindAllStringSubmatch(readme(t), -1) {
		name := m[1] + m[2]
		if strings.Contains(name, "://") {
			continue
		}
		text := readFile(t, name)
		if filepath.Ext(name) != ".png" {
			continue
		}
		pictures++
		if picture, err := png.DecodeConfig(strings.NewReader(text)); err != nil || picture.Width < 600 {
			t.Errorf("%s: %v, %d wide", name, err, picture.Width)
		}
		if len(text) > 300_000 {
			t.Errorf("%s has %d bytes", name, len(text))
		}
	}
	if pictures == 0 {
		t.Error("the README shows nothing")
	}
}

// The API's lines are run as they stand, but for the port, against the demo that make run starts.
func TestREADMEsRequestsWork(t *testing.T) {
	bin := t.TempDir()
	for name, pkg := range map[string]string{"offrecord": "./web", "demo": "./e2e/demo"} {
		commandOutput(t, nil, "go", "build", "-o", filepath.Join(bin, name), pkg)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	var log logBuffer
	demo := exec.CommandContext(ctx, filepath.Join(bin, "demo"), "-offrecord", filepath.Join(bin, "offrecord"))
	demo.Stderr = &log
	demo.Cancel = func() error { return demo.Process.Signal(syscall.SIGTERM) }
	stdout, err := demo.StdoutPipe()
	if err == nil {
		err = demo.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		demo.Wait()
		if t.Failed() {
			t.Logf("the demo said:\n%s", &log)
		}
	}()
	at := map[string]string{}
	for lines := bufio.NewScanner(stdout); len(at) < 4 && lines.Scan(); {
		name, address, _ := strings.Cut(lines.Text(), " ")
		at[name] = address
		if !strings.Contains(readme(t), "\n| `"+name+"` |") {
			t.Errorf("the README doesn't say what %s is", name)
		}
	}
	panel, err := url.Parse(at["panel"])
	if err != nil || panel.Port() == "" {
		t.Fatalf("the demo's addresses: %v", at)
	}

	script := block(t, "sh", "curl")
	if !strings.Contains(script, "localhost:8080\n") {
		t.Fatal("the lines don't name the usual port")
	}
	script = strings.Replace(script, ":8080\n", ":"+panel.Port()+"\n", 1)
	run := exec.CommandContext(ctx, "bash", "-u", "-c", script)
	if _, err := exec.LookPath("curl"); err != nil {
		self, err := os.Executable()
		if err == nil {
			err = os.Symlink(self, filepath.Join(bin, "curl"))
		}
		if err != nil {
			t.Fatal(err)
		}
		run.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	}
	var complaints bytes.Buffer
	run.Stderr = &complaints
	out, err := run.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, &complaints)
	}
	got := string(out)
	for _, want := range []string{`"action":"pause"`, `"outcome":"confirmed"`, `"state":"paused"`, "event: state", `"action":"resume"`, `"state":"recording"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s isn't in what came:\n%s", want, got)
		}
	}
	if strings.Contains(got, `"type":"about:blank"`) {
		t.Errorf("a request is refused:\n%s", got)
	}
}
