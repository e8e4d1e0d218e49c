/* fuzz_multipart.c - any bytes as a form: the first line is its Content-Type.  What is found lies
 * within the body, and neither it nor the boundary before it is in what was found. */
#include <assert.h>
#include <string.h>
#include "web/multipart.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	static unsigned char storage[64 << 10];
	const char *p = (const char *) data, *line = memchr(p, '\n', size);
	const size_t n = line == NULL ? 0 : (size_t) (line - p);
	struct arena mem;
	struct ctx c = { .mem = &mem };
	struct multipart m;

	if (line == NULL)
		return 0;
	arena_init(&mem, storage, sizeof storage);
	const struct str body = { line + 1, size - n - 1 };

	if (multipart_file(&c, (struct str) { p, n }, body, "file", &m).code)
		return 0;
	assert(m.data.p >= body.p && m.data.p + m.data.n <= body.p + body.n);
	assert(memchr(m.name.p, '/', m.name.n) == NULL && memchr(m.name.p, '\\', m.name.n) == NULL);
	assert(memchr(m.type.p, '\n', m.type.n) == NULL);
	return 0;
}
