/* memory.c - see memory.h.  Must not be needed for correctness. */
#include <string.h>
#include "broker/msg/booking.h"
#include "web/memory.h"

static _Atomic int64_t *known_row(const struct memory *m, int64_t doctor)
{
	const uint64_t h = (uint64_t) doctor * UINT64_C(0x9e3779b97f4a7c15) >> 40;

	return ((struct memory *) (uintptr_t) m)->known[h % KNOWN_ROWS];
}

bool memory_knows(const struct memory *m, int64_t doctor)
{
	_Atomic int64_t *row = known_row(m, doctor);

	for (int i = 0; i < KNOWN_WAYS; i++)
		if (atomic_load_explicit(&row[i], memory_order_relaxed) == doctor)
			return true;
	return false;
}

void memory_know(struct memory *m, int64_t doctor)
{
	_Atomic int64_t *row = known_row(m, doctor);
	static _Atomic unsigned turn;

	for (int i = 0; i < KNOWN_WAYS; i++) {
		int64_t none = 0;

		if (atomic_compare_exchange_strong(&row[i], &none, doctor) || none == doctor)
			return;
	}
	atomic_store(&row[atomic_fetch_add(&turn, 1) % KNOWN_WAYS], doctor);
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

	atomic_store(&to->last_seq, p.last_seq);
	atomic_store(&to->waiting, p.waiting);
	atomic_store(&to->known, true);
}

int64_t memory_ahead(const struct memory *m, int64_t doctor, int64_t seq)
{
	const struct progress *p = &m->progress[partition_of(doctor)];
	int64_t last, waiting;

	if (seq <= 0 || !atomic_load(&p->known))
		return -1;
	last = atomic_load(&p->last_seq);
	waiting = atomic_load(&p->waiting);
	return seq <= last ? 0 : seq - last - 1 < waiting ? seq - last - 1 : waiting;
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
