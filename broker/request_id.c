/* request_id.c - see request_id.h. */
#include <endian.h>
#include <string.h>
#include "broker/request_id.h"

enum { RAW = 32 };
_Static_assert((4 * RAW + 2) / 3 == REQUEST_ID_TEXT, "the text of 32 bytes");

static void tag_of(const struct request_id *id, struct str secret, struct str who,
		   unsigned char tag[8])
{
	const struct str part[] = { STR("request"), { (const char *) &id->doctor, sizeof id->doctor },
		{ (const char *) id->nonce.b, sizeof id->nonce.b }, who };
	const struct digest d = digest_of(secret, part, COUNT(part));

	memcpy(tag, d.b, 8);
}

struct request_id request_id_make(struct str secret, int64_t doctor, struct str who, struct str key)
{
	const struct str part[] = { STR("key"), who, key };
	struct request_id id = { .doctor = doctor };

	if (key.p != NULL)
		id.nonce = digest_of(secret, part, COUNT(part));
	else
		digest_random(&id.nonce, sizeof id.nonce);
	tag_of(&id, secret, who, id.tag);
	return id;
}

bool request_id_is_of(const struct request_id *id, struct str secret, struct str who)
{
	struct digest want = { { 0 } }, have = { { 0 } };

	tag_of(id, secret, who, want.b);
	memcpy(have.b, id->tag, sizeof id->tag);
	return digest_eq(want, have);
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
