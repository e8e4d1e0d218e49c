/* microcache.c - see microcache.h.  Must not know what an answer says, nor who may hear it. */
#include <string.h>
#include "broker/base/arena.h"
#include "broker/base/digest.h"
#include "broker/base/rule.h"
#include "web/microcache.h"

void microcache_init(struct microcache *m, int64_t keep)
{
	m->keep = keep;
	for (size_t i = 0; i < MICROCACHE_SETS; i++)
		(void) pthread_mutex_init(&m->set[i].lock, NULL);
}

/* Path and query as one text; false: too long to be kept. */
static bool key_of(struct str path, struct str query, char key[MICROCACHE_KEY], size_t *n)
{
	*n = path.n + 1 + query.n;
	if (*n > MICROCACHE_KEY)
		return false;
	memcpy(key, path.p, path.n);
	key[path.n] = '?';
	if (query.n > 0)
		memcpy(key + path.n + 1, query.p, query.n);
	return true;
}

static struct microcache_set *set_of(struct microcache *m, const char *key, size_t n)
{
	const struct str part = { key, n };
	const struct digest d = digest_of(STR(""), &part, 1);

	return &m->set[d.b[0] % MICROCACHE_SETS];
}

static bool is_of(const struct kept *k, const char *key, size_t n)
{
	return k->nkey == n && memcmp(k->key, key, n) == 0;
}

static struct str copy(struct arena *mem, const char *p, size_t n)
{
	char *to = arena_alloc(mem, n);

	return (struct str) { to == NULL ? NULL : memcpy(to, p, n), n };
}

bool microcache_get(struct microcache *m, struct arena *mem, struct str path, struct str query, int64_t now,
		    struct answer_kept *out)
{
	char key[MICROCACHE_KEY];
	bool found = false;
	size_t n;

	if (m->keep == 0 || !key_of(path, query, key, &n))
		return false;

	struct microcache_set *s = set_of(m, key, n);

	(void) pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < MICROCACHE_WAYS && !found; i++) {
		const struct kept *k = &s->way[i];

		if (!is_of(k, key, n) || now >= k->until ||
		    (k->changes != microcache_state(m, k->doctor) && RULE(own_change)))
			continue;
		*out = (struct answer_kept) { copy(mem, k->head, k->nhead), copy(mem, k->body, k->nbody) };
		found = out->head.p != NULL && out->body.p != NULL;
	}
	(void) pthread_mutex_unlock(&s->lock);
	return found;
}

uint64_t microcache_state(struct microcache *m, int64_t doctor)
{
	return doctor == 0 ? 0 : atomic_load(&m->changes[(uint64_t) doctor % MICROCACHE_DOCTORS]);
}

static size_t set_down(char *to, struct str from)
{
	if (from.n > 0)
		memcpy(to, from.p, from.n);
	return from.n;
}

void microcache_put(struct microcache *m, struct str path, struct str query, int64_t doctor, uint64_t state,
		    int64_t now, struct answer_kept a)
{
	char key[MICROCACHE_KEY];
	size_t n;

	if (m->keep == 0 || !key_of(path, query, key, &n) || a.head.n > MICROCACHE_HEAD || a.body.n > MICROCACHE_BODY)
		return;

	struct microcache_set *s = set_of(m, key, n);
	struct kept *to = s->way;

	(void) pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < MICROCACHE_WAYS && !is_of(to, key, n); i++)
		if (is_of(&s->way[i], key, n) || s->way[i].until < to->until)
			to = &s->way[i];	/* its own place, or that of the oldest */
	to->until = now + m->keep;
	to->doctor = doctor;
	to->changes = state;
	to->nkey = set_down(to->key, (struct str) { key, n });
	to->nhead = set_down(to->head, a.head);
	to->nbody = set_down(to->body, a.body);
	(void) pthread_mutex_unlock(&s->lock);
}

void microcache_changed(struct microcache *m, int64_t doctor)
{
	atomic_fetch_add(&m->changes[(uint64_t) doctor % MICROCACHE_DOCTORS], 1);
}
