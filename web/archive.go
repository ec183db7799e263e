package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/uuid"

	"offrecord/web/audit"
	"offrecord/web/config"
	"offrecord/web/platform/upstream"
	"offrecord/web/recordings"
	"offrecord/web/server"
)

// account says whose recordings are meant.
type account struct {
	Config   string `required:"" placeholder:"FILE" help:"The configuration, a YAML file."`
	Platform string `placeholder:"NAME" help:"The platform, by its name in the configuration; left out, the one that has a data_token_file."`
}

// filters choose records. The empty ones are all.
type filters struct {
	Date          string   `placeholder:"DATES" help:"A day or a range, whose end isn't part of it: 2007-08-05 · 2007-08-05,2007-08-07 · '2007-08-05 13:15Z,2007-08-07 14:30Z' · 20070805T1315Z,20070807T1430Z · today-1d,today."`
	TZ            string   `name:"tz" placeholder:"ZONE" help:"The time zone of days and of times without Z, such as America/New_York; left out, the tenant's."`
	Where         []string `sep:"none" placeholder:"FIELD=VALUE" help:"Only records whose field has this value, such as agentID=bill. Upper and lower case matter. Can be repeated."`
	MetadataName  string   `placeholder:"TEXT" help:"Only records with a metadata field whose name holds this text."`
	MetadataValue string   `placeholder:"TEXT" help:"Only records with a metadata field whose value holds this text."`
}

// moments are filters that recordings have and transcripts don't.
type moments struct {
	Started  string `xor:"moment" placeholder:"TIME" help:"Only recordings that began within 5 seconds of it."`
	Finished string `xor:"moment" placeholder:"TIME" help:"Only recordings that ended within 5 seconds of it."`
}

func (f filters) empty() bool {
	return f.Date == "" && len(f.Where) == 0 && f.MetadataName == "" && f.MetadataValue == ""
}

// query makes a query of what was typed.
func (f filters) query(k recordings.Kind, m moments) (q recordings.Query, err error) {
	q = recordings.Query{Zone: f.TZ, MetaName: f.MetadataName, MetaValue: f.MetadataValue}
	if f.Date != "" {
		if q.Dates, err = recordings.ParseDates(f.Date); err != nil {
			return q, err
		}
	}
	for _, moment := range []struct {
		typed string
		to    *recordings.Moment
	}{{m.Started, &q.Start}, {m.Finished, &q.Finish}} {
		if moment.typed == "" {
			continue
		}
		if *moment.to, err = recordings.ParseMoment(moment.typed); err != nil {
			return q, err
		}
	}
	for _, where := range f.Where {
		name, value, ok := strings.Cut(where, "=")
		if !ok {
			return q, fmt.Errorf("%q has no value: write it as agentID=bill", where)
		}
		field, err := k.ParseField(name)
		if err != nil {
			return q, err
		}
		if q.Where == nil {
			q.Where = map[recordings.Field]string{}
		}
		q.Where[field] = value
	}
	return q, q.Check(k)
}

// archive is an open account.
type archive struct {
	*recordings.Client
	config   *config.Config
	platform config.Platform
}

// open opens the account, or says what is wrong and returns nil.
func (a account) open(complaints io.Writer) *archive {
	c, ok := load(a.Config, complaints)
	if !ok {
		return nil
	}
	p, err := a.choose(c)
	if err == nil {
		var client *recordings.Client
		if client, err = server.Recordings(p, recordings.XML, upstream.Options{}); err == nil {
			return &archive{client, c, p}
		}
	}
	fmt.Fprintf(complaints, "offrecord: %v.\n", err)
	return nil
}

func (a account) choose(c *config.Config) (config.Platform, error) {
	if a.Platform != "" {
		p, ok := c.Platform(a.Platform)
		if !ok {
			return p, fmt.Errorf("the configuration has no platform %q", a.Platform)
		}
		return p, nil
	}
	var with []config.Platform
	var names []string
	for _, p := range c.Platforms {
		if !p.DataToken.IsZero() {
			with, names = append(with, p), append(names, p.Name)
		}
	}
	switch {
	case len(with) == 0:
		return config.Platform{}, errors.New("no platform has a data_token_file, which names the file that holds the tenant's Data Request Token: add it to one of kind 8x8")
	case slices.ContainsFunc(with, func(p config.Platform) bool { return !p.SameArchive(with[0]) }):
		return config.Platform{}, fmt.Errorf("several platforms have recordings: choose one with --platform %s", strings.Join(names, " or --platform "))
	}
	return with[0], nil
}

// errReadUnnoted means that the log, which there is, couldn't be told who is about to read.
var errReadUnnoted = errors.New("it couldn't be written down, so it isn't read")

// reads writes down that somebody reads what may hold a card number, before it is read. Without a store there is no log for
// this, as there is none for anything else.
func (a *archive) reads(ctx context.Context, name, what string) error {
	if a.config.StoreFile == "" {
		return nil
	}
	r := a.note(name, "", "", uuid.NewString())
	r.Kind, r.Detail = audit.AuditRead, audit.NewText("read: "+what)
	if err := server.Note(ctx, a.config, r); err != nil {
		return fmt.Errorf("%s: %w: %w", what, errReadUnnoted, err)
	}
	return nil
}

// note is the record of what who runs the command does to a record of the archive, which is an agent's.
func (a *archive) note(name, agent, reason, run string) audit.Record {
	r := audit.Record{By: operator(), Role: audit.Admin, Client: audit.Server, Platform: audit.NewText(a.platform.Name),
		Agent: audit.NewID(agent), Call: audit.NewID(name), Reason: audit.NewText(reason), Request: audit.NewText(run)}
	for _, known := range a.config.Agents {
		if p, ok := a.config.Platform(known.Platform); ok && agent != "" && known.AgentID == agent && p.Tenant == a.platform.Tenant {
			r.Agent = audit.NewID(known.Email)
		}
	}
	return r
}
