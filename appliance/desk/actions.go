package desk

import (
	"context"
	"fmt"
	"time"

	"mohr.internal/kiosk/cmp/cmptest"
)

// answers are the CA's behaviours as the page offers them; the first is the usual one.
var answers = []struct {
	title     string
	behaviour cmptest.Behaviour
}{
	{"issues", cmptest.Behaviour{Kind: cmptest.Issue}},
	{"waits, 2 polls", cmptest.Behaviour{Kind: cmptest.WaitPolls, N: 2}},
	{"waits", cmptest.Behaviour{Kind: cmptest.WaitReleased}},
	{"rejects", cmptest.Behaviour{Kind: cmptest.Reject, Text: "the documents were not found in order"}},
	{"garbage", cmptest.Behaviour{Kind: cmptest.Garbage}},
	{"silence", cmptest.Behaviour{Kind: cmptest.Silence}},
	{"another key", cmptest.Behaviour{Kind: cmptest.OtherKey}},
	{"another person", cmptest.Behaviour{Kind: cmptest.OtherSubject}},
	{"another transaction", cmptest.Behaviour{Kind: cmptest.OtherTransaction}},
	{"wrong nonce", cmptest.Behaviour{Kind: cmptest.WrongNonce}},
	{"foreign signer", cmptest.Behaviour{Kind: cmptest.ForeignSigner}},
	{"truncated", cmptest.Behaviour{Kind: cmptest.Truncated}},
	{"10 MB", cmptest.Behaviour{Kind: cmptest.Huge}},
	{"a web page", cmptest.Behaviour{Kind: cmptest.HTML200}},
	{"unsigned error", cmptest.Behaviour{Kind: cmptest.UnprotectedError}},
	{"HTTP 500", cmptest.Behaviour{Kind: cmptest.HTTP500}},
	{"HTTP 503", cmptest.Behaviour{Kind: cmptest.HTTP503, N: 2}},
	{"breaks off", cmptest.Behaviour{Kind: cmptest.DropAfterIssue}},
}

// State is the bench as it is now.
func (w *World) State() State {
	s := State{Network: w.network.on(), Answers: w.CA.Behaviour().Kind.String(), Date: w.Now().Format(time.DateOnly)}
	for _, a := range answers {
		s.Choices = append(s.Choices, Answer{Key: a.behaviour.Kind.String(), Title: a.title})
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s.Days = int(w.shift / (24 * time.Hour))
	plugged := make(map[Kind]bool)
	for _, k := range w.in {
		plugged[k] = true
	}
	for _, d := range w.Place.Devices {
		s.Tokens = append(s.Tokens, TokenState{
			Key: string(d.Kind), Role: d.Role, Title: d.Title, TitleFa: d.TitleFa, Note: d.describe(), In: plugged[d.Kind],
			Odd: d.Kind != Citizen && d.Kind != Officer && d.Kind != Second && d.Kind != Unknown,
		})
	}
	for _, p := range w.programs {
		state := ProgramState{Name: p.Name}
		if run := w.runs[p.Name]; run != nil {
			state = run.state()
		}
		s.Programs = append(s.Programs, state)
	}
	return s
}

// describe says who holds the token and how to use it.
func (d *Device) describe() string {
	text := d.Note
	add := func(s string) {
		if text != "" {
			text += "; "
		}
		text += s
	}
	if d.Certificate != nil {
		add(d.Person.Given + " " + d.Person.Family + ", ID " + d.Person.NationalID)
	}
	if d.Token != nil {
		add("PIN " + d.Token.PIN)
	}
	return text
}

// Changed returns a channel that is closed when State has a new answer.
func (w *World) Changed() <-chan struct{} { return w.news.changed() }

// Do makes one thing happen.
func (w *World) Do(ctx context.Context, a Action) error {
	switch a.Do {
	case "insert":
		return w.Insert(ctx, Kind(a.What))
	case "remove":
		return w.Remove(ctx, Kind(a.What))
	case "network":
		return w.Network(a.On)
	case "answers":
		for _, c := range answers {
			if c.behaviour.Kind.String() == a.What {
				w.Behave(c.behaviour)
				return nil
			}
		}
		return fmt.Errorf("desk: the CA has no answer %q", a.What)
	case "date":
		const century = 36500
		if a.Days < -century || a.Days > century {
			return fmt.Errorf("desk: a date off by %d days", a.Days)
		}
		return w.Shift(time.Duration(a.Days) * 24 * time.Hour)
	case "power":
		return w.PowerCut(ctx)
	}
	return fmt.Errorf("%w: %q", errNoAction, a.Do)
}
