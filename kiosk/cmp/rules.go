package cmp

import "fmt"

// Rule names one check of this package: in errors, logs, tests and screens.
type Rule string

const (
	RuleSyntax     Rule = "CMP-SYNTAX"     // not one strict DER PKIMessage of a known kind
	RuleVersion    Rule = "CMP-VERSION"    // pvno is not 2 (RFC 9810, 7)
	RuleProtection Rule = "CMP-PROTECTION" // protection missing or wrong (RFC 9810, 5.1.3)
	RuleSigner     Rule = "CMP-SIGNER"     // protected by somebody who may not (RFC 9810, 4.5)
	RuleTID        Rule = "CMP-TID"        // another transactionID (RFC 9810, 5.1.1)
	RuleNonce      Rule = "CMP-NONCE"      // recipNonce is not our senderNonce (RFC 9810, 5.1.1)
	RuleBody       Rule = "CMP-BODY"       // a body that does not answer what was sent
	RuleReqID      Rule = "CMP-REQID"      // another certReqId (RFC 9483, 4.1)
	RuleStatus     Rule = "CMP-STATUS"     // status and content disagree (RFC 9810, 5.2.3)
	RuleCert       Rule = "CMP-CERT"       // no usable end-entity certificate in the answer
	RuleKey        Rule = "CMP-KEY"        // certificate or signer for another public key
	RuleSubject    Rule = "CMP-SUBJECT"    // subject differs from the one asked for
	RuleValidity   Rule = "CMP-VALIDITY"   // not valid now, or ends no later than the old one
	RuleChain      Rule = "CMP-CHAIN"      // certificate does not chain to the pinned CA
	RulePOP        Rule = "CMP-POP"        // no valid proof of possession (RFC 4211, 4)
	RuleOldCert    Rule = "CMP-OLDCERT"    // oldCertID is not the protecting certificate (RFC 9810, 5.3.5)
	RuleKeyUsage   Rule = "CMP-KEYUSAGE"   // certificate lacks digitalSignature (RFC 9483, 1.2)
	RuleAlgorithm  Rule = "CMP-ALGORITHM"  // key or signature algorithm not accepted
	RuleNested     Rule = "CMP-NESTED"     // nested and inner message disagree (RFC 9483, 5.2.2.1)
	RuleAttest     Rule = "CMP-ATTEST"     // attestation malformed, wrongly signed or for another request
	RuleOfficer    Rule = "CMP-OFFICER"    // attestation by somebody who is no officer
)

// CheckError is a broken rule. The caller branches on Rule.
type CheckError struct {
	Rule   Rule
	Detail string // what was wrong, lower case, naming the value
	Err    error  // cause, or nil
}

func (e *CheckError) Error() string { return fmt.Sprintf("cmp: %s (%s)", e.text(), e.Rule) }

// text leaves out package and rule, so that a rule caused by another reads as
// one sentence.
func (e *CheckError) text() string {
	switch cause := e.Err.(type) {
	case nil:
		return e.Detail
	case *CheckError:
		return e.Detail + ": " + cause.text()
	default:
		return e.Detail + ": " + cause.Error()
	}
}

func (e *CheckError) Unwrap() error { return e.Err }

func broken(rule Rule, format string, args ...any) error {
	return &CheckError{Rule: rule, Detail: fmt.Sprintf(format, args...)}
}

func brokenBy(rule Rule, err error, format string, args ...any) error {
	return &CheckError{Rule: rule, Detail: fmt.Sprintf(format, args...), Err: err}
}
