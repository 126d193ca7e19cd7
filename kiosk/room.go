package kiosk

// From these parts of the journal's quota on staff are told, and nobody new is begun
// with. Nothing is ever deleted: a kiosk that is full gets another memory card.
const (
	FillWarn = 0.80
	FillStop = 0.95
)

// What is kept free for those who were begun with. Each record takes whole pages of
// the journal, and one that does not fit into the rest of a segment leaves it empty.
const (
	// ceremonyRoom is what one citizen writes at most, from the token's insertion to
	// the certificate on it: the records with the largest messages there can be, and
	// maxEntries PINs of both people. The least journal that a configuration may ask
	// for has as much in its last 5 %.
	ceremonyRoom = 1 << 20
	// visitRoom is what a stored request still needs until its certificate is on the
	// token: more than twice what it writes with a CA that wants a confirmation.
	visitRoom = 96 << 10
)

// open says that a renewal has records to come: an answer, a certificate, a confirmation.
func (n *Renewal) open() bool { return n.State.Signed() && !n.Elsewhere || n.Confirm != nil }

// full says why nobody new may be begun with; nil if there is room for one more beside
// all that is open.
func (l *Ledger) full() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	fill, free, need := l.journal.Fill(), l.journal.Free(), ceremonyRoom+l.open*visitRoom
	if fill >= FillStop || free < need {
		return refuse(RuleStoreFull, "journal is full to %.1f %%; %d bytes free, %d renewals open", 100*fill, free, l.open)
	}
	return nil
}

// cramped says why a holder who comes back cannot be served either.
func (l *Ledger) cramped() error {
	if free := l.journal.Free(); free < visitRoom {
		return refuse(RuleStoreFull, "%d bytes free in the journal", free)
	}
	return nil
}

// remark journals what is good to know and nothing depends on. A journal that is full
// is kept for what was begun.
func (l *Ledger) remark(id RenewalID, event string, fill func(*Record)) error {
	if err := l.Failed(); err != nil {
		return err
	}
	if l.full() != nil {
		return nil
	}
	return l.note(id, event, fill)
}
