// A PKCS#11 module for tests: forwards every function to the module named in
// PROXY_MODULE, appends the names of the functions called to PROXY_LOG, and
// fails as PROXY_FAULTS says, a comma-separated list of
//
//	C_Name:action[@n]
//
// where the n-th call of the function (every call if there is no @n) does:
//
//	segv       write to address 0
//	kill       SIGKILL
//	abort      call abort
//	hang       never return
//	stdout     print to standard output, then go on
//	rv=N       return N, nothing done
//	after=N    do it, then return N
//	flags=N    set these bits in CK_TOKEN_INFO.flags
//	serial=S   C_GetTokenInfo: CK_TOKEN_INFO.serialNumber begins so
//	other      C_GetFunctionList: a list of its own, which is not initialised
//	empty      C_GetSlotList: no slot
//	bare       C_GetAttributeValue: CKA_EC_POINT without its OCTET STRING
//	hide=N     C_GetAttributeValue: attribute N is unknown
//	true=N     C_GetAttributeValue: attribute N is CK_TRUE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ck;
typedef ck (*fn)(ck, ck, ck, ck, ck, ck, ck, ck);
struct list { unsigned char major, minor; fn f[68]; };
struct attribute { ck type; unsigned char *value; ck len; };

static struct list *real, mine;
static int calls[68];

// In the order of PKCS#11 v2.40, pkcs11f.h.
static const char *names[68] = {
	"C_Initialize", "C_Finalize", "C_GetInfo", "C_GetFunctionList", "C_GetSlotList", "C_GetSlotInfo", "C_GetTokenInfo",
	"C_GetMechanismList", "C_GetMechanismInfo", "C_InitToken", "C_InitPIN", "C_SetPIN", "C_OpenSession", "C_CloseSession",
	"C_CloseAllSessions", "C_GetSessionInfo", "C_GetOperationState", "C_SetOperationState", "C_Login", "C_Logout",
	"C_CreateObject", "C_CopyObject", "C_DestroyObject", "C_GetObjectSize", "C_GetAttributeValue", "C_SetAttributeValue",
	"C_FindObjectsInit", "C_FindObjects", "C_FindObjectsFinal", "C_EncryptInit", "C_Encrypt", "C_EncryptUpdate",
	"C_EncryptFinal", "C_DecryptInit", "C_Decrypt", "C_DecryptUpdate", "C_DecryptFinal", "C_DigestInit", "C_Digest",
	"C_DigestUpdate", "C_DigestKey", "C_DigestFinal", "C_SignInit", "C_Sign", "C_SignUpdate", "C_SignFinal",
	"C_SignRecoverInit", "C_SignRecover", "C_VerifyInit", "C_Verify", "C_VerifyUpdate", "C_VerifyFinal",
	"C_VerifyRecoverInit", "C_VerifyRecover", "C_DigestEncryptUpdate", "C_DecryptDigestUpdate", "C_SignEncryptUpdate",
	"C_DecryptVerifyUpdate", "C_GenerateKey", "C_GenerateKeyPair", "C_WrapKey", "C_UnwrapKey", "C_DeriveKey",
	"C_SeedRandom", "C_GenerateRandom", "C_GetFunctionStatus", "C_CancelFunction", "C_WaitForSlotEvent",
};

static void note(int i) {
	const char *path = getenv("PROXY_LOG");
	FILE *f = path ? fopen(path, "a") : NULL;
	if (f == NULL) return;
	fprintf(f, "%s\n", names[i]);
	fclose(f);
}

// action gives the action for this call, or NULL.
static const char *action(int i, char *buf, size_t size) {
	const char *p = getenv("PROXY_FAULTS");
	size_t n = strlen(names[i]);
	for (; p != NULL && *p; p = strchr(p, ','), p = p ? p + 1 : NULL) {
		if (strncmp(p, names[i], n) != 0 || p[n] != ':') continue;
		size_t len = strcspn(p + n + 1, ",");
		if (len >= size) continue;
		memcpy(buf, p + n + 1, len);
		buf[len] = 0;
		char *at = strchr(buf, '@');
		if (at != NULL) {
			if (atoi(at + 1) != calls[i]) continue;
			*at = 0;
		}
		return buf;
	}
	return NULL;
}

static ck call(int i, ck a, ck b, ck c, ck d, ck e, ck f, ck g, ck h) {
	char buf[64];
	note(i);
	calls[i]++;
	const char *act = action(i, buf, sizeof buf);
	const char *arg = act ? strchr(act, '=') : NULL;
	ck n = arg ? strtoul(arg + 1, NULL, 0) : 0;
	if (act == NULL) act = "";
	if (strcmp(act, "segv") == 0) *(volatile int *) 0 = 1;
	if (strcmp(act, "kill") == 0) raise(SIGKILL);
	if (strcmp(act, "abort") == 0) abort();
	while (strcmp(act, "hang") == 0) sleep(1);
	if (strcmp(act, "stdout") == 0) { printf("Token driver says hello\n"); fflush(stdout); }
	if (strncmp(act, "rv=", 3) == 0) return n;
	struct attribute *attr = (struct attribute *) c;
	if (strncmp(act, "hide=", 5) == 0 && attr->type == n) return 0x12;
	ck rv = real->f[i](a, b, c, d, e, f, g, h);
	if (strncmp(act, "after=", 6) == 0) return n;
	if (rv != 0) return rv;
	if (strncmp(act, "flags=", 6) == 0) *(ck *) (b + 96) |= n;
	if (strncmp(act, "serial=", 7) == 0) memcpy((char *) b + 80, act + 7, strnlen(act + 7, 16));
	if (strcmp(act, "empty") == 0) *(ck *) c = 0;
	if (strcmp(act, "bare") == 0 && attr->type == 0x181 && attr->value != NULL) {
		memmove(attr->value, attr->value + 2, attr->len - 2);
		attr->len -= 2;
	}
	if (strncmp(act, "true=", 5) == 0 && attr->type == n && attr->value != NULL) attr->value[0] = 1;
	return rv;
}

#define ARGS ck a, ck b, ck c, ck d, ck e, ck f, ck g, ck h
#define ONE(i) static ck f##i(ARGS) { return call(i, a, b, c, d, e, f, g, h); }
#define TEN(X, t) X(t##0) X(t##1) X(t##2) X(t##3) X(t##4) X(t##5) X(t##6) X(t##7) X(t##8) X(t##9)
#define ALL(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) TEN(X, 1) TEN(X, 2) TEN(X, 3) TEN(X, 4) TEN(X, 5) \
	X(60) X(61) X(62) X(63) X(64) X(65) X(66) X(67)
ALL(ONE)

static ck dead(ARGS) { return 0x190; }

ck C_GetFunctionList(struct list **out) {
	if (real == NULL) {
		const char *path = getenv("PROXY_MODULE");
		void *lib = path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
		ck (*get)(struct list **) = lib ? (ck (*)(struct list **)) dlsym(lib, "C_GetFunctionList") : NULL;
		if (get == NULL || get(&real) != 0) return 5;
		mine.major = real->major;
		mine.minor = real->minor;
#define SET(i) mine.f[i] = f##i;
		ALL(SET)
	}
	static struct list other;
	char buf[64];
	calls[3]++;
	const char *act = action(3, buf, sizeof buf);
	*out = &mine;
	if (act != NULL && strcmp(act, "other") == 0) {
		for (int i = 0; i < 68; i++) other.f[i] = dead;
		*out = &other;
	}
	return 0;
}
