/*
 * search.c - see search.h.  Must not know how a card came to say what it says: that is cards.c.
 *
 * How a page is sought is told above the queries.  A search that many make, the first page, and a doctor's
 * own page are kept for less than a second: free slots come and go, and a booking is decided by the agenda.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "actors/core/db.h"
#include "actors/core/page.h"
#include "actors/users/cards.h"
#include "actors/users/place.h"
#include "actors/users/search.h"
#include "broker/base/digest.h"

enum {
	LOOK_FIRST = 500,	/* doctors of the order that are looked at before it is known how many fit */
	LOOK_ALL   = INT32_MAX,
	MANY       = 400,	/* so many who fit are sooner met in an order than gathered */
	MANY_APART = 800,	/* more, where meeting them is dearer, or gathering them cheaper */
	RARE       = 2500,	/* so many of a specialty or of a city are soon gathered */
	SLOTS_FEW  = 4096,	/* up to so many slots make a span brief */
	TERMS_MAX  = 32,	/* more than so many specialties or cities are no way to find doctors */
	SEARCH_MS  = 500,
	KEY        = 64,
};

#define USERS_TERM(F, T)                                             \
	F(T, BODY, TEXT,  filter,          REQ, 1, 16, -)            \
	F(T, BODY, TEXT,  term,            REQ, 1, 4096, -)          \
	F(T, BODY, INT,   doctors,         OPT, 0, INT64_MAX, -)
#define USERS_SEARCH(F, T)                                           \
	F(T, BODY, TEXT,  full_name,       OPT, 1, 255, -)           \
	F(T, BODY, TEXT,  specialty,       OPT, 1, 255, -)           \
	F(T, BODY, TEXT,  city,            OPT, 1, 255, -)           \
	F(T, BODY, TEXT,  state,           OPT, 1, 255, -)           \
	F(T, BODY, TEXT,  zip,             OPT, 1, 255, -)           \
	F(T, BODY, TEXT,  medical_id,      OPT, 1, 255, -)           \
	F(T, BODY, REAL,  avg_rating,      OPT, 0, 5, -)             \
	F(T, BODY, TIME,  available_from,  OPT, 0, TIME_MAX, -)      \
	F(T, BODY, TIME,  available_to,    OPT, 0, TIME_MAX, -)      \
	F(T, BODY, ENUM,  sort,            REQ, 0, 0, users_sort)    \
	F(T, BODY, INT,   after_id,        REQ, 0, INT64_MAX, -)     \
	F(T, BODY, TEXT,  after_name,      REQ, 0, PLACE_NAME, -)    \
	F(T, BODY, MONEY, after_price,     REQ, 0, INT64_MAX, -)     \
	F(T, BODY, REAL,  after_rating,    REQ, -6, 0, -)            \
	F(T, BODY, TIME,  after_next_slot, REQ, 0, TIME_MAX, -)      \
	F(T, BODY, INT,   look,            REQ, 1, LOOK_ALL, -)      \
	F(T, BODY, INT,   slots,           REQ, 0, SLOTS_FEW + 1, -) \
	F(T, BODY, BOOL,  brief,           REQ, 0, 0, -)             \
	F(T, BODY, INT,   rows,            REQ, 1, PAGE_MAX + 1, -)  \
	F(T, BODY, INT,   terms,           REQ, 1, TERMS_MAX + 1, -) \
	F(T, BODY, LIST,  specialties,     OPT, 0, TERMS_MAX, users_term) \
	F(T, BODY, LIST,  cities,          OPT, 0, TERMS_MAX, users_term)
#define USERS_SIZE(F, T)                                             \
	F(T, BODY, INT,   n,               REQ, 0, INT64_MAX, -)
#define USERS_FOUND(F, T)                                            \
	F(T, BODY, INT,   doctor_id,       REQ, 1, INT64_MAX, -)     \
	F(T, BODY, TEXT,  name,            OPT, 0, PLACE_NAME, -)    \
	F(T, BODY, MONEY, price,           OPT, 0, INT64_MAX, -)     \
	F(T, BODY, REAL,  rank,            OPT, -5, 0, -)            \
	F(T, BODY, TIME,  next_slot,       OPT, 0, TIME_MAX, -)
#define USERS_CIRCLE(F, T)                                           \
	F(T, BODY, INT,   user_id,         REQ, 1, INT64_MAX, -)     \
	F(T, BODY, INT,   after_id,        REQ, 0, INT64_MAX, -)     \
	F(T, BODY, INT,   rows,            REQ, 1, PAGE_MAX + 1, -)
MSG_DECLARE(users_term,   USERS_TERM)
MSG_DECLARE(users_search, USERS_SEARCH)
MSG_DECLARE(users_size,   USERS_SIZE)
MSG_DECLARE(users_found,  USERS_FOUND)
MSG_DECLARE(users_circle, USERS_CIRCLE)
MSG_DEFINE(users_term,    USERS_TERM)
MSG_DEFINE(users_search,  USERS_SEARCH)
MSG_DEFINE(users_size,    USERS_SIZE)
MSG_DEFINE(users_found,   USERS_FOUND)
MSG_DEFINE(users_circle,  USERS_CIRCLE)

struct found { struct users_found *items; size_t n; };
struct terms { struct users_term *items; size_t n; };

/* ---- what is asked ---- */

static err_t digits_of(struct ctx *c, struct str text, struct str *out)
{
	char *p = arena_alloc(c->mem, text.n + 1);
	size_t n = 0;

	if (p == NULL)
		return refuse(c, ERR_too_large, "no room for a zip");
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] >= '0' && text.p[i] <= '9')
			p[n++] = text.p[i];
	*out = (struct str) { p, n };
	return OK;
}

#define COPY(to, from, name)                                         \
	do {                                                         \
		if ((from)->has.name)                                \
			SET(to, name, (from)->name);                 \
	} while (0)

static err_t ask(struct ctx *c, const struct users_doctors_req *q, const struct page *page,
		 struct users_search *s)
{
	struct place at = place_before_all(q->has.sort ? q->sort : SORT_RATING);

	COPY(s, q, full_name);
	COPY(s, q, specialty);
	COPY(s, q, city);
	COPY(s, q, state);
	COPY(s, q, medical_id);
	COPY(s, q, avg_rating);
	if (q->has.zip) {
		TRY(digits_of(c, q->zip, &s->zip));
		s->has.zip = 1;
	}
	if (q->has.available_from || q->has.available_to) {
		SET(s, available_from, q->has.available_from ? q->available_from : 0);
		SET(s, available_to, q->has.available_to ? q->available_to : TIME_MAX);
		if (s->available_from > s->available_to)
			return fault(c, ERR_invalid, "available_to", "is before available_from");
	}
	if (q->has.cursor)
		TRY(place_read(c, q->cursor, at.sort, &at));
	SET(s, sort, at.sort);
	SET(s, after_id, at.id);
	SET(s, after_name, at.name);
	SET(s, after_price, at.price);
	SET(s, after_rating, at.rank);
	SET(s, after_next_slot, at.next_slot);
	SET(s, rows, page->rows);
	SET(s, terms, TERMS_MAX + 1);
	return OK;
}

static bool is_filtered(const struct users_search *s)
{
	return s->has.full_name || s->has.specialty || s->has.city || s->has.state || s->has.zip ||
	       s->has.medical_id || s->has.avg_rating || s->has.available_from;
}

/* ---- seeking ---- */

/* The specialties or cities that a filter means: more than are of use are not named at all. */
static struct terms named(const struct terms *all, const char *filter, int64_t *doctors)
{
	size_t first = 0, n = 0;

	*doctors = 0;
	for (size_t i = 0; i < all->n; i++)
		if (str_eq(all->items[i].filter, str_of(filter))) {
			*doctors += all->items[i].doctors;
			if (n++ == 0)
				first = i;
		}
	if (n <= TERMS_MAX)
		return (struct terms) { all->items + first, n };
	*doctors = INT64_MAX;
	return (struct terms) { NULL, 0 };
}

/* At most so many doctors can fit, by their specialty or their city. */
static err_t name_terms(struct ctx *c, struct users_search *s, int64_t *most)
{
	struct terms all = { NULL, 0 }, specialties, cities;
	int64_t of_specialty, of_city;

	*most = INT64_MAX;
	if (!s->has.specialty && !s->has.city)
		return OK;
	TRY(db_list(c, Q_users_terms, s, &all.items, &all.n));
	specialties = named(&all, "specialty", &of_specialty);
	cities = named(&all, "city", &of_city);
	s->specialties.items = specialties.items;
	s->specialties.n = specialties.n;
	s->cities.items = cities.items;
	s->cities.n = cities.n;
	s->has.specialties = s->has.cities = 1;
	if (s->has.specialty)
		*most = of_specialty;
	if (s->has.city && of_city < *most)
		*most = of_city;
	return OK;
}

/* How many slots begin when somebody is to be free, if they are few. */
static err_t measure_span(struct ctx *c, struct users_search *s)
{
	struct users_size span = { .n = SLOTS_FEW + 1 };

	SET(s, slots, SLOTS_FEW + 1);
	if (s->has.available_from)
		TRY(db_one(c, Q_users_span, s, &span));
	SET(s, slots, span.n);
	SET(s, brief, span.n <= SLOTS_FEW);
	return OK;
}

static enum query in_order(const struct users_search *s)
{
	static const enum query by[] = {
		[SORT_NAME] = Q_users_find_by_name, [SORT_PRICE] = Q_users_find_by_price,
		[SORT_RATING] = Q_users_find_by_rating, [SORT_NEXT_SLOT] = Q_users_find_by_next_slot,
	};

	return by[s->sort];
}

/* How to find a page when about `fit` doctors are what was asked for, of at most so many. */
static enum query way(const struct users_search *s, int64_t fit, int64_t most)
{
	const bool by_word = s->sort == SORT_NAME && s->has.full_name;
	const bool by_specialty = s->sort == SORT_PRICE && s->specialties.n > 0;

	if (fit < MANY || (fit < MANY_APART && (by_word || by_specialty || most <= RARE)))
		return Q_users_find_few;
	return by_word ? Q_users_find_by_word : by_specialty ? Q_users_find_by_specialty : in_order(s);
}

static err_t find(struct ctx *c, struct users_search *s, struct found *found)
{
	struct users_size fit = { .n = 0 };
	int64_t most;

	TRY(measure_span(c, s));
	TRY(name_terms(c, s, &most));
	if (most == 0 || s->slots == 0)
		return OK;
	if (most > MANY && !s->brief) {
		SET(s, look, is_filtered(s) ? LOOK_FIRST : s->rows);
		TRY(db_list(c, in_order(s), s, &found->items, &found->n));
		if (!is_filtered(s) || found->n == (size_t) s->rows)
			return OK;
	}
	SET(s, look, LOOK_ALL);
	if (most > MANY)
		TRY(db_one(c, Q_users_sample, s, &fit));
	return db_list(c, way(s, fit.n, most), s, &found->items, &found->n);
}

static err_t listed(struct ctx *c, const struct found *found, struct users_listed_page *a)
{
	struct users_ids ids = { .items.n = found->n, .has.items = 1 };

	a->has.items = 1;
	if (found->n == 0)
		return OK;
	ids.items.items = arena_alloc(c->mem, found->n * sizeof *ids.items.items);
	if (ids.items.items == NULL)
		return refuse(c, ERR_too_large, "no room for ids");
	for (size_t i = 0; i < found->n; i++)
		SET(&ids.items.items[i], id, found->items[i].doctor_id);
	return db_list(c, Q_users_listed, &ids, &a->items.items, &a->items.n);
}

static err_t search(struct ctx *c, const struct users_doctors_req *q, struct users_listed_page *a)
{
	struct users_search s = { .set = { 0 } };
	struct found found = { NULL, 0 };
	struct page page;

	TRY(page_open(c, q->limit, (struct str) { NULL, 0 }, &page));
	TRY(ask(c, q, &page, &s));
	if (!s.has.zip || s.zip.n > 0)		/* a zip without a digit is nobody's */
		TRY(find(c, &s, &found));

	const bool more = page_cut(&page, &found.n);

	a->null.next = !more;
	if (more) {
		const struct users_found *last = &found.items[found.n - 1];

		TRY(place_write(c, &(struct place) { .sort = s.sort, .id = last->doctor_id, .name = last->name,
			.price = last->price, .rank = last->rank, .next_slot = last->next_slot }, &a->next));
		a->has.next = 1;
	}
	return listed(c, &found, a);
}

/* What is asked, whoever asks it: what the answer depends on, and nothing else. */
static err_t key_of(struct ctx *c, const struct users_doctors_req *q, char key[KEY])
{
	struct str packed;
	struct digest d;

	TRY(msg_to_pack(c, &users_doctors_req_msg, q, &packed));
	d = digest_of(STR(""), &packed, 1);
	(void) snprintf(key, KEY, "search:");
	(void) digest_text(d.b, sizeof d.b, key + strlen(key));
	return OK;
}

err_t search_doctors(struct ctx *c, const struct users_doctors_req *q, struct users_listed_page *a)
{
	char key[KEY];

	TRY(key_of(c, q, key));
	if (!q->has.cursor && cache_read(c, key, &users_listed_page_msg, a))
		return OK;
	TRY(search(c, q, a));
	if (!q->has.cursor)
		cache_keep(c, key, &users_listed_page_msg, a, SEARCH_MS);
	return OK;
}

err_t search_doctor(struct ctx *c, const struct users_doctor_req *q, struct users_listed *a)
{
	struct users_found one = { .doctor_id = q->doctor_id };
	struct users_listed_page page = { .set = { 0 } };
	char key[CARDS_KEY];

	cards_key(CARDS_PAGE, q->doctor_id, key);
	if (cache_read(c, key, &users_listed_msg, a))
		return OK;
	TRY(listed(c, &(struct found) { &one, 1 }, &page));
	if (page.items.n == 0)
		return ERR(not_found);
	*a = page.items.items[0];
	cache_keep(c, key, &users_listed_msg, a, CARDS_KEEP_MS);
	return OK;
}

/* ---- one's own circle ---- */

/* Pages of both lists are in the order of the others' ids. */
#define MET(c, q, query, a)                                                                      \
	do {                                                                                     \
		struct users_circle circle_ = { .set = { 0 } };                                  \
		struct page page_;                                                               \
		TRY(page_open(c, (q)->limit, (q)->has.cursor ? (q)->cursor : (struct str) { 0 }, &page_)); \
		SET(&circle_, user_id, (c)->user);                                               \
		SET(&circle_, after_id, page_.after_id);                                         \
		SET(&circle_, rows, page_.rows);                                                 \
		TRY(db_list(c, query, &circle_, &(a)->items.items, &(a)->items.n));              \
		(a)->has.items = 1;                                                              \
		(a)->null.next = !page_cut(&page_, &(a)->items.n);                               \
		if ((a)->null.next)                                                              \
			return OK;                                                               \
		(a)->has.next = 1;                                                               \
		return page_after(c, 0, (a)->items.items[(a)->items.n - 1].id, &(a)->next);      \
	} while (0)

err_t search_my_doctors(struct ctx *c, const struct users_my_doctors_req *q, struct users_doctors_met *a)
{
	MET(c, q, Q_users_my_doctors, a);
}

err_t search_my_patients(struct ctx *c, const struct users_my_patients_req *q, struct users_patients_met *a)
{
	MET(c, q, Q_users_my_patients, a);
}
