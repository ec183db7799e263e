package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/build/constraint"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"offrecord/web/site/build/program"
)

// The house: what lies where, who may import whom, and what the browser's program may not link.

// house is the module's root, seen from these tests.
const house = ".."

func TestTopLevel(t *testing.T) {
	want := []string{"Makefile", "README.md", "app", "e2e", "go.mod", "go.sum", "wasm", "web"}
	var got []string
	for _, file := range projectFiles(t) {
		top, _, _ := strings.Cut(file, "/")
		if !strings.HasPrefix(top, ".") && top != "LICENSE" && !slices.Contains(got, top) {
			got = append(got, top)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the top level is %q, expected %q", got, want)
	}
}

// projectFiles are the files that belong to the project: what git knows, or, where there is no checkout, all but what is built.
func projectFiles(t *testing.T) []string {
	t.Helper()
	if _, err := os.Stat(filepath.Join(house, ".git")); err == nil {
		out := commandOutput(t, nil, "git", "ls-files", "-z")
		return strings.Split(strings.Trim(out, "\x00"), "\x00")
	}
	var all []string
	err := fs.WalkDir(os.DirFS(house), ".", func(file string, entry fs.DirEntry, err error) error {
		if file == "bin" || file == "e2e/failures" || file == "e2e/node_modules" {
			return fs.SkipDir
		}
		if err == nil && !entry.IsDir() {
			all = append(all, file)
		}
		return err
	})
	if err != nil {
		t.Fatalf("listing the project's files: %v", err)
	}
	return all
}

// Only the browser's program is written for a browser, and every file of it says so: the rest is the same on both sides, so
// that what is tested here is what runs there.
func TestBuildTags(t *testing.T) {
	for _, file := range projectFiles(t) {
		if path.Ext(file) != ".go" {
			continue
		}
		source, err := os.ReadFile(filepath.Join(house, file))
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		expr := buildTag(t, file, source)
		mentionsJS := expr != nil && (forJS(expr, true) != forJS(expr, false))
		name := strings.TrimSuffix(strings.TrimSuffix(file, ".go"), "_test")
		mentionsJS = mentionsJS || strings.HasSuffix(name, "_js") || strings.HasSuffix(name, "_wasm")
		switch inWASM := strings.HasPrefix(file, "wasm/"); {
		case !inWASM && mentionsJS:
			t.Errorf("%s is for the browser only, and outside ./wasm", file)
		case inWASM && !strings.HasSuffix(file, "_test.go") && !(expr != nil && forJS(expr, true) && !forJS(expr, false)):
			t.Errorf("%s has no build tag that keeps it to the browser (//go:build js)", file)
		}
	}
}

// buildTag is the file's //go:build line.
func buildTag(t *testing.T, file string, source []byte) constraint.Expr {
	t.Helper()
	for line := range bytes.Lines(source) {
		text := strings.TrimSpace(string(line))
		if strings.HasPrefix(text, "package ") {
			break
		}
		if constraint.IsGoBuild(text) {
			expr, err := constraint.Parse(text)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			return expr
		}
	}
	return nil
}

// forJS says whether the tag lets a file be built for a browser, or for the machine that the tests run on.
func forJS(expr constraint.Expr, js bool) bool {
	return expr.Eval(func(tag string) bool {
		switch tag {
		case "js", "wasm":
			return js
		case "linux", "unix", "amd64":
			return !js
		}
		return false
	})
}

// A goPackage is what `go list` says of a package.
type goPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func goPackages(t *testing.T) []goPackage {
	t.Helper()
	byPath := map[string]goPackage{}
	for _, env := range [][]string{nil, program.Env()} {
		out := commandOutput(t, env, "go", "list", "-e", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
		for dec := json.NewDecoder(strings.NewReader(out)); ; {
			var p goPackage
			err := dec.Decode(&p)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("reading what go list says: %v", err)
			}
			former := byPath[p.ImportPath] // what is built for one side only counts as well
			p.Imports = append(p.Imports, former.Imports...)
			p.TestImports = append(p.TestImports, former.TestImports...)
			p.XTestImports = append(p.XTestImports, former.XTestImports...)
			byPath[p.ImportPath] = p
		}
	}
	var all []goPackage
	for _, p := range byPath {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b goPackage) int { return strings.Compare(a.ImportPath, b.ImportPath) })
	return all
}

func TestImports(t *testing.T) {
	rules := []struct {
		who    string // a package and those below it
		tests  bool   // its tests, too
		not    func(imported string) bool
		reason string
	}{
		{"offrecord/app", true, within("offrecord/web", "offrecord/e2e", "offrecord/wasm"), "the shared part knows neither of its sides"},
		{"offrecord/app", false, within("net/http", "syscall/js", "github.com/hack-pad/safejs"), "the shared part has no side effects of a side"},
		{"offrecord/web", true, within("offrecord/e2e", "offrecord/wasm"), "the product knows nothing of its tests"},
		{"offrecord/wasm", true, within("offrecord/web", "offrecord/e2e"), "the server's code, and its secrets, stay on the server"},
		{"offrecord/app/recording", false, func(p string) bool {
			first, _, _ := strings.Cut(p, "/")
			return strings.Contains(first, ".") || first == "offrecord"
		}, "the vocabulary stands on the standard library alone"},
	}
	for _, p := range goPackages(t) {
		for _, rule := range rules {
			if !within(rule.who)(p.ImportPath) {
				continue
			}
			imports := slices.Clone(p.Imports)
			if rule.tests {
				imports = append(append(imports, p.TestImports...), p.XTestImports...)
			}
			slices.Sort(imports)
			imports = slices.Compact(imports)
			for _, imported := range imports {
				if rule.not(imported) {
					t.Errorf("%s imports %s: %s", p.ImportPath, imported, rule.reason)
				}
			}
		}
	}
}

// within matches the packages and those below them.
func within(packages ...string) func(string) bool {
	return func(imported string) bool {
		return slices.ContainsFunc(packages, func(p string) bool {
			return imported == p || strings.HasPrefix(imported, p+"/")
		})
	}
}

// What the browser's program may not link, whoever imports it. Importing isn't linking: go-app imports net/http, and the
// linker leaves out what nothing calls, until something calls it.
func TestLinked(t *testing.T) {
	forbidden := []struct{ symbol, reason string }{
		{"offrecord/web", "the server's code, and its secrets, stay on the server"},
		{"offrecord/e2e", "tests don't ship"},
		{`github.com/maxence-charriere/go-app/v9/pkg/app.(*Handler)`, "go-app's server side doubles the program (FACTS: 3.0 MB brotli)"},
		{"net/http.(*Server)", "a browser serves nobody"},
		{"net/http.(*Client)", "requests go by the browser's own fetch, which knows the page's policy and cookies; a second HTTP costs a third of the program"},
		{"net/http.(*Transport)", "the same"},
		{"net.(*Dialer)", "a page has no sockets"},
		{"crypto/tls.(*Conn)", "TLS is the browser's"},
		{"crypto/x509.(*Certificate).Verify", "TLS is the browser's"},
		{"text/template.(*Template).Execute", "templates call methods by name, so that the linker has to keep every method of every type"},
		{"text/template.(*Template).Parse", "the same"},
		{"html/template.(*Template)", "the same; go-app escapes"},
		{"reflect.Value.MethodByName", "the linker then keeps every exported method of every type"},
		{"reflect.(*rtype).MethodByName", "the same"},
		{"reflect.Value.Method", "the same"},
		{"regexp.Compile", "go-app's router can match expressions, and our routes are plain: the parser stays out"},
		{"regexp.MustCompile", "the same"},
		{"regexp/syntax.Parse", "the same"},
		{"encoding/gob.", "JSON is the only form on the wire"},
		{"encoding/xml.", "the same"},
		{"database/sql.(*DB)", "the store is the server's"},
		{"os/exec.", "a page starts no processes"},
	}
	edges, into := dumpdep(t)
	if _, ok := into["main.main"]; !ok {
		t.Fatalf("the linker's dump of %d symbols has no main.main", len(into))
	}
	for _, f := range forbidden {
		var found []string
		for symbol := range into {
			// A method's frame or string data isn't the method.
			if strings.HasPrefix(symbol, f.symbol) && edges[symbol] {
				found = append(found, symbol)
			}
		}
		if len(found) > 0 {
			slices.Sort(found)
			t.Errorf("%d symbols of %s are linked into the browser's program: %s. How it gets there:\n%s", len(found), f.symbol, f.reason, linkedBy(into, found[0]))
		}
	}
}

// dumpdep links the browser's program and returns which symbols refer to others, and for each one who refers to it.
func dumpdep(t *testing.T) (refers map[string]bool, into map[string][]string) {
	t.Helper()
	cmd := program.Build(t.Context(), house, filepath.Join(t.TempDir(), "app.wasm"), "-dumpdep")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("linking the browser's program: %v\n%.2000s", err, out)
	}
	refers, into = map[string]bool{}, map[string][]string{}
	attribute := regexp.MustCompile(` <[^>]*>$`)
	for line := range strings.Lines(string(out)) {
		from, to, ok := strings.Cut(strings.TrimSpace(line), " -> ")
		if !ok {
			continue
		}
		from, to = attribute.ReplaceAllString(from, ""), attribute.ReplaceAllString(to, "")
		refers[from] = true
		into[to] = append(into[to], from)
	}
	return refers, into
}

// linkedBy is the shortest way from the program's entry to the symbol.
func linkedBy(into map[string][]string, symbol string) string {
	next := map[string]string{symbol: ""}
	for queue := []string{symbol}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at == "_" { // the linker's root
			var way strings.Builder
			for s := at; s != ""; s = next[s] {
				fmt.Fprintf(&way, "\t%s\n", s)
			}
			return way.String()
		}
		for _, from := range into[at] {
			if _, seen := next[from]; !seen {
				next[from] = at
				queue = append(queue, from)
			}
		}
	}
	return "\t(nobody knows)"
}

// commandOutput is what a command prints of a command in the module's root.
func commandOutput(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = house, env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}
