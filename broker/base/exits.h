/* exits.h - what a process says when it ends: 0 well, 1 not so, and these. */
#ifndef BROKER_BASE_EXITS_H
#define BROKER_BASE_EXITS_H

enum {
	EXIT_USAGE  = 2,	/* the command line */
	EXIT_AWAY   = 69,	/* something it depends on is not there (EX_UNAVAILABLE of sysexits.h) */
	EXIT_CONFIG = 78,	/* the configuration (EX_CONFIG) */
};
#endif
