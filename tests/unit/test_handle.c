/* test_handle.c - what a gateway makes of requests and replies; the bus and HTTP are stand-ins. */
#include <stdio.h>
#include <stdlib.h>
#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "broker/etag.h"
#include "broker/link.h"
#include "tests/unit/test.h"
#include "web/handle.h"
#include "web/header.h"
#include "web/room.h"
#include "web/router.h"

enum { THREADS = 16 };

static struct gateway *g;
static struct ctx *c;

/* ---- HTTP ---- */

static const char *sent_header[16][2];
static size_t nsent;
static char head[2048];

struct str http_header(const struct http_request *q, const char *name)
{
	(void) q;
	for (size_t i = 0; i < nsent; i++)
		if (strcmp(sent_header[i][0], name) == 0)
			return str_of(sent_header[i][1]);
	return (struct str) { NULL, 0 };
}

struct str http_headers(struct http_request *q, const char *name)
{
	return http_header(q, name);
}

static struct str sent_body;

err_t http_body(struct http_request *q, size_t max, struct str *body)
{
	assert_true(max >= sent_body.n);
	q->length = 0;
	*body = sent_body;
	return OK;
}

static char file_room[ROOM_SIZE];
static bool rooms_are_taken;

err_t room_take(struct ctx *of, char **room)
{
	assert_true(of->user > 0);		/* a room has an owner */
	*room = rooms_are_taken ? NULL : file_room;
	return rooms_are_taken ? ERR(unavailable) : OK;
}

err_t http_upload(struct http_request *q, char *room, size_t max, struct str *body)
{
	assert_ptr_equal(room, file_room);
	assert_true(max >= FILES_MAX && max <= sizeof file_room);
	q->length = 0;
	*body = sent_body;
	return OK;
}

err_t http_piece(struct http_request *q, struct http_answer *a, struct str piece)
{
	(void) q, (void) a, (void) piece;
	assert_true(0 && "no answer here is so long");
	return OK;
}

void http_put(struct http_answer *a, const char *name, const char *fmt, ...)
{
	va_list ap;

	(void) a;
	(void) snprintf(head + strlen(head), sizeof head - strlen(head), "%s: ", name);
	va_start(ap, fmt);
	(void) vsnprintf(head + strlen(head), sizeof head - strlen(head), fmt, ap);
	va_end(ap);
	strcat(head, "\n");
}

/* ---- tokens ---- */

/* p17: patient 17; d5.31: doctor 5 in session 31. */
err_t auth_check(struct ctx *to, struct keyring *ring, struct str header, int64_t now_s, int64_t *exp_s)
{
	const char *dot = header.p == NULL ? NULL : memchr(header.p, '.', header.n);
	const size_t n = dot == NULL ? header.n : (size_t) (dot - header.p);

	(void) ring;
	*exp_s = now_s + 60;
	if (header.p == NULL)
		return ERR(no_token);
	to->role = header.p[0] == 'd' ? ROLE_DOCTOR : ROLE_PATIENT;
	to->session = 0;
	if (dot != NULL && !str_int((struct str) { dot + 1, header.n - n - 1 }, &to->session))
		return ERR(bad_token);
	return str_int((struct str) { header.p + 1, n - 1 }, &to->user) ? OK : ERR(bad_token);
}

struct str auth_jwks(const struct keyring *ring)
{
	(void) ring;
	return STR("{}");
}

/* ---- the bus ---- */

static int requests, commands;
static char subject[128], request[128], last_body[512];
static size_t last_body_n;
static err_t bus_error;
static struct bus_outcome bus_decides;
static int64_t waited;
static struct str replies[4];
static int unheard, asked;		/* so many questions nobody answers; and what time each had */
static int64_t left[16];
static struct str progress;

static const char *wire_value(const struct headers *h, const char *name)
{
	for (size_t i = 0; i < h->n; i++)
		if (strcmp(h->v[i].name, name) == 0)
			return h->v[i].value;
	return "";
}

static void note(const char *s, const struct headers *h, struct str body)
{
	(void) snprintf(subject, sizeof subject, "%s", s);
	(void) snprintf(request, sizeof request, "%s", wire_value(h, WIRE_REQUEST));
	memcpy(last_body, body.p,
	       last_body_n = body.n < sizeof last_body ? body.n : sizeof last_body);
}

err_t bus_request(struct ctx *of, struct bus *bus, const char *s, const struct headers *h,
		  struct str body, struct str *reply)
{
	(void) bus;
	assert_true(of->deadline > 0);
	note(s, h, body);
	if (unheard > 0) {
		unheard--;
		left[asked++] = of->deadline - clock_mono();
		return ERR(timeout);
	}
	*reply = replies[requests++];
	return bus_error;
}

err_t bus_command(struct ctx *of, struct bus *bus, const char *s, struct headers *h,
		  struct str body, int64_t wait_us, size_t room, struct bus_outcome *o)
{
	(void) of, (void) bus, (void) room;
	note(s, h, body);
	commands++;
	waited = wait_us;
	*o = bus_decides;
	return bus_error;
}

struct str bus_body(const struct bus_msg *m)
{
	(void) m;
	return progress;
}

/* ---- a request ---- */

static struct http_answer a;
static struct http_request q;

static void begin(void)
{
	if (g == NULL) {
		g = calloc(1, sizeof *g);
		g->secret = STR("0123456789abcdef0123456789abcdef");
		ended_init(&g->ended);
		router_build();
		log_level_set("error");
	}
	memory_init(&g->memory);
	crowd_init(&g->crowd, THREADS);
	microcache_init(&g->microcache, 0);
	g->origins = "https://a.example, https://b.example";
	limit_init(&g->requests, 1000000);
	limit_init(&g->registrations, 1000000);
	limit_init(&g->logins, 1000000);
	c = fresh();
	nsent = 0;
	head[0] = request[0] = subject[0] = '\0';
	requests = commands = unheard = asked = 0;
	bus_error = OK;
	bus_decides = (struct bus_outcome) { .state = OUTCOME_UNKNOWN };
	sent_body = STR("");
	rooms_are_taken = false;
	memset(replies, 0, sizeof replies);
}

static void with(const char *name, const char *value)
{
	sent_header[nsent][0] = name;
	sent_header[nsent++][1] = value;
}

static int ask(const char *method, const char *path, const char *query, const char *body)
{
	q = (struct http_request){.c = *c,
				  .method = str_of(method),
				  .path = str_of(path),
				  .query = query == NULL ? (struct str){NULL, 0} : str_of(query),
				  .peer = "127.0.0.1",
				  .began = clock_mono(),
				  .length = body == NULL ? 0 : (int64_t) strlen(body)};
	a = (struct http_answer) { .head = { .mem = c->mem } };
	if (body != NULL) {
		sent_body = str_of(body);
		with("Content-Type", "application/json");
	}
	handle(g, &q, &a);
	return a.status;
}

static bool says(const char *part)
{
	return memmem(a.body.p, a.body.n, part, strlen(part)) != NULL;
}

static struct str packed(const struct msg *m, const void *in)
{
	struct str s;

	assert_err(msg_to_pack(c, m, in, &s), none);
	return s;
}

static struct appointments_appointment an_appointment(void)
{
	struct appointments_appointment p = { .id = 0 };

	SET(&p, id, 9);
	SET(&p, schedule_id, 3);
	SET(&p, patient_id, 17);
	SET(&p, doctor_id, 5);
	SET(&p, date_time, 0);
	SET(&p, duration_minutes, 60);
	SET(&p, status, APPOINTMENT_WAITING);
	SET(&p, created_at, 0);
	SET(&p, updated_at, 0);
	return p;
}

static void decided(enum request_status status, const char *code)
{
	struct booking_outcome o = { .status = status };

	SET(&o, request_id, STR("r"));
	o.has.status = 1;
	SET(&o, decided_at, 0);
	if (code != NULL)
		SET(&o, code, str_of(code));
	if (status == REQUEST_BOOKED || status == REQUEST_DONE)
		SET(&o, appointment, an_appointment());
	bus_decides = (struct bus_outcome) { OUTCOME_DECIDED, 7, packed(&booking_outcome_msg, &o) };
}

static int book(const char *key, const char *prefer)
{
	with("Authorization", "p17");
	if (key != NULL)
		with("Idempotency-Key", key);
	if (prefer != NULL)
		with("Prefer", prefer);
	memory_know(&g->memory, 5, clock_mono());
	return ask("POST", "/api/v1/appointments", NULL, "{\"schedule_id\":3,\"doctor_id\":5}");
}

TEST(a_booking_that_is_granted_is_201_and_says_where_it_is)
{
	char mailbox[PARTITION_SUBJECT];

	begin();
	decided(REQUEST_BOOKED, NULL);
	assert_int_equal(book("k", NULL), 201);
	assert_non_null(strstr(head, "Location: /api/v1/appointments/9\n"));
	assert_true(says("\"id\":9"));
	assert_true(says("\"cancelled_reason\":null"));
	partition_subject(5, mailbox);
	assert_string_equal(subject, mailbox);
	assert_int_equal(waited, 5 * SECOND);
	assert_int_equal(requests, 0);		/* the doctor was known */
}

TEST(a_booking_that_is_refused_has_the_status_of_its_code)
{
	begin();
	decided(REQUEST_REJECTED, "slot_taken");
	assert_int_equal(book("k", NULL), 409);
	assert_true(says("\"code\":\"slot_taken\""));
	begin();
	decided(REQUEST_FAILED, NULL);
	assert_int_equal(book("k", NULL), 500);
	assert_true(says("\"code\":\"failed\""));
	begin();
	decided(REQUEST_REJECTED, "nonsense");
	assert_int_equal(book("k", NULL), 500);
}

TEST(a_booking_that_is_accepted_but_undecided_is_202_and_says_where_to_look)
{
	begin();
	bus_decides = (struct bus_outcome) { .state = OUTCOME_ACCEPTED, .seq = 40 };
	g->memory.progress[partition_of(5)].known = true;
	g->memory.progress[partition_of(5)].last_seq = 30;
	g->memory.progress[partition_of(5)].waiting = 100;
	assert_int_equal(book("k", "respond-async"), 202);
	assert_int_equal(waited, 0);
	assert_non_null(strstr(head, "Preference-Applied: respond-async\n"));
	assert_non_null(strstr(head, "Location: /api/v1/appointments/requests/"));
	assert_true(says("\"status\":\"pending\""));
	assert_true(says("\"ahead\":9"));
	assert_true(says(request));
}

TEST(a_booking_nobody_knows_of_is_504_and_says_where_to_look)
{
	begin();
	assert_int_equal(book("k", "wait=3"), 504);
	assert_int_equal(waited, 3 * SECOND);
	assert_true(says("\"code\":\"outcome_unknown\""));
	assert_non_null(strstr(head, "Location: /api/v1/appointments/requests/"));
	begin();
	bus_error = ERR(unavailable);
	assert_int_equal(book("k", NULL), 503);
	assert_non_null(strstr(head, "Retry-After: "));
}

/* For a second, and nothing was heard. */
static void wait_beside(enum crowd_row row, int threads)
{
	const int64_t since = clock_mono() - SECOND;

	for (int i = 0; i < threads; i++)
		assert_true(crowd_enter(&g->crowd, row, since));
}

TEST(half_of_the_threads_wait_for_outcomes_and_whoever_comes_then_is_told_202)
{
	begin();
	wait_beside(CROWD_outcome, THREADS / 2 - 1);
	decided(REQUEST_BOOKED, NULL);
	assert_int_equal(book("k", NULL), 201);
	begin();
	wait_beside(CROWD_outcome, THREADS / 2);
	bus_decides = (struct bus_outcome) { .state = OUTCOME_ACCEPTED, .seq = 40 };
	assert_int_equal(book("k", "wait=3"), 202);
	assert_int_equal(waited, 0);
	assert_null(strstr(head, "Preference-Applied"));
	crowd_leave(&g->crowd, CROWD_outcome, 0, 0, false);
	assert_int_equal(book("k", "wait=3"), 202);
	assert_int_equal(waited, 3 * SECOND);
	assert_non_null(strstr(head, "Preference-Applied: wait=3\n"));
}

TEST(when_too_many_wait_for_the_stream_a_command_is_503_and_was_not_sent)
{
	begin();
	wait_beside(CROWD_outcome, THREADS / 2);
	wait_beside(CROWD_log, THREADS / 8 * 3);
	assert_int_equal(book("k", NULL), 503);
	assert_non_null(strstr(head, "Retry-After: "));
	assert_int_equal(commands, 0);
}

TEST(a_stream_that_acknowledged_nothing_is_tried_by_one_and_the_others_are_503)
{
	begin();
	assert_int_equal(book("k", NULL), 504);
	assert_int_equal(commands, 1);
	wait_beside(CROWD_log, 1);
	assert_int_equal(book("l", NULL), 503);
	assert_non_null(strstr(head, "Retry-After: "));
	assert_int_equal(commands, 1);
	crowd_leave(&g->crowd, CROWD_log, 0, 0, false);
	bus_decides = (struct bus_outcome) { .state = OUTCOME_ACCEPTED, .seq = 40 };
	assert_int_equal(book("m", NULL), 202);
	assert_int_equal(waited, SECOND);
	memory_decided(&g->memory, 5, 40, clock_mono());
	(void) book("n", NULL);
	assert_int_equal(waited, 5 * SECOND);
}

TEST(a_domain_that_answered_nothing_is_tried_by_one_and_the_others_are_503)
{
	begin();
	unheard = COUNT(left);
	with("Authorization", "p17");
	assert_int_equal(ask("GET", "/api/v1/appointments", NULL, NULL), 504);
	const int before = asked;

	wait_beside(CROWD_appointments, 1);
	assert_int_equal(ask("GET", "/api/v1/appointments", NULL, NULL), 503);
	assert_int_equal(asked, before);
	crowd_leave(&g->crowd, CROWD_appointments, 0, clock_mono(), true);
	assert_int_equal(ask("GET", "/api/v1/appointments", NULL, NULL), 504);
	assert_true(asked > before);
}

/* It may answer again by now: those who come then are not many. */
TEST(of_a_gateway_with_many_threads_a_few_try_at_once)
{
	static struct crowd many;
	int n = 0;

	crowd_init(&many, 32 * THREADS);
	assert_true(crowd_enter(&many, CROWD_log, SECOND));
	crowd_leave(&many, CROWD_log, SECOND, 2 * SECOND, false);
	while (n < 32 * THREADS && crowd_enter(&many, CROWD_log, 2 * SECOND))
		n++;
	assert_in_range(n, 8, 16);
	crowd_hear(&many, CROWD_log, 2 * SECOND, 2 * SECOND + MS, true);
	assert_true(crowd_enter(&many, CROWD_log, 2 * SECOND + 2 * MS));
}

TEST(a_question_that_is_not_answered_is_asked_of_another_and_what_changes_something_is_not)
{
	begin();
	unheard = 2;
	with("Authorization", "p17");
	(void) ask("GET", "/api/v1/appointments", NULL, NULL);
	assert_int_equal(requests, 1);
	assert_in_range(left[0], SECOND / 2, SECOND);
	assert_in_range(left[1], SECOND * 3 / 2, 2 * SECOND);
	unheard = 1;
	assert_int_equal(ask("POST", "/api/v1/users/logout", NULL, "{}"), 504);
	assert_int_equal(requests, 1);
}

TEST(a_domain_that_hangs_leaves_the_others_their_threads)
{
	begin();
	wait_beside(CROWD_appointments, THREADS / 2);
	with("Authorization", "p17");
	assert_int_equal(ask("GET", "/api/v1/appointments", NULL, NULL), 503);
	assert_non_null(strstr(head, "Retry-After: "));
	assert_int_equal(requests, 0);
	(void) ask("GET", "/api/v1/users/me", NULL, NULL);
	assert_int_equal(requests, 1);
}

TEST(while_answers_flow_a_rush_is_no_reason_to_refuse_anybody)
{
	const int64_t now = clock_mono();

	begin();
	wait_beside(CROWD_appointments, THREADS / 2);
	crowd_leave(&g->crowd, CROWD_appointments, now - MS, now, true);
	for (int i = 0; i < THREADS; i++)
		assert_true(crowd_enter(&g->crowd, CROWD_appointments, now + 99 * MS));
	assert_false(crowd_enter(&g->crowd, CROWD_appointments, now + 100 * MS));
}

TEST(where_the_last_one_waited_for_more_than_a_second_few_wait)
{
	const int64_t now = clock_mono();
	int n = 0;

	begin();
	assert_true(crowd_enter(&g->crowd, CROWD_appointments, now - 2 * SECOND));
	crowd_leave(&g->crowd, CROWD_appointments, now - 2 * SECOND, now, true);
	while (n < THREADS && crowd_enter(&g->crowd, CROWD_appointments, now))
		n++;
	assert_int_equal(n, THREADS / 8);
	crowd_leave(&g->crowd, CROWD_appointments, now, now + MS, true);	/* this one was quick */
	assert_true(crowd_enter(&g->crowd, CROWD_appointments, now + 2 * MS));
}

/* ---- what is the same for all ---- */

static struct str slots_page(int64_t first)
{
	struct schedules_slot s = { .id = 0 };
	const struct schedules_page page = { .items = { &s, 1 }, .has.items = 1 };

	SET(&s, id, first);
	SET(&s, doctor_id, 5);
	SET(&s, date_time_available, 0);
	SET(&s, duration_minutes, 60);
	SET(&s, active, true);
	SET(&s, booked, false);
	SET(&s, created_at, 0);
	SET(&s, updated_at, 0);
	return packed(&schedules_page_msg, &page);
}

/* The actors say 41 first, then 42; what is kept lives so long. */
static void slots_are_asked_for(const char *name, int64_t keep)
{
	begin();
	g->microcache.keep = keep;
	memory_know(&g->memory, 5, clock_mono());
	replies[0] = slots_page(41);
	replies[1] = slots_page(42);
	with("Authorization", name);
}

static int slots(const char *query)
{
	return ask("GET", "/api/v1/doctors/5/slots", query, NULL);
}

TEST(what_is_the_same_for_all_is_asked_of_the_actors_once_in_a_moment)
{
	slots_are_asked_for("p17", SECOND);
	assert_int_equal(slots("limit=1"), 200);
	sent_header[0][1] = "p18";
	assert_int_equal(slots("limit=1"), 200);
	assert_true(says("\"id\":41"));
	assert_int_equal(requests, 1);
	assert_int_equal(slots("limit=2"), 200);
	assert_true(says("\"id\":42"));
	assert_int_equal(requests, 2);
}

TEST(what_is_kept_is_served_to_nobody_who_may_not_ask_for_it)
{
	struct users_listed_page none = { .has.items = 1 };

	slots_are_asked_for("p17", SECOND);
	assert_int_equal(slots("limit=3"), 200);
	nsent = 0;
	assert_int_equal(slots("limit=3"), 401);
	slots_are_asked_for("p17", SECOND);
	replies[0] = packed(&users_listed_page_msg, &none);
	assert_int_equal(ask("GET", "/api/v1/users/doctors", "state=MG", NULL), 200);
	sent_header[0][1] = "d5";
	assert_int_equal(ask("GET", "/api/v1/users/doctors", "state=MG", NULL), 403);
	assert_int_equal(requests, 1);
}

TEST(what_is_kept_is_over_after_its_moment_and_a_gateway_may_keep_nothing)
{
	struct answer_kept kept;

	slots_are_asked_for("p17", SECOND);
	assert_int_equal(slots("limit=4"), 200);
	assert_true(microcache_get(&g->microcache, c->mem, STR("/api/v1/doctors/5/slots"), STR("limit=4"), q.began, &kept));
	assert_false(microcache_get(&g->microcache, c->mem, STR("/api/v1/doctors/5/slots"), STR("limit=4"),
				    clock_mono() + SECOND, &kept));
	slots_are_asked_for("p17", 0);
	assert_int_equal(slots("limit=5"), 200);
	assert_int_equal(slots("limit=5"), 200);
	assert_int_equal(requests, 2);
}

TEST(one_reads_what_one_wrote_through_the_same_gateway)
{
	slots_are_asked_for("p17", SECOND);
	assert_int_equal(slots("limit=6"), 200);
	decided(REQUEST_BOOKED, NULL);
	assert_int_equal(book("k", NULL), 201);
	assert_int_equal(slots("limit=6"), 200);
	assert_true(says("\"id\":42"));
	assert_int_equal(requests, 2);
}

/* The answer of before may come after the change. */
TEST(what_was_asked_for_before_a_change_is_not_kept_after_it)
{
	const struct str path = STR("/slow"), query = { NULL, 0 };
	const struct answer_kept old = { STR("ETag: x\r\n"), STR("old") };
	struct answer_kept kept;

	begin();
	g->microcache.keep = SECOND;

	const uint64_t before = microcache_state(&g->microcache, 5);

	microcache_changed(&g->microcache, 5);
	microcache_put(&g->microcache, path, query, 5, before, clock_mono(), old);
	assert_false(microcache_get(&g->microcache, c->mem, path, query, clock_mono(), &kept));
	microcache_put(&g->microcache, path, query, 5, microcache_state(&g->microcache, 5), clock_mono(), old);
	assert_true(microcache_get(&g->microcache, c->mem, path, query, clock_mono(), &kept));
	assert_true(str_eq(kept.head, old.head) && str_eq(kept.body, old.body));
}

TEST(a_refusal_and_what_is_too_long_are_not_kept)
{
	static char body[MICROCACHE_BODY + 1], long_query[MICROCACHE_KEY];
	struct answer_kept kept;

	slots_are_asked_for("p17", SECOND);
	bus_error = ERR(unavailable);
	assert_int_equal(slots("limit=7"), 503);
	bus_error = OK;
	assert_int_equal(slots("limit=7"), 200);
	assert_int_equal(requests, 2);
	memset(long_query, 'q', sizeof long_query);
	microcache_put(&g->microcache, STR("/long"), STR(""), 0, 0, clock_mono(),
		       (struct answer_kept) { STR(""), { body, sizeof body } });
	microcache_put(&g->microcache, STR("/long"), (struct str) { long_query, sizeof long_query }, 0, 0, clock_mono(),
		       (struct answer_kept) { STR(""), STR("x") });
	assert_false(microcache_get(&g->microcache, c->mem, STR("/long"), STR(""), clock_mono(), &kept));
	assert_false(microcache_get(&g->microcache, c->mem, STR("/long"), (struct str) { long_query, sizeof long_query },
				    clock_mono(), &kept));
}

/* ---- who waits ---- */

TEST(what_needs_nobody_is_answered_while_all_others_wait)
{
	begin();
	wait_beside(CROWD_appointments, THREADS / 2);
	wait_beside(CROWD_outcome, THREADS / 8 * 3);
	with("Authorization", "p17");
	assert_int_equal(ask("GET", "/api/v1/users/me", NULL, NULL), 503);
	assert_int_equal(requests, 0);
	assert_int_equal(ask("GET", "/livez", NULL, NULL), 200);
}

TEST(nobody_waits_for_a_mailbox_that_is_behind_but_who_says_how_long)
{
	const struct bus_outcome accepted = { .state = OUTCOME_ACCEPTED, .seq = 40 };

	begin();
	memory_waited(&g->memory, 5, false, clock_mono() - 2 * SECOND, clock_mono(), &accepted);
	bus_decides = (struct bus_outcome) { .state = OUTCOME_ACCEPTED, .seq = 41 };
	assert_int_equal(book("k", NULL), 202);
	assert_int_equal(waited, 0);
	assert_int_equal(book("l", "wait=3"), 202);
	assert_int_equal(waited, 3 * SECOND);
	memory_decided(&g->memory, 5, 41, clock_mono());
	nsent = 0;
	(void) book("m", NULL);
	assert_int_equal(waited, 5 * SECOND);
}

TEST(the_same_key_of_the_same_user_is_the_same_request)
{
	char first[128];

	begin();
	(void) book("k", NULL);
	strcpy(first, request);
	assert_int_equal(strlen(first), REQUEST_ID_TEXT);
	begin();
	(void) book("k", NULL);
	assert_string_equal(request, first);
	begin();
	(void) book("other", NULL);
	assert_string_not_equal(request, first);
	begin();
	(void) book(NULL, NULL);
	strcpy(first, request);
	begin();
	(void) book(NULL, NULL);
	assert_string_not_equal(request, first);	/* drawn */
}

TEST(keys_are_visible_ascii_of_1_to_64)
{
	static char long_key[66];

	memset(long_key, 'k', 65);
	assert_true(header_key_is_good(STR("a-Z_0~!")));
	assert_true(header_key_is_good((struct str) { long_key, 64 }));
	assert_false(header_key_is_good(str_of(long_key)));
	assert_false(header_key_is_good(STR("")));
	assert_false(header_key_is_good(STR("a b")));
	assert_false(header_key_is_good(STR("\xc3\xa9")));
	begin();
	assert_int_equal(book("a b", NULL), 400);
	assert_true(says("\"field\":\"Idempotency-Key\""));
	assert_int_equal(commands, 0);
}

TEST(an_unknown_doctor_is_asked_for_and_refused_before_publishing)
{
	struct users_known_rep known = { .doctor_id = 0 };
	bool old;

	begin();
	with("Authorization", "p17");
	bus_error = ERR(not_found);
	assert_int_equal(
	    ask("POST", "/api/v1/appointments", NULL, "{\"schedule_id\":3,\"doctor_id\":6}"), 404);
	assert_string_equal(subject, "healthmed.v1.users.known");
	assert_int_equal(commands, 0);
	assert_false(memory_knows(&g->memory, 6, 0, &old));

	begin();
	with("Authorization", "p17");
	SET(&known, doctor_id, 6);
	replies[0] = packed(&users_known_rep_msg, &known);
	(void) ask("POST", "/api/v1/appointments", NULL, "{\"schedule_id\":3,\"doctor_id\":6}");
	assert_int_equal(commands, 1);
	assert_true(memory_knows(&g->memory, 6, 0, &old));
}

TEST(a_cancellation_goes_to_the_mailbox_of_the_located_doctor)
{
	struct appointments_locate_rep where = { .doctor_id = 0 };
	struct booking_cancel_req sent;
	char mailbox[PARTITION_SUBJECT];

	begin();
	with("Authorization", "p17");
	SET(&where, doctor_id, 5);
	replies[0] = packed(&appointments_locate_rep_msg, &where);
	decided(REQUEST_DONE, NULL);
	assert_int_equal(ask("POST", "/api/v1/appointments/9/cancel", NULL,
			     "{\"reason\":\"flu\",\"doctor_id\":99,\"id\":1}"), 200);
	partition_subject(5, mailbox);
	assert_string_equal(subject, mailbox);
	assert_err(msg_from_pack(fresh(), &booking_cancel_req_msg,
				 (struct str) { last_body, last_body_n }, &sent), none);
	assert_int_equal(sent.id, 9);
	assert_int_equal(sent.doctor_id, 5);	/* ours, not the client's */
}

TEST(a_doctor_opens_slots_in_his_own_mailbox)
{
	char mailbox[PARTITION_SUBJECT];

	begin();
	with("Authorization", "d8");
	(void) ask("POST", "/api/v1/schedules", NULL,
		   "{\"date_time_available\":\"2027-01-04 10:00\"}");
	partition_subject(8, mailbox);
	assert_string_equal(subject, mailbox);
}

TEST(the_role_is_checked_before_anything_is_read_or_asked)
{
	begin();
	with("Authorization", "p17");
	assert_int_equal(ask("POST", "/api/v1/schedules", NULL, "{"), 403);
	assert_int_equal(requests + commands, 0);
	begin();
	assert_int_equal(ask("GET", "/api/v1/users/me", NULL, NULL), 401);
	assert_int_equal(requests, 0);
}

TEST(a_request_is_told_to_its_user_only)
{
	struct appointments_request_rep rep = { .status = REQUEST_PENDING };
	struct request_id id;
	char path[128] = "/api/v1/appointments/requests/";
	const size_t n = strlen(path);

	begin();
	SET(&rep, request_id, STR("r"));
	rep.has.status = 1;
	id = request_id_make(g->secret, 5, STR("17"), STR("k"));
	request_id_write(&id, path + n);
	replies[0] = packed(&appointments_request_rep_msg, &rep);
	with("Authorization", "p17");
	assert_int_equal(ask("GET", path, NULL, NULL), 200);
	begin();
	with("Authorization", "p18");
	assert_int_equal(ask("GET", path, NULL, NULL), 404);
	assert_int_equal(requests, 0);
	begin();
	with("Authorization", "p17");
	assert_int_equal(ask("GET", "/api/v1/appointments/requests/nonsense", NULL, NULL), 404);
	assert_int_equal(requests, 0);
}

TEST(a_page_is_an_array_and_the_next_one_is_in_link)
{
	struct appointments_appointment one = an_appointment();
	struct appointments_page page = { .items = { &one, 1 } };

	begin();
	page.has.items = 1;
	SET(&page, next, STR("a b&"));
	replies[0] = packed(&appointments_page_msg, &page);
	with("Authorization", "p17");
	assert_int_equal(ask("GET", "/api/v1/appointments", "limit=1&cursor=x", NULL), 200);
	assert_int_equal(a.body.p[0], '[');
	assert_int_equal(a.body.p[a.body.n - 1], ']');
	assert_false(says("items"));
	assert_non_null(
	    strstr(head, "Link: </api/v1/appointments?limit=1&cursor=a%20b%26>; rel=\"next\"\n"));

	begin();
	page = (struct appointments_page) { .items = { NULL, 0 } };
	page.has.items = 1;
	replies[0] = packed(&appointments_page_msg, &page);
	with("Authorization", "p17");
	assert_int_equal(ask("GET", "/api/v1/appointments", NULL, NULL), 200);
	assert_str(a.body, "[]");
	assert_null(strstr(head, "Link"));
}

TEST(an_etag_spares_the_body_of_what_has_not_changed)
{
	const struct appointments_appointment one = an_appointment();
	static char etag[64];

	begin();
	replies[0] = packed(&appointments_appointment_msg, &one);
	with("Authorization", "p17");
	assert_int_equal(ask("GET", "/api/v1/appointments/9", NULL, NULL), 200);
	assert_int_equal(sscanf(strstr(head, "ETag: "), "ETag: %60s", etag), 1);
	begin();
	replies[0] = packed(&appointments_appointment_msg, &one);
	with("Authorization", "p17");
	with("If-None-Match", etag);
	assert_int_equal(ask("GET", "/api/v1/appointments/9", NULL, NULL), 304);
	assert_true(etag_matches(STR("\"a\", W/\"b\""), "\"b\"", true));
	assert_false(etag_matches(STR("\"a\",\"bb\""), "\"b\"", true));
}

TEST(a_reply_that_cannot_be_read_is_our_fault)
{
	begin();
	replies[0] = STR("\xc1");
	with("Authorization", "p17");
	assert_int_equal(ask("GET", "/api/v1/appointments/9", NULL, NULL), 500);
	assert_true(says("\"errors\":null"));
}

TEST(a_body_must_be_json_and_where_it_belongs)
{
	begin();
	with("Authorization", "p17");
	with("Content-Type", "text/plain");
	assert_int_equal(ask("POST", "/api/v1/appointments", NULL, "{}"), 415);
	assert_true(says("\"errors\":[{\"field\":\"Content-Type\","));
	begin();
	with("Authorization", "p17");
	with("Content-Encoding", "gzip");
	assert_int_equal(ask("POST", "/api/v1/appointments", NULL, "{}"), 415);
	assert_true(says("\"errors\":[{\"field\":\"Content-Encoding\","));
	begin();
	with("Authorization", "p17");
	with("Content-Encoding", "Identity");
	assert_int_equal(ask("POST", "/api/v1/appointments", NULL, "{}"), 422);
	begin();
	with("Authorization", "p17");
	assert_int_equal(ask("GET", "/api/v1/users/me", NULL, "{}"), 400);
	begin();
	with("Authorization", "p17");
	assert_int_equal(ask("POST", "/api/v1/appointments", NULL, NULL), 422);
	assert_true(header_is_json(STR("application/json; charset=UTF-8")));
	assert_true(header_is_json(STR("Application/JSON")));
	assert_false(header_is_json(STR("application/json; charset=latin1")));
	assert_false(header_is_json(STR("application/jsonp")));
	assert_false(header_is_json((struct str) { NULL, 0 }));
}

TEST(an_unknown_query_parameter_is_refused)
{
	begin();
	with("Authorization", "p17");
	assert_int_equal(ask("GET", "/api/v1/appointments", "colour=red", NULL), 400);
	assert_int_equal(requests, 0);
}

TEST(preferences_are_read_and_bounded)
{
	assert_int_equal(header_prefer(STR("")).wait_s, 5);
	assert_int_equal(header_prefer(STR("wait=12")).wait_s, 12);
	assert_int_equal(header_prefer(STR("foo, Wait=999")).wait_s, 30);
	assert_int_equal(header_prefer(STR("wait=-1")).wait_s, 5);
	assert_int_equal(header_prefer(STR("wait=x")).wait_s, 5);
	assert_int_equal(header_prefer(STR("respond-async")).wait_s, 0);
	assert_int_equal(header_prefer(STR("respond-async, wait=2")).wait_s, 2);
}

TEST(an_anonymous_key_belongs_to_the_address_that_is_registered)
{
	static const char one[] = "{\"full_name\":\"Ana Lima\",\"email\":\"ANA@example.org\","
				  "\"password\":\"12345678\",\"document_id\":\"52998224725\","
				  "\"phone\":\"12345\",\"role\":\"patient\"}";
	static const char two[] = "{\"full_name\":\"Ana Lima\",\"email\":\"ana@example.org\","
				  "\"password\":\"12345678\",\"document_id\":\"52998224725\","
				  "\"phone\":\"12345\",\"role\":\"patient\"}";
	char first[128];

	begin();
	bus_error = ERR(timeout);
	with("Idempotency-Key", "k");
	assert_int_equal(ask("POST", "/api/v1/users", NULL, one), 504);
	assert_true(says("outcome_unknown"));
	strcpy(first, request);
	begin();
	bus_error = ERR(timeout);
	with("Idempotency-Key", "k");
	(void) ask("POST", "/api/v1/auth/register", NULL, two);
	assert_string_equal(request, first);
}

static int log_in(const char *key, const char *body)
{
	struct users_login_rep rep = { .set = { 0 } };

	SET(&rep, type, STR("Bearer"));
	SET(&rep, token, STR("a.b.c"));
	SET(&rep, expires_in, 60);
	replies[0] = packed(&users_login_rep_msg, &rep);
	with("Idempotency-Key", key);
	return ask("POST", "/api/v1/users/login", NULL, body);
}

TEST(the_key_of_a_login_belongs_to_the_account_however_it_is_named)
{
	static const char *const other[] = {
		"{\"document_id\":\"2\",\"password\":\"p\"}", "{\"medical_id\":\"3\",\"password\":\"p\"}",
		"{\"email\":\"a@b.co\",\"password\":\"p\"}",
	};
	char first[128];

	begin();
	assert_int_equal(log_in("k", "{\"document_id\":\"1\",\"password\":\"p\"}"), 200);
	(void) snprintf(first, sizeof first, "%s", request);
	begin();
	assert_int_equal(log_in("k", "{\"document_id\":\"1\",\"password\":\"q\"}"), 200);
	assert_string_equal(request, first);
	for (size_t i = 0; i < COUNT(other); i++) {
		begin();
		assert_int_equal(log_in("k", other[i]), 200);
		assert_string_not_equal(request, first);
	}
}

/* What logging out answers: session 31 of patient 77 has ended. */
static int log_out(const char *as)
{
	struct users_span span = { .set = { 0 } };
	struct users_ended rep = { .spans = { &span, 1 }, .has.spans = 1 };

	SET(&span, user_id, 77);
	SET(&span, from_session, 31);
	SET(&span, to_session, 31);
	SET(&span, ends, clock_wall() + 60 * SECOND);
	begin();
	replies[0] = packed(&users_ended_msg, &rep);
	with("Authorization", as);
	return ask("POST", "/api/v1/users/logout", NULL, NULL);
}

static int read_own(const char *as)
{
	begin();
	replies[0] = STR("\xc0");
	with("Authorization", as);
	return ask("GET", "/api/v1/users/me", NULL, NULL);
}

TEST(a_session_that_was_logged_out_is_refused_at_once_and_only_that)
{
	assert_int_not_equal(read_own("p77.31"), 401);
	assert_int_equal(log_out("p77.31"), 204);
	assert_int_equal(a.body.n, 0);
	assert_int_equal(read_own("p77.31"), 401);
	assert_int_equal(requests, 0);
	assert_true(says("\"code\":\"bad_token\""));
	assert_int_not_equal(read_own("p77.32"), 401);
	assert_int_not_equal(read_own("p78.31"), 401);
	assert_int_equal(log_out("p77.31"), 204);	/* whose answer was lost asks again */
}

TEST(too_many_registrations_of_one_address_are_429)
{
	begin();
	limit_init(&g->registrations, 1);
	(void) ask("POST", "/api/v1/users", NULL, "{}");
	assert_int_equal(ask("POST", "/api/v1/users", NULL, "{}"), 429);
	assert_non_null(strstr(head, "Retry-After: 60\n"));
	assert_int_equal(ask("POST", "/api/v1/users/login", NULL, "{}"), 422);
}

static int register_from(const char *forwarded_for)
{
	nsent = 0;
	with("X-Forwarded-For", forwarded_for);
	return ask("POST", "/api/v1/users", NULL, "{}");
}

TEST(those_behind_a_proxy_of_ours_are_counted_by_their_own_address)
{
	begin();
	limit_init(&g->registrations, 1);
	assert_true(nets_read(&g->proxies, "127.0.0.1"));
	assert_int_equal(register_from("192.0.2.1"), 422);
	assert_int_equal(register_from("192.0.2.1"), 429);
	assert_int_equal(register_from("192.0.2.2"), 422);
	assert_int_equal(register_from("192.0.2.3, 192.0.2.2"), 429);
	assert_true(nets_read(&g->proxies, ""));
	assert_int_equal(register_from("192.0.2.4"), 422);
	assert_int_equal(register_from("192.0.2.5"), 429);
}

TEST(listed_origins_get_a_preflight_and_others_nothing)
{
	begin();
	with("Origin", "https://b.example");
	with("Access-Control-Request-Method", "POST");
	assert_int_equal(ask("OPTIONS", "/api/v1/appointments", NULL, NULL), 204);
	assert_non_null(strstr(head, "Access-Control-Allow-Methods: GET, HEAD, POST\n"));
	assert_non_null(strstr(head, "Access-Control-Allow-Origin: https://b.example\n"));
	begin();
	with("Origin", "https://c.example");
	with("Access-Control-Request-Method", "POST");
	assert_int_equal(ask("OPTIONS", "/api/v1/appointments", NULL, NULL), 405);
	assert_null(strstr(head, "Access-Control"));
}

TEST(how_many_are_ahead_is_known_once_the_owner_told)
{
	struct booking_progress p = { .partition = 0 };

	begin();
	assert_int_equal(memory_ahead(&g->memory, 5, 10), -1);
	SET(&p, partition, partition_of(5));
	SET(&p, last_seq, 30);
	SET(&p, waiting, 4);
	progress = packed(&booking_progress_msg, &p);
	memory_progress(&g->memory, NULL);
	assert_int_equal(memory_ahead(&g->memory, 5, 30), 0);
	assert_int_equal(memory_ahead(&g->memory, 5, 31), 0);
	assert_int_equal(memory_ahead(&g->memory, 5, 33), 2);
	assert_int_equal(memory_ahead(&g->memory, 5, 99), 4);
	assert_int_equal(memory_ahead(&g->memory, 5, 0), -1);
	progress = STR("\xc1");
	memory_progress(&g->memory, NULL);
	assert_int_equal(memory_ahead(&g->memory, 5, 33), 2);
}

TEST(what_is_known_of_a_doctor_is_asked_for_again_when_it_is_old_and_believed_while_nobody_answers)
{
	const int64_t now = clock_mono();
	bool old;

	begin();
	memory_know(&g->memory, 6, now - KNOWN_FOR);
	assert_true(memory_knows(&g->memory, 6, now, &old) && old);
	assert_true(memory_knows(&g->memory, 6, now, &old) && !old);	/* one asks, the others go on */
	assert_true(memory_knows(&g->memory, 6, now + KNOWN_AGAIN, &old) && old);

	memory_know(&g->memory, 6, now - KNOWN_FOR);
	with("Authorization", "p17");
	bus_error = ERR(unavailable);
	(void) ask("POST", "/api/v1/appointments", NULL, "{\"schedule_id\":3,\"doctor_id\":6}");
	assert_int_equal(commands, 1);

	begin();
	memory_know(&g->memory, 6, now - KNOWN_FOR);
	with("Authorization", "p17");
	bus_error = ERR(not_found);
	assert_int_equal(
	    ask("POST", "/api/v1/appointments", NULL, "{\"schedule_id\":3,\"doctor_id\":6}"), 404);
	assert_false(memory_knows(&g->memory, 6, now, &old));
}

TEST(known_doctors_are_remembered_and_may_be_forgotten_but_never_made_up)
{
	bool old;

	begin();
	for (int64_t i = 1; i < 200000; i += 2)
		memory_know(&g->memory, i, 0);
	for (int64_t i = 2; i < 200000; i += 2)
		assert_false(memory_knows(&g->memory, i, 0, &old));
	assert_true(memory_knows(&g->memory, 199999, 0, &old));
}

/* ---- files ---- */

#define FORM "--b\r\nContent-Disposition: form-data; name=file; filename=\"e.pdf\"\r\n\r\n%PDF-1.7\r\n--b--"

static int send_file(const char *form, const char *key)
{
	with("Authorization", "p17");
	with("Content-Type", "multipart/form-data; boundary=b");
	if (key != NULL)
		with("Idempotency-Key", key);
	return ask("POST", "/api/v1/files", NULL, form);
}

/* What begin, put and commit answer; the file has that id. */
static void file_is(int64_t id)
{
	struct files_done done = { .set = { 0 } };
	struct files_file file = { .set = { 0 } };

	SET(&done, id, 7);
	SET(&file, id, id);
	SET(&file, file_name, STR("e.pdf"));
	SET(&file, size, 8);
	SET(&file, sha256, STR("0000000000000000000000000000000000000000000000000000000000000000"));
	SET(&file, created_at, 0);
	replies[0] = replies[1] = replies[3] = packed(&files_done_msg, &done);
	replies[2] = packed(&files_file_msg, &file);
}

TEST(a_file_is_begun_brought_and_committed)
{
	begin();
	file_is(7);
	assert_int_equal(send_file(FORM, "k"), 201);
	assert_int_equal(requests, 3);
	assert_string_equal(subject, "healthmed.v1.files.commit");
	assert_int_equal(strlen(request), REQUEST_ID_TEXT);
	assert_non_null(strstr(head, "Location: /api/v1/files/7\n"));
	assert_true(says("\"file_name\":\"e.pdf\""));
}

TEST(a_copy_that_was_not_the_first_gives_up_what_it_brought)
{
	begin();
	file_is(5);
	assert_int_equal(send_file(FORM, "k"), 201);
	assert_true(says("\"id\":5"));
	assert_int_equal(requests, 4);
	assert_string_equal(subject, "healthmed.v1.files.discard");
}

TEST(a_form_without_a_file_is_refused_before_anybody_is_asked)
{
	begin();
	assert_int_equal(send_file("--b--", NULL), 422);
	assert_true(says("\"field\":\"file\"") && says("is missing"));
	begin();
	assert_int_equal(send_file("--b\r\nContent-Disposition: form-data; name=file\r\n\r\n\r\n--b--", NULL), 422);
	assert_true(says("must not be empty"));
	begin();
	assert_int_equal(send_file("{}", NULL), 400);
	begin();
	with("Authorization", "p17");
	assert_int_equal(ask("POST", "/api/v1/files", NULL, "{}"), 415);
	assert_int_equal(requests, 0);
}

TEST(when_all_rooms_are_taken_files_wait_outside)
{
	begin();
	rooms_are_taken = true;
	assert_int_equal(send_file(FORM, NULL), 503);
	assert_non_null(strstr(head, "Retry-After: "));
	assert_int_equal(requests, 0);
}

static int follow(int64_t expires, char last)
{
	const struct link l = { .file = 7, .reader = 17, .role = ROLE_DOCTOR, .expires = expires };
	struct str path;
	char address[256] = "", *query;

	assert_err(link_write(c, g->secret, &l, &path), none);
	(void) snprintf(address, sizeof address, "%.*s", (int) path.n, path.p);
	query = strchr(address, '?');
	*query++ = '\0';
	if (last != '\0')
		query[strlen(query) - 2] = last;
	return ask("GET", address, query, NULL);
}

static void stored(const char *piece, const char *whole)
{
	unsigned char sha256[SHA256_BYTES];
	struct files_opened f = { .set = { 0 } };
	struct files_piece p = { .set = { 0 } };

	sha256_of(str_of(whole), sha256);
	SET(&f, file_name, STR("coração \"1\".pdf"));
	SET(&f, size, (int64_t) strlen(whole));
	SET(&f, sha256, ((struct str) { (const char *) sha256, sizeof sha256 }));
	SET(&p, bytes, str_of(piece));
	replies[0] = packed(&files_opened_msg, &f);
	replies[1] = packed(&files_piece_msg, &p);
}

TEST(a_link_brings_the_file_to_whom_it_names_and_needs_no_token)
{
	begin();
	stored("%PDF-1.7", "%PDF-1.7");
	assert_int_equal(follow(clock_wall() / SECOND + 60, '\0'), 200);
	assert_str(a.body, "%PDF-1.7");
	assert_string_equal(a.type, "application/pdf");
	assert_non_null(strstr(head, "Content-Disposition: attachment; filename=\"cora__o _1_.pdf\"; "
			       "filename*=UTF-8''cora%C3%A7%C3%A3o%20%221%22.pdf\n"));
	assert_string_equal(subject, "healthmed.v1.files.chunk");
}

TEST(a_link_that_is_over_or_was_changed_asks_nobody)
{
	begin();
	assert_int_equal(follow(clock_wall() / SECOND - 1, '\0'), 403);
	assert_true(says("\"code\":\"bad_link\""));
	begin();
	assert_int_equal(follow(clock_wall() / SECOND + 60, '!'), 403);
	assert_int_equal(requests, 0);
}

TEST(of_a_file_that_is_not_what_was_stored_no_byte_is_told)
{
	begin();
	stored("%PDF-1.6", "%PDF-1.7");
	assert_int_equal(follow(clock_wall() / SECOND + 60, '\0'), 500);
	assert_false(says("PDF"));
	begin();
	stored("%PDF-1.", "%PDF-1.7");
	assert_int_equal(follow(clock_wall() / SECOND + 60, '\0'), 500);
}
