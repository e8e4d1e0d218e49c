/*
 * pdf.h - whether bytes are one PDF and nothing else, as far as the bytes themselves tell.
 *
 * A pure check over a stream, a byte at a time, so that where the pieces end does not matter.  It
 * begins with %PDF- and ends with %%EOF.  Behind the first %%EOF stands only what an update of a PDF is
 * made of: objects, tables, trailers and comments, or a linearised document, whose first page ends so;
 * behind the last one nothing but white space.  No end of a ZIP is where those who look for one from
 * behind would find it, nor anywhere behind the first %%EOF.  It refuses the names by which a document
 * runs or carries something: JavaScript, JS with a value, Launch, EmbeddedFile(s), also when they are
 * written with #xx.
 *
 * What it cannot see: what an object really holds, objects within compressed streams, whatever is
 * encrypted, and what a bug of a reader makes of a picture or a font.  It is no scanner for viruses.  By
 * chance a compressed stream of random bytes looks like /JS and a value once in some 1 GiB, and like the
 * end of a ZIP once in 4 GiB.
 */
#ifndef ACTORS_FILES_PDF_H
#define ACTORS_FILES_PDF_H
#include <stdbool.h>
#include <stdint.h>
#include "broker/base/str.h"

enum { PDF_NAME = 16, PDF_WORD = 10 };
enum pdf_tail { PDF_OUTSIDE, PDF_OBJECT, PDF_GENERATION, PDF_WITHIN, PDF_XREF, PDF_START };

struct pdf {
	int64_t     n;			/* bytes so far */
	int64_t     eof;		/* behind the last %%EOF; 0: there was none */
	int64_t     zip;		/* where the last end of a ZIP began, and one; 0: there was none */
	bool        junk;		/* something follows the last %%EOF */
	uint64_t    last;		/* the last eight bytes */
	const char *fault;		/* the first one */
	enum { PDF_TEXT, PDF_IN_NAME, PDF_ESCAPE, PDF_ESCAPE_2, PDF_AFTER_JS } state;
	char        name[PDF_NAME];	/* as far as it could be one that is refused */
	size_t      name_n;
	char        digit;		/* the first one of an escape */
	enum pdf_tail tail;		/* behind the first %%EOF: behind which words */
	bool        remark;		/* in a comment there */
	char        word[PDF_WORD];	/* of the word there, what was read */
	size_t      word_n;
};

/* Begins with a struct that is zero. */
void        pdf_feed(struct pdf *, struct str bytes);
const char *pdf_fault(const struct pdf *);	/* at the end: NULL, or what to tell the client */
#endif
