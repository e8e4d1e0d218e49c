/*
 * link.h - a download link: who may follow it, and until when, under a MAC that nobody else can make.
 *
 * It opens one file for one reader for some minutes without a token.  It proves who it was made for,
 * not that he still may: whoever follows it asks that anew.  A link is a secret; it is never logged.
 */
#ifndef BROKER_LINK_H
#define BROKER_LINK_H
#include "broker/base/str.h"

enum { LINK_LIFE_S = 300, LINK_SIGNATURE = 22, LINK_TEXT = 256 };

struct link {
	int64_t   file, reader;
	int64_t   session;	/* of the token with which it was asked for: it ends with that; 0: none */
	enum role role;
	int64_t   expires;	/* seconds since 1970 */
};

/* The address of the contents, signed with REQUEST_KEY; text in the arena. */
err_t link_write(struct ctx *, struct str secret, const struct link *, struct str *) MUST_CHECK;
bool  link_is_good(struct str secret, const struct link *, struct str signature, int64_t now_s);
#endif
