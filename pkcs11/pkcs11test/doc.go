// Package pkcs11test has what tests of anything that uses a token need:
//
//   - Token, a software token that speaks the protocol of package pkcs11 and
//     fails on demand, verb by verb;
//   - RunContract, the one suite that every backend must pass: the software
//     token in process, the same behind a worker's pipe, and real modules
//     (pkcs11/module runs it on SoftHSM and NSS, with make test-modules on five, as a
//     Table);
//   - StartWorker, the software token in a worker process: the test binary
//     executes itself again, and can crash, hang and babble for real;
//   - Proxy, a real PKCS#11 module, made with the C compiler, that forwards to
//     another module and fails in chosen functions.
//
// The software token follows PKCS#11 v2.40 only as far as the verbs of package
// pkcs11 show it. It has no SO PIN, no PUK and no session objects. Its keys are
// in memory or in a file in clear: it is for tests and for nothing else.
package pkcs11test
