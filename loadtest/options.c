/* options.c - see options.h.  Must not know what an option is for. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "broker/base/exits.h"
#include "loadtest/options.h"

enum kind { TEXT, INT, FLAG };

struct options opt;

static struct row {
	char          name[24];
	enum kind     kind;
	const char   *dflt;
	int64_t       min, max;
	const char   *help;
	struct value *at;
} row[] = {
#define X(name, kind, dflt, min, max, text) { #name, kind, dflt, min, max, text, &opt.name },
	OPTION_TABLE(X)
#undef X
};
enum { ROWS = sizeof row / sizeof *row };

_Noreturn void usage(const char *why, const char *what)
{
	fprintf(stderr, "load: %s %s (--help tells)\n", why, what);
	exit(EXIT_USAGE);
}

static void set(const struct row *r, const char *text)
{
	char *end;

	r->at->text = text;
	if (r->kind != INT)
		return;
	errno = 0;
	r->at->n = strtoll(text, &end, 10);
	if (errno || end == text || *end || r->at->n < r->min || r->at->n > r->max)
		usage("not a number in the range of this option:", r->name);
}

static void help(void)
{
	puts("load [--option value]…   a load generator; its summary on stdout is one JSON object\n");
	for (const struct row *r = row; r < row + ROWS; r++)
		printf("  --%-13s %s%s%s%s\n", r->name, r->help, *r->dflt ? " [" : "", r->dflt,
		       *r->dflt ? "]" : "");
	puts("\nexit: 0 every answer was as expected, 1 not so, 2 usage, 69 nobody answers there");
}

void options_read(int argc, char **argv)
{
	struct option longs[ROWS + 1] = { { 0 } };
	int i, c;

	for (i = 0; i < ROWS; i++) {
		for (char *p = row[i].name; *p; p++)
			if (*p == '_')
				*p = '-';
		set(&row[i], row[i].dflt);
		longs[i] = (struct option) { row[i].name, row[i].kind != FLAG, NULL, 0 };
	}
	while ((c = getopt_long(argc, argv, "", longs, &i)) == 0) {
		if (row[i].kind == FLAG)
			row[i].at->n = 1;
		else
			set(&row[i], optarg);
	}
	if (c != -1)
		exit(EXIT_USAGE);
	if (optind < argc)
		usage("what is this?", argv[optind]);
	if (opt.help.n) {
		help();
		exit(EXIT_SUCCESS);
	}
}
