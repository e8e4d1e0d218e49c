/*
 * nets.h - lists of addresses and networks: "127.0.0.1, 10.0.0.0/8, fd00::/8".
 *
 * An IPv4 address and its IPv6 form (::ffff:a.b.c.d) are one.
 */
#ifndef BROKER_BASE_NETS_H
#define BROKER_BASE_NETS_H
#include "broker/base/str.h"

enum { NETS_MAX = 32 };

struct nets {
	size_t n;
	struct { unsigned char address[16]; int bits; } net[NETS_MAX];
};

/* False when a part is no address or network, or there are too many of them; "" is none. */
bool nets_read(struct nets *, const char *list) MUST_CHECK;
bool nets_have(const struct nets *, struct str address);	/* false also when it is no address */
#endif
