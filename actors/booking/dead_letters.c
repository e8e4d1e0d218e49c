/*
 * dead_letters.c - the subcommand `dead-letters`: looks at what could not be processed, drops it.
 */
#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "actors/core/commands.h"
#include "broker/base/clock.h"
#include "broker/base/config.h"
#include "broker/base/exits.h"
#include "broker/base/time.h"
#include "broker/stream.h"

static const char usage[] =
	"Usage: healthmed dead-letters ls\n"
	"       healthmed dead-letters show SEQUENCE\n"
	"       healthmed dead-letters drop SEQUENCE\n"
	"\n"
	"Messages that could not be processed wait in the stream DEAD_LETTERS.  `ls` prints a line\n"
	"each: sequence, time, reason, origin (stream, its creation, sequence), call and request;\n"
	"`show` prints one with its bytes; `drop` removes one for good.\n";

enum { ARENA = 4 << 20 };
#define ALL "healthmed.v1.dead_letters.>"

static struct arena arena;
static struct ctx ctx;

static struct ctx *fresh_ctx(void)
{
	arena_reset(&arena);
	ctx = (struct ctx) { .mem = &arena, .deadline = clock_mono() + 5 * SECOND };
	return &ctx;
}

static const char *header(const struct stream_msg *m, const char *name)
{
	const char *value = bus_header(m->msg, name);

	return value ? value : "-";
}

static void print_line(const struct stream_msg *m)
{
	struct buf time = { .mem = &arena };

	time_write(&time, m->time);
	(void) printf("%" PRId64 "\t%.*s\t%s\t%s\t%s\t%s\n", m->seq, (int) time.n, time.p,
		      header(m, WIRE_REASON), header(m, WIRE_ORIGIN), header(m, WIRE_CALL),
		      header(m, WIRE_REQUEST));
}

/* Sixteen bytes a line, as hexadecimal and as text. */
static void print_bytes(struct str body)
{
	for (size_t at = 0; at < body.n; at += 16) {
		(void) printf("%06zx ", at);
		for (size_t i = at; i < at + 16; i++)
			(void) (i < body.n ? printf(" %02x", (unsigned char) body.p[i]) : printf("   "));
		(void) printf("  ");
		for (size_t i = at; i < at + 16 && i < body.n; i++)
			(void) putchar(isprint((unsigned char) body.p[i]) ? body.p[i] : '.');
		(void) putchar('\n');
	}
}

static err_t list(struct bus *bus)
{
	struct stream_msg m = { .seq = 0 };
	err_t e;

	while (!(e = stream_get(fresh_ctx(), bus, STREAM_DEAD_LETTERS, m.seq + 1, ALL, &m)).code) {
		print_line(&m);
		bus_free(m.msg);
	}
	return e.code == ERR_not_found ? OK : e;
}

static err_t show(struct bus *bus, int64_t seq)
{
	struct stream_msg m;

	TRY(stream_get(fresh_ctx(), bus, STREAM_DEAD_LETTERS, seq, ALL, &m));

	const bool found = m.seq == seq;

	if (found) {
		print_line(&m);
		print_bytes(bus_body(m.msg));
	}
	bus_free(m.msg);
	return found ? OK : ERR(not_found);
}

static int wrong(void)
{
	(void) fputs(usage, stderr);
	return EXIT_USAGE;
}

int dead_letters_main(int argc, char **argv)
{
	const bool ls = argc == 2 && strcmp(argv[1], "ls") == 0;
	const bool one = argc == 3 && (strcmp(argv[1], "show") == 0 || strcmp(argv[1], "drop") == 0);
	char why[256] = "";
	struct bus *bus;
	int64_t seq = 0;
	err_t e;

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return fputs(usage, stdout), 0;
	if (!ls && (!one || !str_int(str_of(argv[2]), &seq) || seq < 1))
		return wrong();

	void *storage = malloc(ARENA);

	assert(storage != NULL);
	arena_init(&arena, storage, ARENA);
	if (bus_open(config_text(CONFIG_NATS_URL), "healthmed dead-letters", &bus, why).code) {
		(void) fprintf(stderr, "healthmed dead-letters: NATS: %s\n", why);
		free(storage);
		return EXIT_AWAY;
	}
	if (ls)
		e = list(bus);
	else if (argv[1][0] == 's')
		e = show(bus, seq);
	else
		e = stream_delete_msg(fresh_ctx(), bus, STREAM_DEAD_LETTERS, seq);
	if (e.code == ERR_not_found)
		(void) fprintf(stderr, "healthmed dead-letters: there is no letter %" PRId64 "\n", seq);
	else if (e.code)
		(void) fprintf(stderr, "healthmed dead-letters: %s\n", ctx.detail);
	bus_close(bus);
	free(storage);
	return e.code == ERR_none ? 0 : e.code == ERR_not_found ? 1 : EXIT_AWAY;
}
