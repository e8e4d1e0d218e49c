/* nets.c - see nets.h.  Must not know what is in a list. */
#include <arpa/inet.h>
#include <string.h>
#include "broker/base/nets.h"

enum { V4 = 96 };		/* bits before an IPv4 address in its IPv6 form */

/* Answers how many bits of it come before the address proper, or -1. */
static int read_address(struct str text, unsigned char out[16])
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	char s[INET6_ADDRSTRLEN] = "";

	if (text.n >= sizeof s || memchr(text.p, '\0', text.n) != NULL)
		return -1;
	memcpy(s, text.p, text.n);
	memcpy(out, mapped, sizeof mapped);
	if (inet_pton(AF_INET, s, out + sizeof mapped) == 1)
		return V4;
	return inet_pton(AF_INET6, s, out) == 1 ? 0 : -1;
}

static bool read_net(struct str text, unsigned char address[16], int *bits)
{
	const char *slash = memchr(text.p, '/', text.n);
	const struct str host = { text.p, slash == NULL ? text.n : (size_t) (slash - text.p) };
	const int before = read_address(host, address);
	int64_t n = 128 - before;

	if (before < 0)
		return false;
	if (slash != NULL &&
	    (!str_int((struct str) { slash + 1, text.n - host.n - 1 }, &n) || n < 0 || n > 128 - before))
		return false;
	*bits = before + (int) n;
	return true;
}

bool nets_read(struct nets *l, const char *list)
{
	l->n = 0;
	for (const char *p = list + strspn(list, " "); *p != '\0';) {
		struct str part = { p, strcspn(p, ",") };
		const char *next = p + part.n;

		while (part.n > 0 && part.p[part.n - 1] == ' ')
			part.n--;
		if (l->n == NETS_MAX || !read_net(part, l->net[l->n].address, &l->net[l->n].bits))
			return false;
		l->n++;
		if (*next == ',' && *(next += 1 + strspn(next + 1, " ")) == '\0')
			return false;		/* a comma, and nothing after it */
		p = next;
	}
	return true;
}

static bool same(const unsigned char *a, const unsigned char *b, int bits)
{
	const int bytes = bits / 8, rest = bits % 8;

	return memcmp(a, b, (size_t) bytes) == 0 &&
	       (rest == 0 || (a[bytes] ^ b[bytes]) >> (8 - rest) == 0);
}

bool nets_have(const struct nets *l, struct str text)
{
	unsigned char address[16];

	if (l->n == 0 || read_address(text, address) < 0)
		return false;
	for (size_t i = 0; i < l->n; i++)
		if (same(address, l->net[i].address, l->net[i].bits))
			return true;
	return false;
}
