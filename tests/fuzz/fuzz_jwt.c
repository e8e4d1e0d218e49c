/* fuzz_jwt.c - any text as Authorization: a token of the fuzzer's key with good claims, or refused.
 * The private key was thrown away; what it signed is in the corpus. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "web/auth.h"

#define NOW INT64_C(1800000000)

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static const char key[] =
	"-----BEGIN PUBLIC KEY-----\n"
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEPUQVoe1zvAOAf/joSb7qhCHxE+xR\n"
	"YI4QFQl3+HOLHRAl76GwiTX47kwMJ9GPqzNEdt6AcaeCZhZsS3tHhH81cA==\n"
	"-----END PUBLIC KEY-----\n";

static struct keyring *ring(void)
{
	char folder[] = "/tmp/healthmed-fuzz-XXXXXX", path[64], why[256] = "";
	struct keyring *a;
	FILE *f;

	assert(mkdtemp(folder) != NULL);
	(void) snprintf(path, sizeof path, "%s/fuzz.pem", folder);
	assert((f = fopen(path, "we")) != NULL);
	assert(fputs(key, f) >= 0 && fclose(f) == 0);
	a = auth_open(folder, "healthmed", "healthmed", why);
	(void) unlink(path);
	(void) rmdir(folder);
	assert(a != NULL);
	return a;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static struct keyring *a;
	static unsigned char storage[4096];
	struct arena mem;
	struct ctx c = { .mem = &mem }, again = { .mem = &mem };
	char *copy = malloc(size + 1);		/* headers end with NUL */
	int64_t exp, exp_again;
	err_t e;

	if (a == NULL)
		a = ring();
	if (copy == NULL)
		return 0;
	arena_init(&mem, storage, sizeof storage);
	memcpy(copy, data, size);
	copy[size] = '\0';
	const struct str header = str_of(copy);

	e = auth_check(&c, a, header, NOW, &exp);
	if (e.code == ERR_none)
		assert(c.user > 0 && (c.role == ROLE_PATIENT || c.role == ROLE_DOCTOR) && c.session >= 0 && exp > NOW);
	else
		assert(c.user == 0 && c.role == ROLE_NOBODY && c.session == 0);
	assert(auth_check(&again, a, header, NOW, &exp_again).code == e.code);
	assert(again.user == c.user && again.role == c.role && again.session == c.session);
	assert(e.code != ERR_none || exp_again == exp);
	free(copy);
	return 0;
}
