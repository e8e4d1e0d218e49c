/*
 * fuzz_texts.c - the small parsers of what comes from outside: times, dates, money, request ids,
 * refresh tokens, subjects, headers, answers of the JetStream API.  Input: which one, bytes.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "actors/users/refresh.h"
#include "broker/base/time.h"
#include "broker/partition.h"
#include "broker/request_id.h"
#include "broker/scan.h"
#include "broker/wire.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void try_time(struct str s)
{
	static unsigned char storage[512];
	struct arena mem;
	struct buf b = { .mem = &mem };
	int64_t t, again;

	arena_init(&mem, storage, sizeof storage);
	if (time_parse(s, &t) && t >= 0 && t <= TIME_MAX) {
		time_write(&b, t);
		assert(time_parse((struct str) { b.p, b.n }, &again) && again == t);
	}
	b = (struct buf) { .mem = &mem };
	if (date_parse(s, &t) && t >= 0) {
		date_write(&b, t);
		assert(str_eq(s, (struct str) { b.p, b.n }));
	}
}

static void try_number(struct str s)
{
	int64_t n, centavos;

	if (str_int(s, &n) && str_decimal(s, 2, &centavos))
		assert(centavos / 100 == n);
}

static void try_request_id(struct str s)
{
	char text[REQUEST_ID_TEXT + 1];
	struct request_id id;

	if (request_id_read(s, &id)) {		/* one form only */
		request_id_write(&id, text);
		assert(str_eq(s, str_of(text)));
	}
}

static void try_refresh(struct str s)
{
	const struct str key = STR("a key"), seed = STR("a seed");
	char text[REFRESH_TEXT + 1];
	struct refresh r;

	if (!refresh_read(s, &r))
		return;
	refresh_write(key, seed, r.session, r.generation, text);
	assert(s.n == REFRESH_TEXT && memcmp(s.p, text, 21) == 0);	/* all but the MAC */
	assert(refresh_is(&r, key, seed) == str_eq(s, str_of(text)));
}

static void try_subject(struct str s)
{
	char text[PARTITION_SUBJECT];
	int partition;
	int64_t doctor;

	if (partition_read(s, &partition, &doctor)) {
		partition_subject(doctor, text);
		assert(partition >= 0 && partition < PARTITIONS && partition_of(doctor) == partition);
	}
}

static void try_headers(const char *text)
{
	static unsigned char storage[4096];
	struct arena mem;
	struct ctx c = { .mem = &mem };

	arena_init(&mem, storage, sizeof storage);
	if (wire_get_ctx(&c, text, "patient", NULL, NULL).code == ERR_none)
		assert(c.user > 0);
	c = (struct ctx) { .mem = &mem };
	(void) !wire_get_ctx(&c, "7", text, text, text).code;
	if (wire_get_session(&c, text).code == ERR_none)
		assert(c.session > 0);
	c = (struct ctx) { .mem = &mem };
	(void) wire_get_error(&c, text, text);
}

static void try_scan(struct str s)
{
	static unsigned char storage[1 << 16];
	struct arena mem;
	struct str text;
	int64_t n;

	arena_init(&mem, storage, sizeof storage);
	(void) scan_int(s, "seq", &n);
	(void) scan_int(s, "error.err_code", &n);
	(void) scan_text(&mem, s, "message.data", &text);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	if (size < 1)
		return 0;

	char *copy = malloc(size);		/* ends with a NUL, for what is read as a header */
	const struct str s = { copy, size - 1 };

	if (copy == NULL)
		return 0;
	memcpy(copy, data + 1, size - 1);
	copy[size - 1] = '\0';
	(void) setenv("TZ", "America/Sao_Paulo", 1);
	switch (data[0] % 7) {
	case 0: try_time(s); break;
	case 1: try_number(s); break;
	case 2: try_request_id(s); break;
	case 3: try_subject(s); break;
	case 4: try_headers(copy); break;
	case 5: try_scan(s); break;
	case 6: try_refresh(s); break;
	}
	free(copy);
	return 0;
}
