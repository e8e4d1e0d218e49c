/* rule.c - see rule.h.  Empty but in a test build. */
#include "broker/base/rule.h"

#ifdef HEALTHMED_MUTANTS
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

bool rule_holds(enum rule r)
{
	static const char *const name[] = {
#define X(name, text) #name,
		RULE_TABLE(X)
#undef X
	};
	const char *off = getenv("MUTANT");

	return off == NULL || strcmp(off, name[r]) != 0;
}

static bool is_here(const char *wish, const char *name, int passed)
{
	const size_t n = strlen(name);

	return wish != NULL && strncmp(wish, name, n) == 0 && strtol(wish + n, NULL, 10) == passed;
}

void crash_at(enum crash c)
{
	static const char *const name[] = {
#define X(name, text) #name,
		CRASH_TABLE(X)
#undef X
	};
	static _Atomic int passed[sizeof name / sizeof name[0]];
	const int n = atomic_fetch_add(&passed[c], 1) + 1;

	if (is_here(getenv("CRASH"), name[c], n))
		(void) raise(SIGKILL);
	if (is_here(getenv("FREEZE"), name[c], n))
		(void) raise(SIGSTOP);
}
#endif
