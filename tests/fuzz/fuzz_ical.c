/*
 * fuzz_ical.c - any text in a calendar: no line is too long or torn within a character, and whoever
 * unfolds and unescapes it reads the text again, less what no calendar can hold.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "actors/appointments/ical.h"

enum { ROOM = 1 << 20, INPUT = 1 << 16, OCTETS = 75 };

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* What is to be read again: one way of ending a line, no other control character but the tab. */
static size_t expected(const unsigned char *data, size_t size, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++)
		if (data[i] == '\r' && i + 1 < size && data[i + 1] == '\n')
			continue;
		else if (data[i] == '\r' || data[i] == '\n')
			out[n++] = '\n';
		else if (data[i] == '\t' || (data[i] >= ' ' && data[i] != 0x7f))
			out[n++] = (char) data[i];
	return n;
}

/* The next line without its end; what the rules of lines say is checked on the way. */
static struct str next_line(struct str *rest, bool text)
{
	const char *end = memchr(rest->p, '\r', rest->n);
	const struct str line = { rest->p, end == NULL ? 0 : (size_t) (end - rest->p) };

	assert(end != NULL && line.n + 1 < rest->n && end[1] == '\n');
	assert(line.n <= OCTETS && memchr(line.p, '\n', line.n) == NULL);
	assert(!text || str_points(line) > 0);
	rest->p += line.n + 2;
	rest->n -= line.n + 2;
	return line;
}

static size_t unfold(struct str all, bool text, char *out)
{
	size_t n = 0;

	for (bool first = true; all.n > 0; first = false) {
		const struct str line = next_line(&all, text);

		assert(first || line.p[0] == ' ');
		memcpy(out + n, line.p + !first, line.n - !first);
		n += line.n - !first;
	}
	return n;
}

static size_t unescape(const char *in, size_t size, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++) {
		if (in[i] == '\\') {
			assert(++i < size && strchr("\\;,n", in[i]) != NULL);
			out[n++] = in[i];
			if (in[i] == 'n')
				out[n - 1] = '\n';
		} else {
			assert(in[i] != ';' && in[i] != ',');
			out[n++] = in[i];
		}
	}
	return n;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static unsigned char storage[ROOM];
	static char          wanted[INPUT], line[4 * INPUT], got[4 * INPUT];
	const struct str     text = { (const char *) data, size };
	struct arena         mem;
	struct buf           b = { .mem = &mem };

	if (size > INPUT)
		return 0;
	arena_init(&mem, storage, sizeof storage);
	ical_text(&b, "SUMMARY", text);
	assert(!b.full);

	const size_t n = unfold((struct str) { b.p, b.n }, str_points(text) >= 0, line);

	assert(n >= 8 && memcmp(line, "SUMMARY:", 8) == 0);
	assert(unescape(line + 8, n - 8, got) == expected(data, size, wanted));
	assert(memcmp(got, wanted, expected(data, size, wanted)) == 0);
	return 0;
}
