package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"mohr.internal/appliance/fleet/entry"
)

// bucket asks for the bucket once.
func (c *Client) bucket(ctx context.Context) (jetstream.KeyValue, error) {
	c.mu.Lock()
	kv := c.kv
	c.mu.Unlock()
	if kv != nil {
		return kv, nil
	}
	kv, err := c.js.KeyValue(ctx, Bucket)
	if err != nil {
		return nil, reply("bucket", err)
	}
	c.mu.Lock()
	c.kv = kv
	c.mu.Unlock()
	return kv, nil
}

// Lookup finds the sealed pick-up of a key; nil if there is none.
func (c *Client) Lookup(ctx context.Context, key entry.KeyID) ([]byte, error) {
	ctx, cancel := c.timeout(ctx)
	defer cancel()
	kv, err := c.bucket(ctx)
	if err != nil {
		return nil, err
	}
	e, err := kv.Get(ctx, key.String())
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, reply("look up "+key.String(), err)
	}
	if _, err := entry.PickupNotAfter(e.Value()); err != nil { // bounds it, too
		return nil, reply("look up "+key.String(), err)
	}
	return e.Value(), nil
}

// Put stores a sealed pick-up. It is idempotent: the same bytes again, or an older
// certificate for a key that has a newer one, are success and change nothing.
// ErrConflict is for another pick-up of the same age.
func (c *Client) Put(ctx context.Context, key entry.KeyID, pickup []byte) error {
	notAfter, err := entry.PickupNotAfter(pickup)
	if err != nil {
		return reply("store "+key.String(), err)
	}
	ctx, cancel := c.timeout(ctx)
	defer cancel()
	kv, err := c.bucket(ctx)
	if err != nil {
		return err
	}
	_, err = kv.Create(ctx, key.String(), pickup)
	if err == nil {
		return nil
	}
	if !isStale(err) {
		return reply("store "+key.String(), err)
	}
	there, err := kv.Get(ctx, key.String())
	if err != nil {
		return reply("store "+key.String(), err)
	}
	if bytes.Equal(there.Value(), pickup) {
		return nil
	}
	other, err := entry.PickupNotAfter(there.Value())
	switch {
	case err != nil:
		return reply("store "+key.String(), err)
	case other > notAfter:
		return nil
	case other == notAfter:
		return fmt.Errorf("%w: %v, revision %d", ErrConflict, key, there.Revision())
	}
	if _, err := kv.Update(ctx, key.String(), pickup, there.Revision()); err != nil {
		return reply("store "+key.String(), err)
	}
	return nil
}
