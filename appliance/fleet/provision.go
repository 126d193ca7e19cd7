package fleet

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"mohr.internal/appliance/fleet/entry"
)

// Provision makes the stream and the bucket, once, at the centre; kiosks may not.
// Three replicas survive the loss of one node. Messages can be neither deleted nor
// purged: what a kiosk was told is there stays there.
func Provision(ctx context.Context, js jetstream.JetStream, replicas int) error {
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: Stream, Description: "journals of all kiosks", Subjects: []string{Subject("*")}, Replicas: replicas,
		Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew,
		MaxMsgSize:  entry.MaxEntry + 1<<10,                                                      // and headers
		AllowDirect: true, DenyDelete: true, DenyPurge: true, Duplicates: 100 * time.Millisecond, // exactly-once is by sequence
	})
	if err != nil {
		return reply("make the stream", err)
	}
	_, err = js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
		Bucket: Bucket, Description: "issued certificates, sealed to their keys", Replicas: replicas, History: 1,
		Storage: jetstream.FileStorage, MaxValueSize: entry.MaxPickup,
	})
	if err != nil {
		return reply("make the bucket", err)
	}
	return nil
}
