/* pdf.c - see pdf.h.  Must not look at more than a byte at a time, nor remember the document. */
#include <string.h>
#include "actors/files/pdf.h"
#include "broker/base/rule.h"

/* How far from the end those who read ZIPs look for its directory: 22 bytes and a comment. */
enum { ZIP_TAIL = 22 + 65535, SPACE_MAX = 1024 };
#define FIVE(s) ((uint64_t) s[0] << 32 | (uint64_t) s[1] << 24 | (uint64_t) s[2] << 16 | \
		 (uint64_t) s[3] << 8 | (uint64_t) s[4])
#define ZIP_END 0x504b0506u	/* PK\5\6 */

static bool is_space(unsigned char b)
{
	return b == 0 || b == '\t' || b == '\n' || b == '\f' || b == '\r' || b == ' ';
}

static bool is_delimiter(unsigned char b)
{
	return b != 0 && strchr("()<>[]{}/%", b) != NULL;
}

static int hex(char b)
{
	return b >= '0' && b <= '9' ? b - '0' : (b | 32) >= 'a' && (b | 32) <= 'f' ?
	       (b | 32) - 'a' + 10 : -1;
}

static void accuse(struct pdf *p, const char *fault)
{
	if (p->fault == NULL)
		p->fault = fault;
}

static bool name_is(const struct pdf *p, const char *name)
{
	return p->name_n == strlen(name) && memcmp(p->name, name, p->name_n) == 0;
}

static void put(struct pdf *p, char b)
{
	if (p->name_n < PDF_NAME)
		p->name[p->name_n++] = b;
}

/* The name is whole: what follows it decides about JS alone, which is too short to be no chance. */
static void end_name(struct pdf *p)
{
	p->state = PDF_TEXT;
	if (name_is(p, "JavaScript"))
		accuse(p, "must be a PDF without scripts");
	else if (name_is(p, "Launch"))
		accuse(p, "must be a PDF that starts no program");
	else if (name_is(p, "EmbeddedFile") || name_is(p, "EmbeddedFiles"))
		accuse(p, "must be a PDF without files in it");
	else if (name_is(p, "JS"))
		p->state = PDF_AFTER_JS;
}

static void read_text(struct pdf *p, unsigned char b)
{
	if (p->state == PDF_AFTER_JS && is_space(b))
		return;
	if (p->state == PDF_AFTER_JS && (b == '(' || b == '<' || b == '%' || (b >= '0' && b <= '9')))
		accuse(p, "must be a PDF without scripts");
	p->state = PDF_TEXT;
	if (b == '/') {
		p->state = PDF_IN_NAME;
		p->name_n = 0;
	}
}

/* In a name: #4a is J; a # that no two digits follow is itself. */
static void read_name(struct pdf *p, unsigned char b)
{
	const char ch = (char) b;

	if (p->state == PDF_ESCAPE && hex(ch) >= 0) {
		p->digit = ch;
		p->state = PDF_ESCAPE_2;
		return;
	}
	if (p->state == PDF_ESCAPE_2 && hex(ch) >= 0) {
		put(p, (char) (hex(p->digit) << 4 | hex(ch)));
		p->state = PDF_IN_NAME;
		return;
	}
	if (p->state != PDF_IN_NAME) {
		put(p, '#');
		if (p->state == PDF_ESCAPE_2)
			put(p, p->digit);
		p->state = PDF_IN_NAME;
	}
	if (b == '#') {
		p->state = PDF_ESCAPE;
	} else if (is_space(b) || is_delimiter(b)) {
		end_name(p);
		read_text(p, b);
	} else {
		put(p, ch);
	}
}

void pdf_feed(struct pdf *p, struct str bytes)
{
	for (size_t i = 0; i < bytes.n; i++) {
		const unsigned char b = (unsigned char) bytes.p[i];

		p->last = p->last << 8 | b;
		if (++p->n == 5 && p->last != FIVE("%PDF-"))
			accuse(p, "must be a PDF");
		if ((p->last & 0xffffffffff) == FIVE("%%EOF")) {
			p->eof = p->n;
			p->junk = false;
		} else if (!is_space(b)) {
			/* An update begins with an object's number, a comment, xref, trailer or startxref. */
			if (p->eof != 0 && !p->junk && !(b >= '0' && b <= '9') && memchr("%xts", b, 4) == NULL)
				accuse(p, "must be a PDF and nothing after it");
			p->junk = true;
		}
		if ((p->last & 0xffffffff) == ZIP_END)
			p->zip = p->n - 3;
		if (p->state == PDF_TEXT || p->state == PDF_AFTER_JS)
			read_text(p, b);
		else
			read_name(p, b);
	}
}

const char *pdf_fault(const struct pdf *p)
{
	if (!RULE(content_check))
		return NULL;
	if (p->n < 5)
		return "must be a PDF";
	if (p->fault != NULL)
		return p->fault;
	if (p->eof == 0)
		return "must be a whole PDF: it does not end with %%EOF";
	if (p->junk || p->n - p->eof > SPACE_MAX)
		return "must be a PDF and nothing after it";
	if (p->zip != 0 && p->n - p->zip < ZIP_TAIL)
		return "must be a PDF and no ZIP in it";
	return NULL;
}
