package httpapi

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
)

// Table lists the routes for the tests outside.
func Table() (routes []struct {
	Method, Path string
	Open, Page   bool
}) {
	for _, r := range table() {
		routes = append(routes, struct {
			Method, Path string
			Open, Page   bool
		}{r.method, r.pattern, r.who == anyone, r.page})
	}
	return routes
}

func TestEveryAPIRouteIsDescribedAndNothingElseIs(t *testing.T) {
	var described struct {
		Paths map[string]map[string]struct {
			OperationID string           `json:"operationId"`
			Security    *[]any           `json:"security"`
			RequestBody *struct{}        `json:"requestBody"`
			Responses   map[string]any   `json:"responses"`
			Parameters  []map[string]any `json:"parameters"`
		}
	}
	if err := json.Unmarshal(openapi, &described); err != nil {
		t.Fatal(err)
	}
	var have, want []string
	ids := map[string]bool{}
	for path, methods := range described.Paths {
		for method, operation := range methods {
			have = append(have, strings.ToUpper(method)+" "+path)
			if operation.OperationID == "" || ids[operation.OperationID] {
				t.Errorf("%s %s has no operationId of its own", method, path)
			}
			ids[operation.OperationID] = true
			if n := strings.Count(path, "{"); n != 0 && len(operation.Parameters) < n {
				t.Errorf("%s %s doesn't describe its parameters", method, path)
			}
		}
	}
	for _, r := range table() {
		if !strings.HasPrefix(r.pattern, "/api/") {
			continue
		}
		want = append(want, r.method+" "+r.pattern)
		operation := described.Paths[r.pattern][strings.ToLower(r.method)]
		if open := operation.Security != nil && len(*operation.Security) == 0; open != (r.who == anyone) {
			t.Errorf("%s %s: described as open: %v", r.method, r.pattern, open)
		}
		if _, says401 := operation.Responses["401"]; !says401 && r.who != anyone {
			t.Errorf("%s %s doesn't describe 401", r.method, r.pattern)
		}
	}
	slices.Sort(have)
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("described:\n%s\nserved:\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}

func TestTheDescriptionRefersToNothingThatIsMissing(t *testing.T) {
	var document map[string]any
	if err := json.Unmarshal(openapi, &document); err != nil {
		t.Fatal(err)
	}
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if ref, ok := v["$ref"].(string); ok {
				at := any(document)
				for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
					at, _ = at.(map[string]any)[part]
				}
				if at == nil {
					t.Errorf("%s is missing", ref)
				}
			}
			for _, value := range slices.Collect(maps.Values(v)) {
				walk(value)
			}
		case []any:
			for _, value := range v {
				walk(value)
			}
		}
	}
	walk(document)
}
