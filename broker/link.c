/* link.c - see link.h.  Must not decide whether anybody may read anything. */
#include <inttypes.h>
#include "broker/base/digest.h"
#include "broker/base/rule.h"
#include "broker/link.h"

static struct digest mac(struct str secret, const struct link *l)
{
	const int64_t number[] = { l->file, l->reader, l->session, l->role, l->expires };
	const struct str part[] = { STR("link"), { (const char *) number, sizeof number } };

	return digest_of(secret, part, COUNT(part));
}

static const char *name_of(enum role r)
{
	return r == ROLE_DOCTOR ? "doctor" : "patient";
}

err_t link_write(struct ctx *c, struct str secret, const struct link *l, struct str *out)
{
	const struct digest d = mac(secret, l);
	struct buf b = { .mem = c->mem };
	char signature[LINK_SIGNATURE + 1];

	(void) digest_text(d.b, sizeof d.b, signature);
	buf_fmt(&b, "/api/v1/files/%" PRId64 "/content?reader=%" PRId64 "&role=%s&session=%" PRId64
		"&expires=%" PRId64 "&signature=%s", l->file, l->reader, name_of(l->role), l->session,
		l->expires, signature);
	*out = (struct str) { b.p, b.n };
	return b.full ? refuse(c, ERR_too_large, "no room for a link") : OK;
}

bool link_is_good(struct str secret, const struct link *l, struct str signature, int64_t now_s)
{
	struct digest d = { { 0 } };

	if (now_s >= l->expires && RULE(link_expiry))
		return false;
	return !RULE(link_signature) ||
	       (digest_bytes(signature, d.b, sizeof d.b) && digest_eq(d, mac(secret, l)));
}
