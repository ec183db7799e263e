package server

import (
	"cmp"
	"fmt"

	"offrecord/web/config"
	"offrecord/web/platform/upstream"
	"offrecord/web/recordings"
)

// Recordings makes the client of a platform's Recordings API, which only 8x8 has.
func Recordings(p config.Platform, f recordings.Format, o upstream.Options) (*recordings.Client, error) {
	switch {
	case p.Kind != config.EightByEight:
		return nil, fmt.Errorf("%s is on %s, whose documents have no recordings API: choose a platform of kind 8x8", p.Name, p.Kind)
	case p.DataToken.IsZero():
		return nil, fmt.Errorf("%s has no data_token_file, which names the file that holds the tenant's Data Request Token: add it", p.Name)
	}
	client, err := recordings.New(recordings.Settings{BaseURL: p.BaseURL.URL, Tenant: cmp.Or(p.DataTenant, p.Tenant), DataToken: p.DataToken.String, Format: f}, o)
	if err != nil {
		return nil, fmt.Errorf("opening the recordings of %s: %w", p.Name, err)
	}
	return client, nil
}
