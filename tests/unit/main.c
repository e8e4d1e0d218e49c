/* main.c - runs the tests that a program lists, gives each a clean context. */
#include <stdlib.h>
#include <time.h>
#include "tests/unit/test.h"

static struct CMUnitTest tests[128];
static size_t ntests;

void test_list(const char *name, CMUnitTestFunction run)
{
	if (ntests == sizeof tests / sizeof tests[0])
		abort();	/* rather than to pass without it */
	tests[ntests++] = (struct CMUnitTest) { .name = name, .test_func = run };
}

int main(void)
{
	return _cmocka_run_group_tests("unit", tests, ntests, NULL, NULL);
}

struct ctx *fresh(void)
{
	static unsigned char storage[1 << 16];
	static struct arena arena;
	static struct ctx c;

	(void) setenv("TZ", "<-03>3<-02>,M11.1.0/0,M2.3.0/0", 1);	/* as until 2019 */
	tzset();
	arena_init(&arena, storage, sizeof storage);
	c = (struct ctx) { .mem = &arena };
	return &c;
}
