/*
 * handle.h - one request from its row to its answer: who, what, which way, and back.
 *
 * Everything a gateway knows is here; it is read by all threads and changed by none but through
 * the caches, which forget without harm.
 */
#ifndef WEB_HANDLE_H
#define WEB_HANDLE_H
#include <stdatomic.h>
#include "broker/admin.h"
#include "broker/base/nets.h"
#include "broker/bus.h"
#include "web/auth.h"
#include "web/crowd.h"
#include "web/ended.h"
#include "web/http.h"
#include "web/limit.h"
#include "web/memory.h"
#include "web/microcache.h"

/* One reader thread of the library's is the limit of a connection. */
enum { GATEWAY_BUSES = 2 };

struct gateway {
	struct bus      *bus[GATEWAY_BUSES];
	struct keyring  *auth;
	struct ended     ended;			/* sessions */
	struct admin    *admin;
	struct str       secret;		/* REQUEST_KEY */
	const char      *origins;		/* CORS_ORIGINS */
	struct nets      proxies;		/* TRUSTED_PROXIES */
	struct limit     requests, registrations, logins;
	struct crowd     crowd;			/* of those who wait */
	struct memory    memory;
	struct microcache microcache;
};

void handle(void *gateway, struct http_request *, struct http_answer *);	/* an http_fn */
#endif
