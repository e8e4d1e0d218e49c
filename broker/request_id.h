/*
 * request_id.h - the name of one request and all its copies; opaque to clients.
 *
 * Made from the doctor and a MAC of (user, Idempotency-Key), so that every copy, at whatever
 * gateway, has the same; without a key it is drawn.  A second MAC names its user verifiably:
 * one's own id that has no row yet is pending, another's does not exist.  The secret is
 * REQUEST_KEY of the configuration.  That of a command says a little of its body, too, so that a key
 * which comes back with another one is noticed also by who only asks what became of it.  As text:
 * base64url of doctor (8 bytes, big endian), nonce and tag: 43 characters.
 */
#ifndef BROKER_REQUEST_ID_H
#define BROKER_REQUEST_ID_H
#include "broker/base/digest.h"

enum { REQUEST_ID_TEXT = 43 };

struct request_id {
	int64_t       doctor;		/* 0 for what is in no mailbox */
	struct digest nonce;		/* the key of its row, whichever doctor it names */
	unsigned char tag[8];		/* the MAC; or four bytes of it and four of the body's hash */
};

/* `who` is the user's number in decimal, or what a SCOPED call names; key.p == NULL draws one. */
struct request_id request_id_make(struct str secret, int64_t doctor, struct str who, struct str key);
/* Has it say which body it came with. */
void              request_id_say(struct request_id *, struct str secret, struct str who, struct digest body);
/* Whether it came with that body; true also of one that does not say, as a former release made them. */
bool              request_id_says(const struct request_id *, struct str secret, struct str who,
				  struct digest body);
bool              request_id_is_of(const struct request_id *, struct str secret, struct str who);
bool              request_id_read(struct str text, struct request_id *);	/* false: malformed */
void              request_id_write(const struct request_id *, char out[REQUEST_ID_TEXT + 1]);
#endif
