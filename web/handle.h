/*
 * handle.h - one request from its row to its answer: who, what, which way, and back.
 *
 * Everything a gateway knows is here; it is read by all threads and changed by none but through
 * the caches, which forget without harm.
 */
#ifndef WEB_HANDLE_H
#define WEB_HANDLE_H
#include <pthread.h>
#include <stdatomic.h>
#include "broker/admin.h"
#include "broker/bus.h"
#include "broker/partition.h"
#include "broker/request_id.h"
#include "web/auth.h"
#include "web/http.h"
#include "web/limit.h"

/* One reader thread of the library's is the limit of a connection. */
enum { GATEWAY_BUSES = 2 };
enum { KNOWN_ROWS = 1 << 13, KNOWN_WAYS = 8, SENT = 1 << 12 };

struct progress { _Atomic bool known; _Atomic int64_t last_seq, waiting; };
struct sent     { struct digest nonce; int64_t seq; };

struct gateway {
	struct bus    *bus[GATEWAY_BUSES];
	struct keyring   *auth;
	struct admin  *admin;
	struct str     secret;			/* REQUEST_KEY */
	const char    *origins;			/* CORS_ORIGINS */
	struct limit   requests, registrations, logins;
	_Atomic int64_t waiting;		/* for an actor */

	_Atomic int64_t known[KNOWN_ROWS][KNOWN_WAYS];	/* doctors that exist */
	struct progress progress[PARTITIONS];
	pthread_mutex_t sent_lock;		/* of our commands that were not decided in time */
	struct sent     sent[SENT];
};

void handle(void *gateway, struct http_request *, struct http_answer *);	/* an http_fn */
void handle_progress(void *gateway, const struct bus_msg *);			/* a bus_fn */

/* Parts of it that tests look at. */
struct prefer { bool async, waits; int64_t wait_s; };
struct prefer handle_prefer(struct str header);
bool          handle_key_is_good(struct str);		/* an Idempotency-Key */
bool          handle_etag_matches(struct str if_none_match, struct str etag);
bool          handle_is_json(struct str content_type);
/* -1: unknown */
int64_t       handle_ahead(const struct gateway *, int64_t doctor, int64_t seq);
err_t         handle_link(struct ctx *, struct str path, struct str query, struct str cursor,
			  struct str *) MUST_CHECK;
void          handle_know(struct gateway *, int64_t doctor);
bool          handle_knows(const struct gateway *, int64_t doctor);
#endif
