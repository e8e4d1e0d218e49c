/*
 * limit.c - see limit.h.  One time per address (the generic cell rate algorithm) instead of a
 * count and a window: it needs one word, and nothing has to be reset.
 *
 * Must not know what is limited, nor a clock.
 */
#include <arpa/inet.h>
#include <string.h>
#include "broker/base/digest.h"
#include "web/limit.h"

enum { PROBES = 8 };
#define MINUTE INT64_C(60000000000)	/* nanoseconds */

static uint64_t salt;			/* nobody outside can aim at a slot */

__attribute__((constructor)) static void settle_in(void)
{
	digest_random(&salt, sizeof salt);
}

static uint64_t mix(uint64_t h)
{
	h = (h ^ salt) * UINT64_C(0xff51afd7ed558ccd);
	h = (h ^ h >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ h >> 33;
}

void limit_init(struct limit *l, int64_t per_minute)
{
	memset(l, 0, sizeof *l);
	l->cost = MINUTE / per_minute;
}

uint64_t limit_who(const char *address)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct in6_addr six;
	struct in_addr four;
	uint64_t net = 0;

	if (inet_pton(AF_INET, address, &four) == 1)
		return UINT64_C(1) << 63 | four.s_addr;
	if (inet_pton(AF_INET6, address, &six) != 1)
		return 1;
	if (memcmp(&six, mapped, sizeof mapped) == 0) {
		memcpy(&four, six.s6_addr + 12, 4);
		return UINT64_C(1) << 63 | four.s_addr;
	}
	memcpy(&net, &six, sizeof net);
	return net >> 1 | 2;		/* not 0, not an IPv4 one */
}

/* The slot of that address: its own, a free one, or the one that is paid for first; its debt
 * stays then, so that nobody gets rid of his by crowding the table. */
static struct limit_slot *slot_of(struct limit *l, uint64_t who)
{
	const uint64_t h = mix(who);
	struct limit_slot *best = NULL;

	for (uint64_t i = 0; i < PROBES; i++) {
		struct limit_slot *s = &l->slot[(h + i) % LIMIT_SLOTS];
		uint64_t has = atomic_load_explicit(&s->who, memory_order_relaxed);

		if (has == who ||
		    (has == 0 && atomic_compare_exchange_strong(&s->who, &has, who)) || has == who)
			return s;
		if (best == NULL || atomic_load(&s->until) < atomic_load(&best->until))
			best = s;
	}
	atomic_store(&best->who, who);
	return best;
}

int limit_take(struct limit *l, uint64_t who, int64_t now_us)
{
	struct limit_slot *s = slot_of(l, who);
	const int64_t now = now_us * 1000;
	int64_t was = atomic_load(&s->until), then;

	do {
		then = (was > now ? was : now) + l->cost;
		if (then - now > MINUTE)
			return (int) ((then - now - MINUTE + INT64_C(999999999)) /
				      INT64_C(1000000000));
	} while (!atomic_compare_exchange_weak(&s->until, &was, then));
	return 0;
}
