package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// WebhookSink sends each checkpoint as a message. post delivers one and signs it for its receiver; the id is the checkpoint's
// own, so that one that comes twice is known as the same.
//
// The checkpoint is signed itself: a receiver that is tricked into keeping another one finds out when it verifies.
func WebhookSink(post func(ctx context.Context, id string, message []byte) error) Sink {
	return webhookSink(post)
}

type webhookSink func(ctx context.Context, id string, message []byte) error

// checkpointMessage is a message's JSON. Data.Checkpoint is what `audit verify --checkpoints` reads, each followed by a blank
// line.
type checkpointMessage struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      struct {
		Checkpoint string `json:"checkpoint"`
		Origin     string `json:"origin"`
		Size       int64  `json:"size"`
	} `json:"data"`
}

// Send implements Sink.
func (post webhookSink) Send(ctx context.Context, signed []byte) error {
	m := checkpointMessage{Type: "audit.checkpoint", Timestamp: time.Now().UTC()}
	m.Data.Checkpoint = string(signed)
	if _, err := fmt.Sscanf(string(signed), "%s\n%d\n", &m.Data.Origin, &m.Data.Size); err != nil {
		return fmt.Errorf("checkpoint webhook: this isn't a checkpoint: %w", err)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("checkpoint webhook: %w", err)
	}
	sum := sha256.Sum256(signed)
	if err := post(ctx, "checkpoint."+hex.EncodeToString(sum[:16]), body); err != nil {
		return fmt.Errorf("checkpoint webhook: %w", err)
	}
	return nil
}
