/* form.c - see form.h.  Must not know a field. */
#include <string.h>
#include "broker/base/documents.h"
#include "broker/base/err.h"
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

/* What shows nothing: white space, controls, and what Unicode calls default-ignorable.  Some of it steers
 * how all around it is read, or ends a line, and has no place in one. */
static const struct { uint32_t first, last; bool steers; } unseen[] = {
	{ 0x00,   0x1f,   true },  { 0x20,   0x20,   false }, { 0x7f,    0x9f,    true },
	{ 0xa0,   0xa0,   false }, { 0xad,   0xad,   false }, { 0x34f,   0x34f,   false },
	{ 0x61c,  0x61c,  true },  { 0x115f, 0x1160, false }, { 0x1680,  0x1680,  false },
	{ 0x17b4, 0x17b5, false }, { 0x180b, 0x180f, false }, { 0x2000,  0x200d,  false },
	{ 0x200e, 0x200f, true },  { 0x2028, 0x202e, true },  { 0x202f,  0x202f,  false },
	{ 0x205f, 0x2065, false }, { 0x2066, 0x2069, true },  { 0x206a,  0x206f,  false },
	{ 0x2800, 0x2800, false }, { 0x3000, 0x3000, false }, { 0x3164,  0x3164,  false },
	{ 0xfe00, 0xfe0f, false }, { 0xfeff, 0xfeff, false }, { 0xffa0,  0xffa0,  false },
	{ 0xe0000, 0xe0fff, false },
};

/* The next code point of what is known to be UTF-8. */
static uint32_t next_point(struct str s, size_t *i)
{
	const unsigned char ch = (unsigned char) s.p[(*i)++];
	const int more = ch < 0xc0 ? 0 : ch < 0xe0 ? 1 : ch < 0xf0 ? 2 : 3;
	uint32_t point = more == 0 ? ch : ch & (0x3fu >> more);

	for (int k = 0; k < more && *i < s.n; k++)
		point = point << 6 | (s.p[(*i)++] & 0x3f);
	return point;
}

static bool shows(struct str s, bool line)
{
	bool some = false;

	for (size_t i = 0; i < s.n;) {
		const uint32_t point = next_point(s, &i);
		size_t k = 0;

		while (k < COUNT(unseen) && (point < unseen[k].first || point > unseen[k].last))
			k++;
		if (k < COUNT(unseen) && unseen[k].steers && line)
			return false;
		some |= k == COUNT(unseen);
	}
	return some;
}

static bool is_line(struct str s) { return shows(s, true); }
static bool is_said(struct str s) { return shows(s, false); }

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
