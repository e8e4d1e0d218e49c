/* named.h - a query by the name of its domain: what serves every domain knows none of them. */
#ifndef ACTORS_CORE_NAMED_H
#define ACTORS_CORE_NAMED_H
#include "query.h"

enum query query_named(const char *domain, const char *what);	/* Q_COUNT: there is none */
#endif
