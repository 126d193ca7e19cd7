package kiosk

import (
	"context"
	"encoding/hex"
	"time"

	"mohr.internal/kiosk/check"
	"mohr.internal/kiosk/profile"
	"mohr.internal/pkcs11"
)

// maxNumber bounds a typed identity number.
const maxNumber = 20

// verifyIdentity leads the officer through document, number and face, and the
// holder through the terms. What failed is in the evidence; the screen says only
// that identity could not be verified, so that nobody learns by trying.
func (k *Kiosk) verifyIdentity(ctx context.Context, c *citizen, o *officer, id RenewalID) (*Evidence, error) {
	e := &Evidence{
		Version: evidenceVersion, Renewal: id[:], Officer: o.hash(), Profile: k.Profile.ID, ProfileVersion: k.Profile.Version,
		ProfileDigest: k.Profile.Digest[:], Started: k.Clock.Now().Unix(), Holder: c.ID, Warnings: c.warnings,
	}
	document, err := k.askDocument(ctx, c)
	if err != nil {
		return nil, err
	}
	e.Document = document.ID
	if document.HasID {
		if err := k.askNumber(ctx, c, e); err != nil {
			return nil, err
		}
	}
	features, err := document.Draw(k.Rand, min(k.Profile.Identity.FeaturesDrawn, len(document.Features)))
	if err != nil {
		return nil, err
	}
	if e.Features, err = k.examine(ctx, "feature", features); err != nil {
		return nil, err
	}
	if err := k.compareFace(ctx, e); err != nil {
		return nil, err
	}
	if err := k.Ledger.advance(id, IdentityVerified, func(r *Record) { r.Officer = o.hash() }); err != nil {
		return nil, err
	}
	if err := k.askTerms(ctx, e); err != nil {
		return nil, err
	}
	e.Ended = k.Clock.Now().Unix()
	return e, nil
}

// askDocument offers the documents that fit the holder.
func (k *Kiosk) askDocument(ctx context.Context, c *citizen) (profile.Document, error) {
	var fit []profile.Document
	for _, d := range k.Profile.Identity.Documents {
		if d.Primary && d.Foreign == (c.Kind == check.Foreign) {
			fit = append(fit, d)
		}
	}
	if len(fit) == 0 {
		return profile.Document{}, refuse(RuleIdentity, "profile %s has no document for a %s holder", k.Profile.ID, c.Kind)
	}
	choice, err := k.stage.ask(ctx, documentPage(fit))
	if err != nil {
		return profile.Document{}, err
	}
	for _, d := range fit {
		if d.ID == choice {
			return d, nil
		}
	}
	return profile.Document{}, &Refusal{Rule: RuleCancelled}
}

// askNumber has the officer type the number from the document in hand, which the
// kiosk has not shown in full. A wrong number and a slip of the finger look alike.
func (k *Kiosk) askNumber(ctx context.Context, c *citizen, e *Evidence) error {
	wrong := false
	for range max(1, k.Profile.Identity.TypingTries) {
		typed, err := k.stage.digits(ctx, maxNumber, nationalIDPage(wrong))
		if err != nil {
			return err
		}
		findings := check.TypedID(k.Profile, c.Holder, string(typed), false)
		pkcs11.Wipe(typed)
		if findings.Err() == nil {
			e.NumberMatched = true
			return nil
		}
		e.TypingErrors = append(e.TypingErrors, ruleOf(findings.Err()))
		wrong = true
	}
	return refuse(RuleIdentity, "number typed from the document: %v", e.TypingErrors)
}

// examine asks about each feature by itself. One no ends it.
func (k *Kiosk) examine(ctx context.Context, id string, features []profile.Feature) ([]Answer, error) {
	var answers []Answer
	for i, f := range features {
		choice, err := k.stage.ask(ctx, examinePage(id, f.Text, i+1, len(features)))
		if err != nil {
			return nil, err
		}
		switch choice {
		case choiceCancel:
			return nil, &Refusal{Rule: RuleCancelled}
		case choiceNo:
			return nil, refuse(RuleIdentity, "%s %s", id, f.ID)
		}
		answers = append(answers, Answer{ID: f.ID, Yes: true})
	}
	return answers, nil
}

// compareFace asks for the features of the face, and for as long as the profile
// wants the comparison to take at least. How long it took is in the evidence.
func (k *Kiosk) compareFace(ctx context.Context, e *Evidence) (err error) {
	start := k.Clock.Now()
	least := time.Duration(k.Profile.Identity.FaceSeconds) * time.Second
	enough := make(chan struct{})
	defer time.AfterFunc(least, func() { close(enough) }).Stop()
	if e.Face, err = k.examine(ctx, "face", k.Profile.Identity.Face); err != nil {
		return err
	}
	if k.Clock.Now().Sub(start) < least {
		choice, _, err := k.stage.await(ctx, faceWaitPage, enough, 0)
		if err != nil {
			return err
		}
		if choice == choiceCancel {
			return &Refusal{Rule: RuleCancelled}
		}
	}
	e.FaceMillis = k.Clock.Now().Sub(start).Milliseconds()
	return nil
}

// askTerms shows the terms to the holder, page after page; the version and hash of
// what was shown go into the evidence. Who changes the language on the way reads
// them from the start again: what was accepted was shown in full in one language.
func (k *Kiosk) askTerms(ctx context.Context, e *Evidence) error {
	terms := k.Profile.Terms
	lang := ""
	for lang != k.stage.book().Lang {
		lang = k.stage.book().Lang
		for n := range termsParts(in(terms.Text, k.stage.book())) {
			choice, err := k.stage.ask(ctx, termsPage(terms, n))
			if err != nil {
				return err
			}
			switch choice {
			case choiceCancel:
				return &Refusal{Rule: RuleCancelled}
			case choiceNo:
				return &Refusal{Rule: RuleTerms}
			}
			if lang != k.stage.book().Lang {
				break
			}
		}
	}
	shown := shownLanguage(terms.Text, lang)
	hash := terms.Hash(shown)
	e.TermsVersion, e.TermsLanguage, e.TermsHash = terms.Version, shown, hex.EncodeToString(hash[:])
	e.TermsAccepted = k.Clock.Now().Unix()
	return nil
}
