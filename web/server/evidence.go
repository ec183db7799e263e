package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"offrecord/web/audit"
	"offrecord/web/config"
	"offrecord/web/evidence"
	"offrecord/web/httpapi"
	"offrecord/web/platform/upstream"
	"offrecord/web/recordings"
	"offrecord/web/secret"
)

// EvidencePlatforms are the platforms whose recordings can be checked, and what is said of each one, checkable or not. logged is
// the form in which the log has an agent's address.
func EvidencePlatforms(c *config.Config, logged func(string) string, o upstream.Options) (all []evidence.Platform, said []evidence.ReportPlatform, err error) {
	for _, p := range c.Platforms {
		one := evidence.ReportPlatform{Name: p.Name, Kind: string(p.Kind)}
		switch {
		case p.Kind != config.EightByEight:
			one.Note = "Its documents have no recordings API, so its recordings can't be checked"
		case p.DataToken.IsZero():
			one.Note = "It has no data_token_file, the tenant's Data Request Token, so its recordings can't be asked for"
		default:
			client, err := Recordings(p, recordings.XML, o)
			if err != nil {
				return nil, nil, err
			}
			one.Checkable = true
			all = append(all, evidence.Platform{Name: p.Name, Archive: archive{client}, Agents: evidenceAgents(c, p.Name, logged)})
		}
		said = append(said, one)
	}
	return all, said, nil
}

func evidenceAgents(c *config.Config, platform string, logged func(string) string) (agents []evidence.Agent) {
	for _, a := range c.Agents {
		if a.Platform == platform {
			agents = append(agents, evidence.Agent{Email: a.Email, Logged: logged(a.Email), Platform: platform, ID: a.AgentID})
		}
	}
	return agents
}

// archive is 8x8's as evidence needs it.
type archive struct{ client *recordings.Client }

// List implements evidence.Archive.
func (a archive) List(ctx context.Context, from, to time.Time) iter.Seq2[evidence.Recording, error] {
	return func(yield func(evidence.Recording, error) bool) {
		for r, err := range a.client.Recordings(ctx, recordings.Query{Dates: recordings.Between(from, to)}) {
			one := evidence.Recording{Name: r.Filename, AgentID: r.AgentID, Channel: r.Channel, Phone: r.PhoneNumber, Queue: r.QueueName, Transaction: r.TransactionID,
				Start: r.Start, Duration: r.Duration}
			if !yield(one, err) || err != nil {
				return
			}
		}
	}
}

// Open implements evidence.Archive.
func (a archive) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	d, err := a.client.Open(ctx, name)
	if errors.Is(err, recordings.ErrNotFound) {
		return nil, evidence.ErrGone
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// Delete implements evidence.Archive.
func (a archive) Delete(ctx context.Context, name string) error {
	if _, err := a.client.DeleteRecording(ctx, name); err != nil {
		return err
	}
	switch _, err := a.client.Recording(ctx, name); {
	case errors.Is(err, recordings.ErrNotFound):
		return nil
	case err != nil:
		return fmt.Errorf("looking whether it is gone: %w", err)
	}
	return errors.New("8x8 still lists it: delete it in 8x8's own screen")
}

// openEvidence starts what listens to the recordings: nothing without the log, whose pauses are looked for in them.
func (m *Main) openEvidence() (*httpapi.Evidence, error) {
	if m.journal == nil {
		return nil, nil
	}
	platforms, said, err := EvidencePlatforms(m.Config, m.journal.Identify, m.Upstream)
	if err != nil {
		return nil, err
	}
	key, err := audit.LoadKey(m.Config.Audit.SigningKeyFile, "")
	if err != nil {
		return nil, err
	}
	desk := &httpapi.Evidence{Platforms: said, Key: key, Store: evidence.NewStore(m.data), Chats: chats(m.Config, platforms)}
	if len(platforms) > 0 {
		m.evidence = evidence.New(evidence.Options{Store: desk.Store, Audit: m.journal, Platforms: platforms, Log: m.Log, Alert: m.alerts.Raise, Gentle: true, Retention: m.Config.Retention,
			Note: func(ctx context.Context, r audit.Record) error {
				r.Client = audit.Server
				_, err := m.journal.Append(ctx, httpapi.AskerOf(ctx).Sign(r))
				return err
			}})
		desk.Checker = m.evidence
	}
	return desk, nil
}

// chats are the archives of chats, each once.
func chats(c *config.Config, platforms []evidence.Platform) (all []httpapi.Chats) {
	var known []config.Platform
	for _, one := range platforms {
		with, ok := one.Archive.(archive)
		p, there := c.Platform(one.Name)
		if !ok || !there || slices.ContainsFunc(known, p.SameArchive) {
			continue
		}
		known = append(known, p)
		agents := map[string]string{}
		for _, a := range c.Agents {
			if q, ok := c.Platform(a.Platform); ok && a.AgentID != "" && q.SameArchive(p) {
				agents[a.AgentID] = a.Email
			}
		}
		all = append(all, httpapi.Chats{Platform: p.Name, Archive: with.client, Agents: agents})
	}
	return all
}

// closeEvidence ends a run that is under way; the next start goes on with it.
func (m *Main) closeEvidence() {
	if m.evidence != nil {
		m.evidence.Close()
	}
}

// EvidenceOffline makes what listens to the recordings beside a server or without one, from the files of its configuration. What it
// finds is kept where the server's is; a server tells of the leaks.
func EvidenceOffline(c *config.Config, reader evidence.Log, store *evidence.Store, o upstream.Options) (*evidence.Checker, []evidence.ReportPlatform, error) {
	text, err := os.ReadFile(c.Audit.SigningKeyFile)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the log's signing key: %w", err)
	}
	key := secret.New(strings.TrimSpace(string(text)))
	logged, err := audit.Identifier(key, c.Audit.HashIdentifiers)
	if err != nil {
		return nil, nil, err
	}
	platforms, said, err := EvidencePlatforms(c, logged, o)
	if err != nil {
		return nil, nil, err
	}
	return evidence.New(evidence.Options{Store: store, Audit: reader, Platforms: platforms, Note: func(ctx context.Context, r audit.Record) error {
		r.Client = audit.Server
		return audit.Note(ctx, audit.Config{Store: c.StoreFile, Key: key, HashIdentifiers: c.Audit.HashIdentifiers}, r)
	}}), said, nil
}
