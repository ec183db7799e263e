package config

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"offrecord/web/secret"
)

// maxFile bounds the file and each secret's file, in bytes.
const maxFile = 1 << 20

// Finding is one thing that is wrong, or not done, with the line it is about. Line 0 is the file as a whole.
type Finding struct {
	Line int
	Text string
}

func (f Finding) String() string {
	if f.Line == 0 {
		return f.Text
	}
	return fmt.Sprintf("line %d: %s", f.Line, f.Text)
}

// Findings is everything that is wrong with a file.
type Findings []Finding

func (f Findings) Error() string {
	lines := make([]string, len(f))
	for i, one := range f {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// Environment is where a configuration's outside values come from.
type Environment struct {
	// Getenv looks a variable up for ${NAME}.
	Getenv func(string) (string, bool)
	// Dir is where relative file names start.
	Dir string
}

// Load reads a configuration file. Relative names in it start at its own directory. The error is Findings where the file
// could be read.
func Load(file string) (*Config, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("opening the configuration: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return Parse(text, Environment{Getenv: os.LookupEnv, Dir: filepath.Dir(file)})
}

// Parse reads a configuration. The error is Findings.
func Parse(text []byte, env Environment) (*Config, error) {
	p := &parser{env: env, lines: map[string]int{}, fromEnv: map[string]bool{}}
	c := p.parse(text)
	if len(p.findings) > 0 {
		slices.SortStableFunc(p.findings, func(a, b Finding) int { return cmp.Compare(a.Line, b.Line) })
		return nil, slices.Compact(p.findings)
	}
	c.Digest = fmt.Sprintf("%x", sha256.Sum256(text))
	return c, nil
}

type parser struct {
	env      Environment
	findings Findings
	lines    map[string]int  // by path, such as platforms[0].base_url
	fromEnv  map[string]bool // paths whose whole value is one ${NAME}
}

func (p *parser) parse(text []byte) *Config {
	if len(text) > maxFile {
		p.add(0, "The file is too large for a configuration: at most 1 MiB.")
		return nil
	}
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			p.add(0, "The file is empty: give at least listen, identity, platforms and agents.")
		} else {
			p.addYAML(err)
		}
		return nil
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		p.add(0, "The file holds more than one document: leave out what follows the --- line.")
		return nil
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		p.add(root.Line, "The file must be a mapping, such as listen: 127.0.0.1:8080.")
		return nil
	}
	p.walk("", root)
	c := new(Config)
	p.known(reflect.TypeFor[Config](), root)
	if err := root.Decode(c); err != nil {
		p.addYAML(err)
	}
	if len(p.findings) > 0 {
		return nil // what isn't read can't be judged
	}
	p.check(c)
	return c
}

var (
	variable  = regexp.MustCompile(`\$\{([^}]*)\}`)
	plainName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// walk notes each value's line and expands ${NAME} in values, after YAML was read, so that a variable can't add keys.
func (p *parser) walk(path string, n *yaml.Node) {
	p.lines[path] = n.Line
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if key.Kind != yaml.ScalarNode {
				p.add(key.Line, "A key must be a plain word.")
				continue
			}
			if key.Value == "<<" {
				p.add(key.Line, "Merged mappings aren't supported: write the settings out.")
				continue
			}
			p.walk(join(path, key.Value), value)
			p.lines[join(path, key.Value)] = key.Line
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			p.walk(fmt.Sprintf("%s[%d]", path, i), item)
		}
	case yaml.AliasNode:
		p.add(n.Line, "Anchors and aliases aren't supported: write the value out.")
	case yaml.ScalarNode:
		if whole := variable.FindString(n.Value); whole != "" && whole == n.Value {
			p.fromEnv[path] = true
			n.Tag, n.Style = "", 0 // the variable's own text says whether it is a number or a truth value
		}
		n.Value = variable.ReplaceAllStringFunc(n.Value, func(reference string) string {
			name := reference[2 : len(reference)-1]
			if !plainName.MatchString(name) {
				p.add(n.Line, "${…} must hold the name of an environment variable.")
				return ""
			}
			value, ok := p.env.Getenv(name)
			if !ok || value == "" {
				p.add(n.Line, "The environment variable "+name+" isn't set: set it for the server, or name a *_file where the key has one.")
				return ""
			}
			return value
		})
	}
}

// known refuses the keys that a type doesn't have. The library does so only for text, and here the tree was changed.
func (p *parser) known(t reflect.Type, n *yaml.Node) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			p.known(t.Elem(), item)
		}
	case t.Kind() == reflect.Struct && n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if field, ok := field(t, key.Value); ok {
				p.known(field.Type, n.Content[i+1])
			} else {
				p.add(key.Line, fmt.Sprintf("The key %q isn't known here: correct it or leave it out.", bound(key.Value)))
			}
		}
	}
}

func field(t reflect.Type, key string) (reflect.StructField, bool) {
	for f := range t.Fields() {
		if tag := f.Tag.Get("yaml"); tag == key && tag != "-" && tag != "" {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (p *parser) add(line int, text string) { p.findings = append(p.findings, Finding{line, text}) }

// at adds a finding at a path, or at the nearest thing around it that the file has.
func (p *parser) at(path, text string) {
	p.add(p.line(path), text)
}

func (p *parser) line(path string) int {
	for {
		if line, ok := p.lines[path]; ok {
			return line
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return 0
		}
		path = path[:i]
	}
}

var (
	yamlLine    = regexp.MustCompile(`^(?:yaml: )?(?:unmarshal errors:\s+)?line (\d+): (.*)$`)
	doubleKey   = regexp.MustCompile(`^mapping key .* already defined at line (\d+)$`)
	wrongType   = regexp.MustCompile(`^cannot unmarshal .* into (\S+)$`)
	ourSentence = regexp.MustCompile(`^[A-Z].*\.$`)
)

// addYAML turns the library's errors into sentences; a value that it quotes is left out.
func (p *parser) addYAML(err error) {
	texts := []string{err.Error()}
	var several *yaml.TypeError
	if errors.As(err, &several) {
		texts = several.Errors
	}
	for _, text := range texts {
		line := 0
		if m := yamlLine.FindStringSubmatch(text); m != nil {
			line, _ = strconv.Atoi(m[1])
			text = m[2]
		}
		switch {
		case ourSentence.MatchString(text):
		case doubleKey.MatchString(text):
			text = "This key is there twice, first on line " + doubleKey.FindStringSubmatch(text)[1] + ": keep one."
		case wrongType.MatchString(text):
			text = "This must be " + wanted(wrongType.FindStringSubmatch(text)[1]) + "."
		default:
			text = "This isn't YAML as it is expected here: look at the indentation, the colons and the quotes."
		}
		p.add(line, text)
	}
}

func bound(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

func wanted(goType string) string {
	switch {
	case goType == "time.Duration":
		return "a duration such as 15s, 3m or 8760h"
	case goType == "bool":
		return "true or false"
	case goType == "int":
		return "a whole number"
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	case goType == "string", goType == "recording.Route", goType == "recording.Transport", goType == "identity.Role", goType == "config.Kind":
		return "a single text"
	default:
		return "a mapping of settings"
	}
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (s *Secret) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: This must be ${NAME}, the name of an environment variable.", n.Line)}}
	}
	s.String = secret.New(n.Value)
	return nil
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (u *URL) UnmarshalYAML(n *yaml.Node) error {
	wrong := func(text string) error {
		return &yaml.TypeError{Errors: []string{fmt.Sprintf("line %d: %s", n.Line, text)}}
	}
	if n.Kind != yaml.ScalarNode {
		return wrong("This must be an address such as https://example.com.")
	}
	parsed, err := url.Parse(n.Value)
	switch {
	case err != nil || parsed.Host == "" || parsed.Hostname() == "" || (parsed.Scheme != "https" && parsed.Scheme != "http"):
		return wrong("This isn't an address: write one such as https://example.com.")
	case parsed.User != nil:
		return wrong("An address must not hold a user or a password: use the settings for them.")
	case parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "":
		return wrong("An address must end before ? and #.")
	}
	if port := parsed.Port(); port != "" {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return wrong("The port of the address must be at most 65535.")
		}
	}
	u.URL = parsed
	return nil
}

// IsLoopback reports whether a host name or address is this machine: 127.0.0.0/8, ::1, localhost and *.localhost (RFC 6761).
func IsLoopback(host string) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}
