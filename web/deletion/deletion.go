// Package deletion deletes what 8x8's archive holds, for the commands and the pages alike: that it is asked for is written down
// first, 8x8 is asked once, what it then has is looked at, and what came of it is written down, too.
//
// It asks nobody whether they are sure, chooses nothing and keeps nothing; whoever uses it does.
package deletion

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"offrecord/app/recording"
	"offrecord/web/audit"
	"offrecord/web/recordings"
)

// Thing is what is to be deleted, and how.
type Thing struct {
	Name string // the archive's
	What string // for example transcript
	Held string // what is deleted of it, with its article
	// Delete asks for it.
	Delete func(ctx context.Context, name string) (recordings.Deletion, error)
	// Gone looks whether it is, and what remains that nothing can be done about; an error if that can't be told.
	Gone func(ctx context.Context, name string) (gone bool, remains string, err error)
}

// Recordings is the part of an archive that recordings are deleted by.
type Recordings interface {
	Recording(ctx context.Context, name string) (recordings.Recording, error)
	DeleteRecording(ctx context.Context, name string) (recordings.Deletion, error)
}

// OfRecording is a recording, by its file's name.
func OfRecording(a Recordings, name string) Thing {
	return Thing{Name: name, What: "recording", Held: "the recording", Delete: a.DeleteRecording, Gone: func(ctx context.Context, name string) (bool, string, error) {
		_, err := a.Recording(ctx, name)
		if errors.Is(err, recordings.ErrNotFound) {
			return true, "", nil
		}
		return false, "", err
	}}
}

// Transcripts is the part of an archive that transcripts are deleted by.
type Transcripts interface {
	Transcript(ctx context.Context, guid string) (recordings.Transcript, error)
	DeleteTranscript(ctx context.Context, guid string) (recordings.Deletion, error)
}

// OfTranscript is a transcript, by its interaction's id. was is what it held; nil if that isn't known, and then nobody can tell
// afterwards whether it is gone: the interaction stays, with a dummy message.
func OfTranscript(a Transcripts, guid string, was *recordings.Transcript) Thing {
	return Thing{Name: guid, What: "transcript", Held: "the transcript's messages", Delete: a.DeleteTranscript, Gone: func(ctx context.Context, guid string) (bool, string, error) {
		if was == nil {
			return false, "", errors.New("what it held isn't known")
		}
		is, err := a.Transcript(ctx, guid)
		if errors.Is(err, recordings.ErrNotFound) {
			return true, "", nil
		}
		if err != nil {
			return false, "", err
		}
		for _, m := range is.Messages { // all but a dummy is to be gone
			for _, old := range was.Messages {
				if m == old && (len(is.Messages) > 1 || len(was.Messages) == 1) {
					return false, "", nil
				}
			}
		}
		for _, n := range is.CardNumbers() {
			if n.Doubt == "" {
				return true, "its metadata still holds " + n.Masked + ", which 8x8 has no call to delete", nil
			}
		}
		return true, "", nil
	}}
}

var (
	// ErrNotNoted means that the log couldn't be written. Beside an ending without an outcome, nothing was deleted.
	ErrNotNoted = errors.New("it couldn't be written down, so no more is deleted")
	// ErrStill is a deletion that 8x8 didn't do.
	ErrStill = errors.New("8x8 says that it was deleted, and still has it: look in 8x8's own screen")
)

// Ending is what came of a deletion.
type Ending struct {
	// Outcome is confirmed, accepted (nobody could look), not found, denied, failed or unknown; empty if nothing was asked for.
	Outcome recording.Outcome
	Detail  string // a sentence for the log
	Remains string // what nothing can be done about
}

// Carry carries a deletion out. about is the record of who deletes what, without what became of it. An error comes beside all
// that is neither confirmed nor accepted nor missing.
func (t Thing) Carry(ctx context.Context, about audit.Record, note func(context.Context, audit.Record) error) (Ending, error) {
	about.Kind, about.Detail = audit.Deletion, audit.NewText("To be deleted: "+t.Held+".")
	if err := note(ctx, about); err != nil {
		return Ending{}, fmt.Errorf("%s: %w: %w", t.Name, ErrNotNoted, err)
	}
	said, err := t.Delete(ctx, t.Name)
	end, err := t.judge(ctx, said, err)
	about.Outcome, about.Detail = end.Outcome, audit.NewText(end.Detail)
	var answered *recordings.Error
	if errors.As(err, &answered) && answered.Status != 0 {
		about.PlatformStatus = audit.NewText("HTTP " + strconv.Itoa(answered.Status))
	}
	// What was done is written down also if somebody has lost patience meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if noteErr := note(ctx, about); noteErr != nil {
		return end, fmt.Errorf("%s: what came of it: %w: %w", t.Name, ErrNotNoted, errors.Join(noteErr, err))
	}
	return end, err
}

// judge tells what came of a deletion from what 8x8 said, and from what it has now.
func (t Thing) judge(ctx context.Context, said recordings.Deletion, err error) (Ending, error) {
	var answered *recordings.Error
	switch {
	case errors.Is(err, recordings.ErrDenied):
		return Ending{Outcome: recording.Denied, Detail: "8x8 refused the data token, nothing was deleted."}, err
	case errors.As(err, &answered) && answered.Sent && (answered.Status == 0 || answered.Status >= 500):
		return Ending{Outcome: recording.Unknown, Detail: "It isn't known whether it was deleted: " + t.Held + "."}, err
	case err != nil:
		return Ending{Outcome: recording.Failed, Detail: "Nothing was deleted."}, err
	case said == recordings.Missing:
		return Ending{Outcome: recording.NotFound, Detail: "8x8 has no such " + t.What + "."}, nil
	}
	gone, remains, err := t.Gone(ctx, t.Name)
	switch {
	case err != nil:
		return Ending{Outcome: recording.Accepted, Detail: "8x8 says that it was deleted: " + t.Held + "."}, nil
	case !gone:
		return Ending{Outcome: recording.Failed, Detail: "8x8 says that it was deleted, and still has it: " + t.Held + "."},
			fmt.Errorf("%s: %w", t.Name, ErrStill)
	}
	end := Ending{Outcome: recording.Confirmed, Detail: "Deleted, and seen to be gone: " + t.Held + ".", Remains: remains}
	if remains != "" {
		end.Detail += " But " + remains + "."
	}
	return end, nil
}
