package outboxlink

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// Stuck is what is known about a parcel that has been tried and not settled.
type Stuck struct {
	ID       string
	Since    time.Time // first failure since kioskd started
	Tries    int       // without an answer, since then
	Answers  int       // that settled nothing: the CA waits, or the answer was refused
	Why      string    // of the last failure; "" if the last try was answered
	LastTry  time.Time
	NextTry  time.Time
	Restarts int // of syncd, as seen from its count of tries
}

// Queue is the officer's view of an outbox: which parcels are stuck, why, and when
// they are tried again. It wraps an Outbox and keeps nothing over a restart.
type Queue struct {
	Outbox
	now func() time.Time

	mu    sync.Mutex
	stuck map[string]*tracked
}

type tracked struct {
	Stuck
	row int // syncd's own count
}

// NewQueue watches an outbox.
func NewQueue(box Outbox, now func() time.Time) *Queue {
	return &Queue{Outbox: box, now: now, stuck: map[string]*tracked{}}
}

// Failed implements Outbox.
func (q *Queue) Failed(id string, f Failure) {
	now := q.now()
	q.mu.Lock()
	s := q.at(id, now)
	if s.row >= f.Tries {
		s.Restarts++
	}
	s.row = f.Tries
	s.Tries++
	s.Why, s.LastTry, s.NextTry = f.Why, now, now.Add(f.Next)
	q.mu.Unlock()
	q.Outbox.Failed(id, f)
}

// Answer implements Outbox.
func (q *Queue) Answer(id string, der []byte) (done bool, after time.Duration) {
	done, after = q.Outbox.Answer(id, der)
	now := q.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	if done {
		delete(q.stuck, id)
		return done, after
	}
	s := q.at(id, now)
	s.Answers++
	s.row, s.Why, s.LastTry, s.NextTry = 0, "", now, now.Add(after)
	return done, after
}

func (q *Queue) at(id string, now time.Time) *tracked {
	s := q.stuck[id]
	if s == nil {
		if len(q.stuck) >= crowded {
			q.drop()
		}
		s = &tracked{Stuck: Stuck{ID: id, Since: now}}
		q.stuck[id] = s
	}
	return s
}

// crowded is how many parcels are kept before those that were withdrawn are looked for.
const crowded = 64

// drop forgets what is pending no more.
func (q *Queue) drop() {
	pending := map[string]bool{}
	for _, p := range q.Pending() {
		pending[p.ID] = true
	}
	for id := range q.stuck {
		if !pending[id] {
			delete(q.stuck, id)
		}
	}
}

// List is what is stuck now, the longest first. What is pending no more is dropped.
func (q *Queue) List() []Stuck {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.drop()
	var out []Stuck
	for _, s := range q.stuck {
		out = append(out, s.Stuck)
	}
	slices.SortFunc(out, func(a, b Stuck) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID)) })
	return out
}
