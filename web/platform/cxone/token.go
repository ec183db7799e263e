package cxone

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"offrecord/web/platform/upstream"
	"offrecord/web/secret"
)

// accessKey asks for tokens with an access key as JSON ("Authentication: get a token with an access key").
func accessKey(up *upstream.Client, to *url.URL, id string, key secret.String) upstream.SourceFunc {
	return func(ctx context.Context) (*oauth2.Token, error) {
		body, err := json.Marshal(map[string]string{"accessKeyId": id, "accessKeySecret": key.Reveal()})
		if err != nil {
			return nil, fmt.Errorf("write the access key: %w", err)
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.String(), bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json")
		resp, err := up.Do(req)
		if err != nil {
			return nil, err
		}
		if resp.Status < 200 || resp.Status > 299 {
			return nil, &upstream.StatusError{Response: resp}
		}
		var t struct {
			AccessToken string `json:"access_token"`
			ExpiresIn   int64  `json:"expires_in"`
		}
		if json.Unmarshal(resp.Body, &t) != nil || t.AccessToken == "" {
			return nil, upstream.ErrNoToken
		}
		return &oauth2.Token{AccessToken: t.AccessToken, ExpiresIn: t.ExpiresIn}, nil
	}
}

// password asks for tokens with the password grant (RFC 6749, section 4.3): the access key's id and secret are the user's
// name and password, the application's own id and secret go into the Authorization header.
func password(to *url.URL, id string, key secret.String, clientID string, client secret.String) upstream.SourceFunc {
	config := oauth2.Config{ClientID: clientID, ClientSecret: client.Reveal(),
		Endpoint: oauth2.Endpoint{TokenURL: to.String(), AuthStyle: oauth2.AuthStyleInHeader}}
	return func(ctx context.Context) (*oauth2.Token, error) {
		return config.PasswordCredentialsToken(ctx, id, key.Reveal())
	}
}
