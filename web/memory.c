/* memory.c - see memory.h.  Must not be needed for correctness. */
#include <string.h>
#include "broker/base/clock.h"
#include "broker/msg/booking.h"
#include "broker/msg/facts.h"
#include "web/memory.h"

#define BEHIND SECOND

void memory_init(struct memory *m)
{
	memset(m, 0, sizeof *m);
	(void) pthread_mutex_init(&m->sent_lock, NULL);
	for (int p = 0; p < PARTITIONS; p++)
		(void) pthread_mutex_init(&m->progress[p].lock, NULL);
}

static struct known *known_row(struct memory *m, int64_t doctor)
{
	const uint64_t h = (uint64_t) doctor * UINT64_C(0x9e3779b97f4a7c15) >> 40;

	return m->known[h % KNOWN_ROWS];
}

/* Where that doctor is; NULL: nowhere. */
static struct known *known_at(struct memory *m, int64_t doctor)
{
	struct known *row = known_row(m, doctor);

	for (int i = 0; i < KNOWN_WAYS; i++)
		if (atomic_load_explicit(&row[i].doctor, memory_order_relaxed) == doctor)
			return &row[i];
	return NULL;
}

bool memory_knows(struct memory *m, int64_t doctor, int64_t now, bool *old)
{
	struct known *k = known_at(m, doctor);

	*old = false;
	if (k == NULL)
		return false;
	int64_t asks_at = atomic_load(&k->asks_at);

	*old = now >= asks_at && atomic_compare_exchange_strong(&k->asks_at, &asks_at, now + KNOWN_AGAIN);
	return true;
}

void memory_know(struct memory *m, int64_t doctor, int64_t now)
{
	struct known *row = known_row(m, doctor), *k = known_at(m, doctor);
	static _Atomic unsigned turn;

	for (int i = 0; k == NULL && i < KNOWN_WAYS; i++) {
		int64_t none = 0;

		if (atomic_compare_exchange_strong(&row[i].doctor, &none, doctor) || none == doctor)
			k = &row[i];
	}
	if (k == NULL) {
		k = &row[atomic_fetch_add(&turn, 1) % KNOWN_WAYS];
		atomic_store(&k->doctor, doctor);
	}
	atomic_store(&k->asks_at, now + KNOWN_FOR);
}

void memory_forget(struct memory *m, int64_t doctor)
{
	struct known *row = known_row(m, doctor);

	for (int i = 0; i < KNOWN_WAYS; i++) {
		int64_t was = doctor;

		(void) atomic_compare_exchange_strong(&row[i].doctor, &was, 0);
	}
}

void memory_erased(void *of, const struct bus_msg *msg)
{
	static _Thread_local unsigned char storage[16 << 10];
	struct facts f;
	struct arena mem;
	struct ctx c = { .mem = &mem };

	arena_init(&mem, storage, sizeof storage);
	if (msg_from_pack(&c, &facts_msg, bus_body(msg), &f).code != ERR_none)
		return;		/* what is known grows old by itself */
	for (size_t i = 0; i < f.items.n; i++)
		if (f.items.items[i].has.doctor_id)
			memory_forget(of, f.items.items[i].doctor_id);
}

/* All up to that sequence is decided. */
static void settle(struct progress *p, int64_t seq, int64_t now)
{
	if (p->owed != 0 && seq >= p->owed) {
		p->lag = now - p->owed_at;
		p->owed = 0;
	}
	if (p->ours == 0 && seq >= p->top)	/* nothing of ours is open */
		p->lag = 0;
}

void memory_progress(void *of, const struct bus_msg *msg)
{
	struct memory *m = of;
	static _Thread_local unsigned char storage[1024]; /* an arena poisons it: not the stack */
	struct booking_progress p;
	struct arena mem;
	struct ctx c = { .mem = &mem };

	arena_init(&mem, storage, sizeof storage);
	if (msg_from_pack(&c, &booking_progress_msg, bus_body(msg), &p).code != ERR_none)
		return;
	struct progress *to = &m->progress[p.partition];

	(void) pthread_mutex_lock(&to->lock);
	if (p.last_seq < to->last_seq)		/* another stream, whose sequences say nothing of the former's */
		to->top = to->owed = to->lag = 0;
	to->known = true;
	to->last_seq = p.last_seq;
	to->waiting = p.waiting;
	to->heard = clock_mono();
	settle(to, p.last_seq, to->heard);
	(void) pthread_mutex_unlock(&to->lock);
}

static struct progress *progress_of(const struct memory *m, int64_t doctor)
{
	struct progress *p = &((struct memory *) (uintptr_t) m)->progress[partition_of(doctor)];

	(void) pthread_mutex_lock(&p->lock);
	return p;
}

int64_t memory_ahead(const struct memory *m, int64_t doctor, int64_t seq)
{
	struct progress *p = progress_of(m, doctor);
	const int64_t between = seq - p->last_seq - 1;
	const int64_t ahead = seq <= 0 || !p->known ? -1 : between < 0 ? 0 :
			      between < p->waiting ? between : p->waiting;

	(void) pthread_mutex_unlock(&p->lock);
	return ahead;
}

bool memory_behind(const struct memory *m, int64_t doctor, int64_t now)
{
	struct progress *p = progress_of(m, doctor);
	const bool behind = p->lag > BEHIND || (p->ours > 0 && now - p->heard > BEHIND) ||
			    (p->owed != 0 && now - p->owed_at > BEHIND);

	(void) pthread_mutex_unlock(&p->lock);
	return behind;
}

void memory_waits(struct memory *m, int64_t doctor, int64_t now)
{
	struct progress *p = progress_of(m, doctor);

	if (p->ours++ == 0)
		p->heard = now;
	(void) pthread_mutex_unlock(&p->lock);
}

void memory_waited(struct memory *m, int64_t doctor, bool waited, int64_t began, int64_t now,
		   const struct bus_outcome *o)
{
	struct progress *p = progress_of(m, doctor);

	p->ours -= waited;
	if (o->seq > p->top)
		p->top = o->seq;
	if (o->state == OUTCOME_DECIDED) {
		p->heard = now;
		p->lag = now - began;
		settle(p, o->seq, now);
	} else if (o->state == OUTCOME_ACCEPTED && p->owed == 0) {
		p->owed = o->seq;
		p->owed_at = began;
	}
	(void) pthread_mutex_unlock(&p->lock);
}

void memory_decided(struct memory *m, int64_t doctor, int64_t seq, int64_t now)
{
	struct progress *p = progress_of(m, doctor);

	settle(p, seq, now);
	(void) pthread_mutex_unlock(&p->lock);
}

static struct sent *sent_at(struct memory *m, const struct digest *nonce)
{
	uint64_t h;

	memcpy(&h, nonce->b, sizeof h);
	return &m->sent[h % SENT];
}

void memory_sent(struct memory *m, const struct request_id *id, int64_t seq)
{
	struct sent *s = sent_at(m, &id->nonce);

	(void) pthread_mutex_lock(&m->sent_lock);
	*s = (struct sent) { id->nonce, seq };
	(void) pthread_mutex_unlock(&m->sent_lock);
}

int64_t memory_seq(struct memory *m, const struct request_id *id)
{
	const struct sent *s = sent_at(m, &id->nonce);
	int64_t seq;

	(void) pthread_mutex_lock(&m->sent_lock);
	seq = memcmp(&s->nonce, &id->nonce, sizeof s->nonce) == 0 ? s->seq : 0;
	(void) pthread_mutex_unlock(&m->sent_lock);
	return seq;
}
