package deletion_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"offrecord/app/recording"
	"offrecord/web/audit"
	"offrecord/web/deletion"
	"offrecord/web/recordings"
)

// It is noted before anything is sent, and what came of it after. Without the first note nothing is sent; without the second it is
// said what came of it all the same.
func TestADeletionIsNotedBeforeAndAfter(t *testing.T) {
	for name, test := range map[string]struct {
		fails   int // which note can't be written, from 1
		order   []string
		outcome recording.Outcome
		err     error
	}{
		"both":       {0, []string{"note ", "delete", "look", "note confirmed"}, recording.Confirmed, nil},
		"not before": {1, []string{"note "}, "", deletion.ErrNotNoted},
		"not after":  {2, []string{"note ", "delete", "look", "note confirmed"}, recording.Confirmed, deletion.ErrNotNoted},
	} {
		t.Run(name, func(t *testing.T) {
			var order []string
			ctx, leave := context.WithCancel(t.Context())
			thing := deletion.Thing{Name: "x", What: "recording", Held: "the recording", Delete: func(context.Context, string) (recordings.Deletion, error) {
				order = append(order, "delete")
				return recordings.Deleted, nil
			}, Gone: func(context.Context, string) (bool, string, error) {
				order = append(order, "look")
				leave() // whoever asked for it has lost patience
				return true, "", nil
			}}
			notes := 0
			end, err := thing.Carry(ctx, audit.Record{}, func(ctx context.Context, r audit.Record) error {
				order = append(order, "note "+string(r.Outcome))
				if notes++; notes == test.fails {
					return errors.New("the disk is full")
				}
				return ctx.Err()
			})
			if !slices.Equal(order, test.order) || end.Outcome != test.outcome || !errors.Is(err, test.err) {
				t.Errorf("%q, %q, %v", order, end.Outcome, err)
			}
		})
	}
}
