/* documents.c - see documents.h.  Must not know who has the number, nor where it goes. */
#include <string.h>
#include "broker/base/documents.h"

/* A mask's marks may be left out, but stand nowhere else.  The length read, or -1. */
static int unmask(struct str text, const char *mask, char *out, int room)
{
	int n = 0;

	for (size_t i = 0; i < text.n; mask++) {
		char c = text.p[i];

		if (*mask == '\0')
			return -1;
		if (*mask != '0') {
			i += c == *mask;
			continue;
		}
		if (c >= 'a' && c <= 'z')
			c = (char) (c - 'a' + 'A');
		if (n == room || !((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')))
			return -1;
		out[n++] = c;
		i++;
	}
	out[n] = '\0';
	return n;
}

static bool all_digits(const char *s)
{
	return s[strspn(s, "0123456789")] == '\0';
}

/* Modulo 11 of weights that grow from 2 at the right and, at `top`, begin anew.  A letter counts
 * as its ASCII code less 48, as a digit does. */
static char check_digit(const char *s, int n, int top)
{
	int sum = 0, weight = 2;

	for (int i = n - 1; i >= 0; i--) {
		sum += (s[i] - '0') * weight;
		weight = weight == top ? 2 : weight + 1;
	}
	return (char) (sum % 11 < 2 ? '0' : '0' + 11 - sum % 11);
}

bool document_read(struct str text, char out[DOCUMENT_TEXT])
{
	int n = unmask(text, "000.000.000-00", out, CPF);
	int top = CPF;

	if (n != CPF || !all_digits(out)) {
		n = unmask(text, "00.000.000/0000-00", out, CNPJ);
		top = 9;
		if (n != CNPJ || !all_digits(out + CNPJ - 2))
			return false;
	}
	/* 000.000.000-00 and the like have right check digits and are nobody's. */
	if (strspn(out, (char[]) { out[0], '\0' }) == (size_t) n)
		return false;
	return out[n - 2] == check_digit(out, n - 2, top) &&
	       out[n - 1] == check_digit(out, n - 1, top);
}

bool zip_read(struct str text, char out[ZIP + 1])
{
	return unmask(text, "00000-000", out, ZIP) == ZIP && all_digits(out);
}
