package server

import (
	"net/url"
	"testing"

	"offrecord/web/config"
	"offrecord/web/platform/kinds"
	"offrecord/web/platform/upstream"
	"offrecord/web/secret"
)

// TestEveryKindIsFilled: a kind whose settings aren't all in the configuration is noticed here and not by a customer.
func TestEveryKindIsFilled(t *testing.T) {
	base := config.URL{URL: &url.URL{Scheme: "https", Host: "platform.example"}}
	key := config.Secret{String: secret.New("x")}
	p := config.Platform{BaseURL: base, TokenURL: base, Tenant: "t", Account: "a", ClientID: "id", ClientSecret: key, ActionToken: key, AccessKeyID: "id", AccessKeySecret: key}
	for _, k := range kinds.All() {
		p.Kind = config.Kind(k.Name)
		if _, err := open(p, upstream.Options{}); err != nil {
			t.Errorf("%s: %v", k.Name, err)
		}
	}
	if err := fill(new(struct{ Nowhere string }), p); err == nil {
		t.Error("a setting that isn't in the configuration was passed over")
	}
	if err := fill(new(struct{ Tenant int }), p); err == nil {
		t.Error("a setting of another type was passed over")
	}
	p.Kind = "zoom"
	if _, err := open(p, upstream.Options{}); err == nil {
		t.Error("an unknown kind was opened")
	}
}
