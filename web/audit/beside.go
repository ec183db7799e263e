package audit

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Note writes records to the end of a store's log from outside the process that has it open, such as a command beside a running
// server, and returns once they are durable. They join the same chain: the store lets one transaction at a time move the log's
// end, and the other writer then takes up the new one. There is no spool here: what can't be noted mustn't be done. The next
// checkpoint is the server's. Of the configuration it uses Store, Key, HashIdentifiers and Now.
func Note(ctx context.Context, c Config, records ...Record) (err error) {
	k, err := parseKey(c.Key)
	if err != nil {
		return err
	}
	l := &Log{config: c, keys: k}
	if c.Now == nil {
		c.Now = time.Now
	}
	lines := make([]line, len(records))
	for i, r := range records {
		if r.Time.IsZero() {
			r.Time = c.Now()
		}
		if lines[i], err = r.seal(l.identify); err != nil {
			return err
		}
	}
	s, err := openStore(ctx, c.Store, k.public)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.db.Close()) }()
	for {
		// The last transaction's name stays the other writer's: by it, that one finds out whether its own was carried out.
		_, err := s.append(ctx, s.head.batch, lines, nil)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, errMoved):
			return fmt.Errorf("writing the audit store: %w", err)
		}
		if err := s.load(ctx); err != nil {
			return err
		}
	}
}
