package desk

import "sync"

// notice tells any number of waiters that something changed. A waiter takes the channel first, looks
// at the state, and then waits: so no change falls between looking and waiting, and many changes in
// between are one wake-up.
type notice struct {
	mu sync.Mutex
	ch chan struct{}
}

// changed returns a channel that is closed at the next change.
func (n *notice) changed() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ch == nil {
		n.ch = make(chan struct{})
	}
	return n.ch
}

func (n *notice) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ch != nil {
		close(n.ch)
		n.ch = nil
	}
}
