package server

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"offrecord/app/recording"
	"offrecord/web/audit"
)

func refused(agent, detail string) audit.Record {
	return audit.Record{Kind: audit.Refused, Outcome: recording.Denied, Agent: audit.NewID(agent), Detail: audit.NewText(detail)}
}

func TestAFloodOfRefusalsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var written []audit.Record
		f := refusals{write: func(r audit.Record) { written = append(written, r) }}
		for range 1000 {
			f.add(refused("bill@acme.example", "GET /api/v1/audit: forbidden"))
		}
		f.add(refused("jo@acme.example", "GET /api/v1/audit: forbidden"))
		if len(written) != 2 || written[0].Count != 1 {
			t.Fatalf("at once: %+v", written)
		}
		time.Sleep(refusalTime + time.Second)
		synctest.Wait()
		if len(written) != 3 || written[2].Count != 999 || written[2].Agent != audit.NewID("bill@acme.example") {
			t.Fatalf("after a minute: %+v", written)
		}

		written = nil
		total := int64(0)
		for i := range 5000 { // each from somewhere else
			f.add(refused(fmt.Sprint(i), "POST /api/v1/attempts: unauthenticated"))
		}
		f.close()
		f.add(refused("late", "too late"))
		for _, r := range written {
			total += r.Count
		}
		if len(written) > 2*refusalKinds+2 || total != 5000 {
			t.Errorf("%d records of %d refusals", len(written), total)
		}
	})
}
