/* attempts.c - see attempts.h.  Must not know a name: only keyed hashes of them come here. */
#include <pthread.h>
#include <string.h>
#include "actors/users/attempts.h"
#include "broker/base/clock.h"

enum { SETS = 2048, WAYS = 4 };		/* an account has one of four places; 192 KiB in all */

struct attempt { struct digest account; int64_t since; int failures; };

static struct attempt table[SETS][WAYS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* The place of an account, or the one that is worth the least. */
static struct attempt *place(struct digest account, int64_t now, bool *known)
{
	struct attempt *set, *least;
	uint64_t hash;

	memcpy(&hash, account.b, sizeof hash);
	least = set = table[hash % SETS];
	for (struct attempt *a = set; a < set + WAYS; a++) {
		if (a->failures > 0 && now - a->since >= ATTEMPTS_WINDOW_S * SECOND)
			a->failures = 0;
		*known = a->failures > 0 && memcmp(&a->account, &account, sizeof account) == 0;
		if (*known)
			return a;
		if (a->failures < least->failures)
			least = a;
	}
	return least;
}

bool attempts_allow(struct digest account, int64_t now)
{
	bool known;

	(void) pthread_mutex_lock(&lock);
	const struct attempt *a = place(account, now, &known);
	const bool allowed = !known || a->failures < ATTEMPTS_MAX;
	(void) pthread_mutex_unlock(&lock);
	return allowed;
}

void attempts_failed(struct digest account, int64_t now)
{
	bool known;

	(void) pthread_mutex_lock(&lock);
	struct attempt *a = place(account, now, &known);

	if (!known)
		*a = (struct attempt) { .account = account, .since = now };
	a->failures++;
	(void) pthread_mutex_unlock(&lock);
}

void attempts_forget(struct digest account)
{
	bool known;

	(void) pthread_mutex_lock(&lock);
	struct attempt *a = place(account, 0, &known);

	if (known)
		a->failures = 0;
	(void) pthread_mutex_unlock(&lock);
}
