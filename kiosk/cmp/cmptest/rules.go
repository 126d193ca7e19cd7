package cmptest

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"mohr.internal/kiosk/cmp"
)

// Rule names a check of the CA. Where package cmp has a rule for it, the CA
// uses that one; these are its own. The status string of a refusal ends with
// the rule in brackets.
type Rule = cmp.Rule

const (
	RuleUnnested  Rule = "CA-UNNESTED"  // no kiosk round the request
	RuleIssuer    Rule = "CA-ISSUER"    // a signer's certificate does not chain to our root
	RuleExpired   Rule = "CA-EXPIRED"   // a signer's certificate is not valid now
	RuleRevoked   Rule = "CA-REVOKED"   // a signer's certificate is revoked
	RuleTime      Rule = "CA-TIME"      // messageTime missing, too old or in the future
	RuleTemplate  Rule = "CA-TEMPLATE"  // the template asks for what is not given
	RuleSameKey   Rule = "CA-SAMEKEY"   // the old key again, where that is not allowed
	RuleInUse     Rule = "CA-INUSE"     // the transactionID belongs to another request
	RuleUnknown   Rule = "CA-UNKNOWN"   // no such transaction, or not one by this signer
	RuleConfirmed Rule = "CA-CONFIRMED" // nothing is left to confirm
)

// failInfo is the bit that goes with a rule (RFC 9810, 5.2.3).
var failInfo = map[Rule]cmp.FailInfo{
	cmp.RuleSyntax:     cmp.FailBadDataFormat,
	cmp.RuleVersion:    cmp.FailUnsupportedVersion,
	cmp.RuleProtection: cmp.FailBadMessageCheck,
	cmp.RuleSigner:     cmp.FailNotAuthorized,
	cmp.RuleTID:        cmp.FailBadRequest,
	cmp.RuleNonce:      cmp.FailBadSenderNonce,
	cmp.RuleBody:       cmp.FailBadRequest,
	cmp.RuleReqID:      cmp.FailBadRequest,
	cmp.RuleCert:       cmp.FailBadCertID,
	cmp.RuleKey:        cmp.FailBadCertTemplate,
	cmp.RuleSubject:    cmp.FailBadCertTemplate,
	cmp.RulePOP:        cmp.FailBadPOP,
	cmp.RuleOldCert:    cmp.FailBadCertID,
	cmp.RuleKeyUsage:   cmp.FailSignerNotTrusted,
	cmp.RuleAlgorithm:  cmp.FailBadAlg,
	cmp.RuleNested:     cmp.FailBadRequest,
	cmp.RuleAttest:     cmp.FailNotAuthorized,
	cmp.RuleOfficer:    cmp.FailNotAuthorized,
	RuleUnnested:       cmp.FailNotAuthorized,
	RuleIssuer:         cmp.FailSignerNotTrusted,
	RuleExpired:        cmp.FailSignerNotTrusted,
	RuleRevoked:        cmp.FailCertRevoked,
	RuleTime:           cmp.FailBadTime,
	RuleTemplate:       cmp.FailBadCertTemplate,
	RuleSameKey:        cmp.FailBadCertTemplate,
	RuleInUse:          cmp.FailTransactionIDInUse,
	RuleUnknown:        cmp.FailBadRequest,
	RuleConfirmed:      cmp.FailCertConfirmed,
}

func refuse(rule Rule, format string, args ...any) error {
	return &cmp.CheckError{Rule: rule, Detail: fmt.Sprintf(format, args...)}
}

// refusal returns what to tell the requester about err.
func refusal(err error) (cmp.FailInfo, string) {
	fail := cmp.FailBadRequest
	if check := (*cmp.CheckError)(nil); errors.As(err, &check) {
		if f, ok := failInfo[check.Rule]; ok {
			fail = f
		}
	}
	return fail, statusLine(err.Error())
}

// statusLine makes text fit for a PKIFreeText: valid UTF-8, not too long.
func statusLine(text string) string {
	const limit = 400
	text = strings.ToValidUTF8(text, "?")
	for len(text) > limit {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}
