package kiosk

import (
	"slices"
	"testing"

	"mohr.internal/kiosk/receipt"
)

// A first renewal from the inserted token to the new certificate on it.
func TestFirstRenewal(t *testing.T) {
	counterTest(t, options{}, func(c *counter) {
		c.at("idle")
		c.walk("receipt")
		n := c.state(Receipted)
		r, _, err := c.trust.Verify(n.Receipt)
		if err != nil || r.State != receipt.Recorded {
			t.Errorf("receipt: %+v, %v", r, err)
		}
		c.walk("accepted")
		n = c.state(Loaded)
		if r, _, err := c.trust.Verify(n.Receipt); err != nil || r.State != receipt.Accepted {
			t.Errorf("receipt: %+v, %v", r, err)
		}
		c.walk("remove")
		c.walk("idle")
		c.unharmed(2)
		want := []string{
			"start", "TokenRead", "pin-try", "pin-result", "IdentityVerified", "OfficerApproved", "pin-try", "pin-result",
			"key-intent", "KeyReady", "evidence", "RequestSigned", "Stored", "Receipted", "Delivered", "Issued", "load-intent", "Loaded",
		}
		if got := c.story(); !slices.Equal(got, want) {
			t.Errorf("journal:\n got %v\nwant %v", got, want)
		}
	})
}
