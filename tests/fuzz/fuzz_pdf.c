/* fuzz_pdf.c - any bytes as a PDF: the verdict does not depend on where the pieces end, no name that
 * is refused stands plainly in what is taken, and no end of a ZIP behind its first end. */
#include <assert.h>
#include <string.h>
#include "actors/files/pdf.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static const char *const never[] = { "/JavaScript ", "/JS(", "/Launch ", "/EmbeddedFile " };
	const struct str all = { (const char *) data, size };
	struct pdf whole = { .n = 0 }, pieces = { .n = 0 };

	pdf_feed(&whole, all);
	for (size_t i = 0, n; i < size; i += n) {
		n = 1 + data[i] % 7u;
		n = n < size - i ? n : size - i;
		pdf_feed(&pieces, (struct str) { all.p + i, n });
	}
	assert(pdf_fault(&whole) == pdf_fault(&pieces));
	if (pdf_fault(&whole) != NULL)
		return 0;

	const unsigned char *end = memmem(data, size, "%%EOF", 5);

	assert(end != NULL && memmem(end, size - (size_t) (end - data), "PK\5\6", 4) == NULL);
	assert(size >= 10 && memcmp(data, "%PDF-", 5) == 0);
	for (size_t i = 0; i < COUNT(never); i++)
		assert(memmem(data, size, never[i], strlen(never[i])) == NULL);
	return 0;
}
