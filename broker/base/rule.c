/* rule.c - see rule.h.  Empty but in a test build. */
#include "broker/base/rule.h"

#ifdef HEALTHMED_MUTANTS
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
#endif
