/*
 * nats.h - reads what a NATS server sends to a client, one thing after the other, as bytes arrive.
 *
 * Strict where a wrong reading would count a wrong answer; pure.
 */
#ifndef LOADTEST_NATS_H
#define LOADTEST_NATS_H
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "broker/base/str.h"

enum nats_op { NATS_INFO, NATS_PING, NATS_PONG, NATS_OK, NATS_ERR, NATS_MSG };
struct nats_said { enum nats_op op; struct str subject, head, body; };

static inline bool nats_begins(const char *p, const char *end, const char *word)
{
	const size_t n = strlen(word);

	return (size_t) (end - p) >= n && memcmp(p, word, n) == 0;
}

/* Lengths of head and body, and the subject, of "MSG subject sid [reply] bytes" and of
 * "HMSG subject sid [reply] head bytes"; false when the line is none. */
static inline bool nats_lengths(const char *p, const char *cr, struct nats_said *m)
{
	const bool has_head = *p == 'H';
	struct str word[6];
	int64_t head = 0, all;
	size_t n = 0;

	while (p < cr && n < 6) {
		const char *space = memchr(p, ' ', (size_t) (cr - p)), *end = space ? space : cr;

		word[n++] = (struct str) { p, (size_t) (end - p) };
		p = end + 1;
	}
	if (p < cr || n < (has_head ? 5u : 4u) || n > (has_head ? 6u : 5u) || !str_int(word[n - 1], &all) ||
	    (has_head && !str_int(word[n - 2], &head)) || head < 0 || all < head || all > 1 << 26)
		return false;
	m->op = NATS_MSG;
	m->subject = word[1];
	m->head.n = (size_t) head;
	m->body.n = (size_t) (all - head);
	return true;
}

/* How many of the n bytes the first thing takes; 0: not all of it is there; -1: this is no NATS. */
static inline int nats_read(const char *p, int n, struct nats_said *m)
{
	static const struct { const char *word; enum nats_op op; } ops[] = {
		{ "INFO ", NATS_INFO }, { "PING\r\n", NATS_PING }, { "PONG\r\n", NATS_PONG },
		{ "+OK\r\n", NATS_OK }, { "-ERR ", NATS_ERR },
	};
	const char *const end = p + n, *nl = memchr(p, '\n', (size_t) n);

	*m = (struct nats_said) { .op = NATS_OK };
	if (nl == NULL)
		return 0;
	if (nl == p || nl[-1] != '\r')
		return -1;
	for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
		if (nats_begins(p, nl + 1, ops[i].word)) {
			m->op = ops[i].op;
			m->body = (struct str) { p, (size_t) (nl - 1 - p) };
			return (int) (nl + 1 - p);
		}
	if (!(nats_begins(p, nl, "MSG ") || nats_begins(p, nl, "HMSG ")) || !nats_lengths(p, nl - 1, m))
		return -1;
	m->head.p = nl + 1;
	m->body.p = m->head.p + m->head.n;
	if ((size_t) (end - m->head.p) < m->head.n + m->body.n + 2)
		return 0;
	return memcmp(m->body.p + m->body.n, "\r\n", 2) == 0 ? (int) (m->body.p + m->body.n + 2 - p) : -1;
}

/* The value of a header, or its first line's status as "NATS/1.0"; empty when it is not there. */
static inline struct str nats_header(struct str head, const char *name)
{
	const size_t len = strlen(name);
	const char *p = head.p, *const end = head.p + head.n;

	for (const char *cr; p < end && (cr = memmem(p, (size_t) (end - p), "\r\n", 2)) != NULL; p = cr + 2)
		if ((size_t) (cr - p) > len && memcmp(p, name, len) == 0 && (p[len] == ':' || p[len] == ' ')) {
			p += len + 1;
			while (p < cr && *p == ' ')
				p++;
			return (struct str) { p, (size_t) (cr - p) };
		}
	return (struct str) { NULL, 0 };
}
#endif
