package session

import "testing"

func TestRefusedBeforeSending(t *testing.T) {
	const address = "https://vcc-na4.8x8.com:8443/AGUI/controlRecording.php?action=pause"
	tests := []struct {
		policy, directive string
		want              bool
	}{
		{"frame-src 'self'", "frame-src", true},
		{"frame-src 'none'", "frame-src", true},
		{"frame-src", "frame-src", true},
		{"default-src 'self'", "frame-src", true},
		{"child-src https://else.example; default-src *", "frame-src", true},
		{"frame-src https://vcc-na4.8x8.com:8443", "frame-src", false},
		{"frame-src https://VCC-NA4.8x8.com/AGUI/", "frame-src", false},
		{"frame-src 'self' *.8x8.com", "frame-src", false},
		{"frame-src 'self' *.9x9.com", "frame-src", true},
		{"frame-src https:", "frame-src", false},
		{"frame-src http:", "frame-src", false}, // covers https, too
		{"frame-src wss:", "frame-src", true},
		{"frame-src *", "frame-src", false},
		{"FRAME-SRC 'self'; script-src *", "frame-src", true},
		{"form-action 'self'; default-src *", "form-action", true},
		{"default-src 'none'", "form-action", false}, // it doesn't fall back, so something else was meant
		{"script-src 'self'", "script-src", false},
		{"", "frame-src", false},
	}
	for _, tt := range tests {
		if got := refusedBeforeSending(tt.policy, tt.directive, address); got != tt.want {
			t.Errorf("%q by %s: %v", tt.policy, tt.directive, got)
		}
	}
	if refusedBeforeSending("frame-src 'none'", "frame-src", "://") {
		t.Error("an address that can't be read")
	}
}

func FuzzRefusedBeforeSending(f *testing.F) {
	f.Add("frame-src 'self' https://vcc.example", "frame-src", "https://vcc.example/x")
	f.Fuzz(func(t *testing.T, policy, directive, address string) {
		refusedBeforeSending(policy, directive, address)
		if refusedBeforeSending(policy+"; frame-src *", "frame-src", address) && refusedBeforeSending("frame-src *", "frame-src", address) {
			t.Error("a policy that allows everything refuses")
		}
	})
}
