/* profile.c - see profile.h.  Must not know who says it, nor where it goes. */
#include <string.h>
#include "actors/users/documents.h"
#include "actors/users/profile.h"

/* A letter, digit or mark of ASCII that may stand in the domain of an address. */
static bool is_domain(struct str s)
{
	bool dot = false;

	for (size_t i = 0; i < s.n; i++) {
		const unsigned char ch = (unsigned char) s.p[i];
		const bool edge = i == 0 || i == s.n - 1 || s.p[i - 1] == '.' || s.p[i + 1] == '.';

		dot |= ch == '.';
		if ((ch == '.' || ch == '-') ? edge : !((ch | 32) >= 'a' && (ch | 32) <= 'z') &&
						      !(ch >= '0' && ch <= '9'))
			return false;
	}
	return dot;
}

/* Not all that RFC 5322 allows: what a mail can be sent to.  Whether it arrives, only a mail tells. */
static bool is_email(struct str s)
{
	const char *at = memchr(s.p, '@', s.n);
	const size_t n = at == NULL ? 0 : (size_t) (at - s.p);

	for (size_t i = 0; i < n; i++)
		if ((unsigned char) s.p[i] <= ' ' || s.p[i] == 0x7f || strchr("\"(),:;<>[\\]", s.p[i]))
			return false;
	return n > 0 && n <= 64 && is_domain((struct str) { at + 1, s.n - n - 1 });
}

/* Something to read, and no line breaks or other control characters. */
static bool is_line(struct str s)
{
	bool some = false;

	for (size_t i = 0; i < s.n; i++) {
		if ((unsigned char) s.p[i] < ' ' || s.p[i] == 0x7f)
			return false;
		some |= s.p[i] != ' ';
	}
	return some;
}

void profile_line(struct ctx *c, const char *path, struct str s)
{
	if (!is_line(s))
		(void) fault(c, ERR_invalid, path, "must be a line of text");
}

void profile_email(struct ctx *c, struct str s)
{
	if (!is_email(s))
		(void) fault(c, ERR_invalid, "email", "must be an e-mail address");
}

/* A copy of so many bytes; a full arena is found out by whoever writes the reply. */
static void copy(struct ctx *c, struct str *s, const char *text, size_t n)
{
	char *p = arena_alloc(c->mem, n + 1);

	if (p != NULL)
		*s = (struct str) { memcpy(p, text, n), n };
}

void profile_document(struct ctx *c, struct str *s)
{
	char text[DOCUMENT_TEXT];

	if (document_read(*s, text))
		copy(c, s, text, strlen(text));
	else
		(void) fault(c, ERR_invalid, "document_id", "must be a CPF or a CNPJ");
}

void profile_address(struct ctx *c, struct users_address *a)
{
	char state[2], zip[ZIP + 1];

	profile_line(c, "address.street", a->street);
	profile_line(c, "address.number", a->number);
	profile_line(c, "address.neighborhood", a->neighborhood);
	profile_line(c, "address.city", a->city);
	for (size_t i = 0; i < 2; i++)
		state[i] = (char) (a->state.n == 2 ? a->state.p[i] & ~32 : 0);
	if (state[0] < 'A' || state[0] > 'Z' || state[1] < 'A' || state[1] > 'Z')
		(void) fault(c, ERR_invalid, "address.state", "must be two letters");
	copy(c, &a->state, state, sizeof state);
	if (zip_read(a->zip, zip))
		copy(c, &a->zip, zip, ZIP);
	else
		(void) fault(c, ERR_invalid, "address.zip", "must be eight digits");
}
