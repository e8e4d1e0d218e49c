/* form.c - see form.h.  Must not know a field. */
#include <string.h>
#include "broker/base/documents.h"
#include "broker/base/form.h"

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

static bool is_email(struct str s)
{
	const char *at = s.n == 0 ? NULL : memchr(s.p, '@', s.n);
	const size_t n = at == NULL ? 0 : (size_t) (at - s.p);

	for (size_t i = 0; i < n; i++)
		if ((unsigned char) s.p[i] <= ' ' || s.p[i] == 0x7f || strchr("\"(),:;<>[\\]", s.p[i]))
			return false;
	return n > 0 && n <= 64 && is_domain((struct str) { at + 1, s.n - n - 1 });
}

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

static bool is_said(struct str s)
{
	return !str_is_blank(s);
}

static bool is_document(struct str s)
{
	char text[DOCUMENT_TEXT];

	return document_read(s, text);
}

static bool is_letter(char ch)
{
	return (ch | 32) >= 'a' && (ch | 32) <= 'z';
}

static bool is_medical_id(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_letter(s.p[i]) && !(s.p[i] >= '0' && s.p[i] <= '9') && memchr("-/.", s.p[i], 3) == NULL)
			return false;
	return s.n > 0;
}

static bool is_state(struct str s)
{
	return s.n == 2 && is_letter(s.p[0]) && is_letter(s.p[1]);
}

static bool is_zip(struct str s)
{
	char text[ZIP + 1];

	return zip_read(s, text);
}

const struct form form_line     = { is_line,     "must be a line of text" };
const struct form form_said     = { is_said,     "must say something" };
const struct form form_email    = { is_email,    "must be an e-mail address" };
const struct form form_medical_id = { is_medical_id, "must be letters, digits and - / . only" };
const struct form form_document = { is_document, "must be a CPF or a CNPJ" };
const struct form form_state    = { is_state,    "must be two letters" };
const struct form form_zip      = { is_zip,      "must be eight digits" };
