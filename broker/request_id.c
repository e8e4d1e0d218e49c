/* request_id.c - see request_id.h. */
#include <endian.h>
#include <string.h>
#include "broker/request_id.h"

enum { RAW = 32 };
_Static_assert((4 * RAW + 2) / 3 == REQUEST_ID_TEXT, "the text of 32 bytes");

enum { TAG = 8, HALF = 4 };

/* `said`, when it says something, are the HALF bytes of the body's hash. */
static struct digest mac_of(const struct request_id *id, struct str secret, struct str who, bool said)
{
	const struct str part[] = { STR("request"), { (const char *) &id->doctor, sizeof id->doctor },
		{ (const char *) id->nonce.b, sizeof id->nonce.b }, who,
		{ (const char *) id->tag + HALF, HALF } };

	return digest_of(secret, part, said ? COUNT(part) : COUNT(part) - 1);
}

static bool tag_is(const struct request_id *id, struct str secret, struct str who, bool said)
{
	const size_t n = said ? HALF : TAG;
	const struct digest mac = mac_of(id, secret, who, said);
	struct digest want = { { 0 } }, have = { { 0 } };

	memcpy(want.b, mac.b, n);
	memcpy(have.b, id->tag, n);
	return digest_eq(want, have);
}

struct request_id request_id_make(struct str secret, int64_t doctor, struct str who, struct str key)
{
	const struct str part[] = { STR("key"), who, key };
	struct request_id id = { .doctor = doctor };

	if (key.p != NULL)
		id.nonce = digest_of(secret, part, COUNT(part));
	else
		digest_random(&id.nonce, sizeof id.nonce);

	const struct digest mac = mac_of(&id, secret, who, false);

	memcpy(id.tag, mac.b, TAG);
	return id;
}

void request_id_say(struct request_id *id, struct str secret, struct str who, struct digest body)
{
	memcpy(id->tag + HALF, body.b, HALF);

	const struct digest mac = mac_of(id, secret, who, true);

	memcpy(id->tag, mac.b, HALF);
}

bool request_id_says(const struct request_id *id, struct str secret, struct str who, struct digest body)
{
	return tag_is(id, secret, who, false) || memcmp(id->tag + HALF, body.b, HALF) == 0;
}

bool request_id_is_of(const struct request_id *id, struct str secret, struct str who)
{
	return tag_is(id, secret, who, true) || tag_is(id, secret, who, false);
}

bool request_id_read(struct str text, struct request_id *id)
{
	unsigned char raw[RAW];
	uint64_t doctor;

	if (!digest_bytes(text, raw, sizeof raw))
		return false;
	memcpy(&doctor, raw, 8);
	id->doctor = (int64_t) be64toh(doctor);
	memcpy(&id->nonce, raw + 8, 16);
	memcpy(id->tag, raw + 24, 8);
	return id->doctor >= 0;
}

void request_id_write(const struct request_id *id, char out[REQUEST_ID_TEXT + 1])
{
	const uint64_t doctor = htobe64((uint64_t) id->doctor);
	unsigned char raw[RAW];

	memcpy(raw, &doctor, 8);
	memcpy(raw + 8, &id->nonce, 16);
	memcpy(raw + 24, id->tag, 8);
	(void) digest_text(raw, sizeof raw, out);
}
