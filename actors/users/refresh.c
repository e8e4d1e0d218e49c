/* refresh.c - see refresh.h.  Must not know when a token is good, only whether it is one. */
#include <endian.h>
#include <string.h>
#include "actors/users/refresh.h"

struct form { uint64_t session, generation; struct secret mac; };	/* big endian */
_Static_assert(sizeof(struct form) * 4 == REFRESH_TEXT * 3, "the text of a token");

static struct secret mac_of(struct str key, struct str seed, uint64_t session, uint64_t generation)
{
	const uint64_t which[] = { htobe64(session), htobe64(generation) };
	const struct str part[] = { STR("refresh"), seed, { (const char *) which, sizeof which } };

	return digest_secret(key, part, COUNT(part));
}

bool refresh_read(struct str text, struct refresh *r)
{
	struct form f;

	if (!digest_bytes(text, &f, sizeof f))
		return false;
	r->session = (int64_t) be64toh(f.session);
	r->generation = (int64_t) be64toh(f.generation);
	r->mac = f.mac;
	return r->session > 0 && r->generation > 0;
}

bool refresh_is(const struct refresh *r, struct str key, struct str seed)
{
	const struct secret mac = mac_of(key, seed, (uint64_t) r->session, (uint64_t) r->generation);

	return digest_secret_eq(&mac, &r->mac);
}

void refresh_write(struct str key, struct str seed, int64_t session, int64_t generation,
		   char out[REFRESH_TEXT + 1])
{
	const struct form f = { htobe64((uint64_t) session), htobe64((uint64_t) generation),
		mac_of(key, seed, (uint64_t) session, (uint64_t) generation) };

	(void) digest_text(&f, sizeof f, out);
}
