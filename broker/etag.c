/* etag.c - see etag.h.  Must not know HTTP beyond the lists of its two headers. */
#include <string.h>
#include "broker/base/digest.h"
#include "broker/base/rule.h"
#include "broker/etag.h"

err_t etag_of(struct ctx *c, const struct msg *m, const void *in, char text[ETAG_TEXT])
{
	struct str state;
	size_t n = 1;

	TRY(msg_state(c, m, in, &state));
	const struct digest d = digest_of(STR(""), &state, 1);

	text[0] = '"';
	n += digest_text(d.b, sizeof d.b, text + 1);
	text[n] = '"';
	text[n + 1] = '\0';
	return OK;
}

/* Tags of ours have no comma, so that a list falls apart at every one. */
bool etag_matches(struct str list, const char *etag, bool weak)
{
	while (list.n > 0) {
		const char *comma = memchr(list.p, ',', list.n);
		struct str one = { list.p, comma == NULL ? list.n : (size_t) (comma - list.p) };

		list.p += one.n + (comma != NULL);
		list.n -= one.n + (comma != NULL);
		while (one.n > 0 && (one.p[0] == ' ' || one.p[0] == '\t'))
			one = (struct str) { one.p + 1, one.n - 1 };
		while (one.n > 0 && (one.p[one.n - 1] == ' ' || one.p[one.n - 1] == '\t'))
			one.n--;
		if (weak && one.n > 2 && memcmp(one.p, "W/", 2) == 0)
			one = (struct str) { one.p + 2, one.n - 2 };
		if (str_eq(one, STR("*")) || str_eq(one, str_of(etag)))
			return true;
	}
	return false;
}

err_t etag_check(struct ctx *c, const struct msg *m, const void *current)
{
	char etag[ETAG_TEXT];

	if (c->if_match == NULL || !RULE(if_match))
		return OK;
	TRY(etag_of(c, m, current, etag));
	return etag_matches(str_of(c->if_match), etag, false) ? OK : ERR(precondition_failed);
}
