/* place.c - see place.h.  Must not know how doctors are found. */
#include <endian.h>
#include <string.h>
#include "actors/users/place.h"
#include "broker/base/digest.h"

enum { HEAD = 1 + 8, NUMBER = 8, NAME_MAX_BYTES = 4 * PLACE_NAME, BYTES_MAX = HEAD + NAME_MAX_BYTES };
#define PRICE_MAX INT64_C(999999999999)

struct place place_before_all(enum users_sort sort)
{
	return (struct place) { .sort = sort, .name = STR(""), .rank = -6 };
}

static void put_number(unsigned char *p, int64_t v)
{
	const uint64_t b = htobe64((uint64_t) v);

	memcpy(p, &b, sizeof b);
}

static int64_t get_number(const unsigned char *p)
{
	uint64_t b;

	memcpy(&b, p, sizeof b);
	return (int64_t) be64toh(b);
}

static int64_t bits_of(double d)
{
	int64_t bits;

	memcpy(&bits, &d, sizeof bits);
	return bits;
}

/* The key of the order; false: it is none. */
static bool read_key(const unsigned char *p, size_t n, struct place *at)
{
	int64_t v;

	if (at->sort == SORT_NAME) {
		at->name = (struct str) { (const char *) p, n };
		return str_points(at->name) >= 0 && str_points(at->name) <= PLACE_NAME;
	}
	if (n != NUMBER)
		return false;
	v = get_number(p);
	switch (at->sort) {
	case SORT_PRICE:
		at->price = v;
		return v >= 0 && v <= PRICE_MAX;
	case SORT_RATING:
		memcpy(&at->rank, &v, sizeof v);
		return at->rank >= -5 && at->rank <= 0;
	case SORT_NEXT_SLOT:
		at->next_slot = v;
		return v >= 0 && v <= TIME_MAX;
	case SORT_NAME:
		break;
	}
	return false;
}

err_t place_read(struct ctx *c, struct str cursor, enum users_sort sort, struct place *at)
{
	const size_t n = cursor.n / 4 * 3 + (cursor.n % 4 * 3) / 4;
	unsigned char *p = n < HEAD || n > BYTES_MAX ? NULL : arena_alloc(c->mem, n);

	*at = place_before_all(sort);
	if (p == NULL || !digest_bytes(cursor, p, n) || p[0] != (unsigned char) sort ||
	    (at->id = get_number(p + 1)) < 0 || !read_key(p + HEAD, n - HEAD, at))
		return fault(c, ERR_unreadable, "cursor", "is not one that was given out for this order");
	return OK;
}

err_t place_write(struct ctx *c, const struct place *at, struct str *cursor)
{
	unsigned char raw[BYTES_MAX] = { (unsigned char) at->sort };
	char *text = arena_alloc(c->mem, sizeof raw / 3 * 4 + 5);
	size_t n = NUMBER;

	if (text == NULL || at->name.n > NAME_MAX_BYTES)
		return refuse(c, ERR_too_large, "no room for a cursor");
	put_number(raw + 1, at->id);
	switch (at->sort) {
	case SORT_NAME:
		n = at->name.n;
		memcpy(raw + HEAD, at->name.p, n);
		break;
	case SORT_PRICE:     put_number(raw + HEAD, at->price); break;
	case SORT_RATING:    put_number(raw + HEAD, bits_of(at->rank)); break;
	case SORT_NEXT_SLOT: put_number(raw + HEAD, at->next_slot); break;
	}
	*cursor = (struct str) { text, digest_text(raw, HEAD + n, text) };
	return OK;
}
