/* named.c - see named.h.  Must not know a domain. */
#include <string.h>
#include "actors/core/named.h"

enum query query_named(const char *domain, const char *what)
{
	const size_t n = strlen(domain);
	enum query q = 0;

	for (; q < Q_COUNT; q++) {
		const char *name = query_text[q].name;

		if (strncmp(name, domain, n) == 0 && name[n] == '_' && strcmp(name + n + 1, what) == 0)
			break;
	}
	return q;
}
