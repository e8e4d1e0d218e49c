/* pdf.c - see pdf.h.  Must not look at more than a byte at a time, nor remember the document. */
#include <string.h>
#include "actors/files/pdf.h"
#include "broker/base/rule.h"

/* How far from the end those who read ZIPs look for its directory: 22 bytes and a comment of 65535, and
 * some a little farther; this is twice that. */
enum { ZIP_TAIL = 1 << 17, SPACE_MAX = 1024 };
#define FIVE(s) ((uint64_t) s[0] << 32 | (uint64_t) s[1] << 24 | (uint64_t) s[2] << 16 | \
		 (uint64_t) s[3] << 8 | (uint64_t) s[4])
#define ZIP_END 0x504b0506u		/* PK\5\6 */
#define ENDOBJ  0x656e646f626au		/* endobj */

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

/* ---- behind the first %%EOF ---- */

/* What may follow what there, word by word; NUMBER is any.  An object ends at its `endobj`, all at %%EOF. */
#define NUMBER "0"
static const struct step {
	enum pdf_tail from;
	const char   *word;
	enum pdf_tail to;
} steps[] = {
	{ PDF_OUTSIDE,    NUMBER,      PDF_OBJECT     },
	{ PDF_OBJECT,     NUMBER,      PDF_GENERATION },
	{ PDF_GENERATION, "obj",       PDF_WITHIN     },
	{ PDF_OUTSIDE,    "xref",      PDF_XREF       },
	{ PDF_XREF,       NUMBER,      PDF_XREF       },
	{ PDF_XREF,       "n",         PDF_XREF       },
	{ PDF_XREF,       "f",         PDF_XREF       },
	{ PDF_XREF,       "trailer",   PDF_WITHIN     },
	{ PDF_OUTSIDE,    "trailer",   PDF_WITHIN     },
	{ PDF_OUTSIDE,    "startxref", PDF_START      },
	{ PDF_START,      NUMBER,      PDF_OUTSIDE    },
};

static void end_word(struct pdf *p)
{
	struct str word = { p->word, p->word_n };
	bool number = true;

	for (size_t i = 0; i < word.n; i++)
		number &= word.p[i] >= '0' && word.p[i] <= '9';
	if (number)
		word = STR(NUMBER);
	p->word_n = 0;
	for (size_t i = 0; i < COUNT(steps); i++) {
		if (steps[i].from == p->tail && str_eq(word, str_of(steps[i].word))) {
			p->tail = steps[i].to;
			return;
		}
	}
	accuse(p, "must be a PDF and nothing after it");
}

/* Comments are of text, and do not begin as a program or a page does. */
static bool is_remark(const struct pdf *p, unsigned char b)
{
	return (b >= ' ' || b == '\t') && b != '<' && (p->last & 0xffff) != ('%' << 8 | '!');
}

static void read_tail(struct pdf *p, unsigned char b)
{
	if (p->tail == PDF_WITHIN) {
		if ((p->last & 0xffffffffffff) == ENDOBJ)
			p->tail = PDF_OUTSIDE;
		return;
	}
	if (p->remark) {
		p->remark = b != '\n' && b != '\r';
		if (p->remark && !is_remark(p, b))
			accuse(p, "must be a PDF and nothing after it");
		return;
	}
	if (!is_space(b) && !is_delimiter(b)) {
		if (p->word_n == PDF_WORD)
			accuse(p, "must be a PDF and nothing after it");
		else
			p->word[p->word_n++] = (char) b;
		return;
	}
	if (p->word_n > 0)
		end_word(p);
	p->remark = b == '%' && p->tail != PDF_WITHIN;
	if (is_delimiter(b) && !p->remark && p->tail != PDF_WITHIN)
		accuse(p, "must be a PDF and nothing after it");
}

static void end_of_pdf(struct pdf *p)
{
	p->eof = p->n;
	p->junk = p->remark = false;
	p->tail = PDF_OUTSIDE;
	p->word_n = 0;
}

void pdf_feed(struct pdf *p, struct str bytes)
{
	for (size_t i = 0; i < bytes.n; i++) {
		const unsigned char b = (unsigned char) bytes.p[i];

		p->last = p->last << 8 | b;
		if (++p->n == 5 && p->last != FIVE("%PDF-"))
			accuse(p, "must be a PDF");
		if ((p->last & 0xffffffffff) == FIVE("%%EOF")) {
			end_of_pdf(p);
		} else if (p->eof != 0) {
			p->junk |= !is_space(b);
			read_tail(p, b);
		}
		if ((p->last & 0xffffffff) == ZIP_END) {
			p->zip = p->n - 3;
			if (p->eof != 0)
				accuse(p, "must be a PDF and no ZIP in it");
		}
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
