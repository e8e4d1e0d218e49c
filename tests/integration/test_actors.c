/*
 * test_actors.c - requests as the actors answer them, on a real database: roles, once-only effects
 * under a key, whose appointments one sees, pages, logins.  By dispatch itself, without a bus.
 */
#include <inttypes.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <pthread.h>
#include "actors/core/cache.h"
#include "actors/core/dispatch.h"
#include "actors/schedules/schedules.h"
#include "actors/users/users.h"
#include "broker/base/config.h"
#include "broker/etag.h"
#include "broker/request_id.h"
#include "tests/integration/servers.h"

#define SECRET "0123456789012345678901234567890123456789"

/* A worker's own things. */
struct desk {
	struct ctx    c;
	struct arena  mem;
	unsigned char room[256 << 10];
	struct cache *cache;
	struct db    *db;
};

static struct desk *open_desk(const char *domain)
{
	struct desk *d = calloc(1, sizeof *d);
	char why[256] = "";

	need_postgres();
	if (db_open(postgres_url, domain, &d->db, why).code != ERR_none)
		fail_msg("%s: %s", domain, why);
	return d;
}

static void close_desk(struct desk **d)
{
	db_close((*d)->db);
	cache_close((*d)->cache);
	free(*d);
}
#define DESK CLEANUP(close_desk) struct desk *

/* A new message on the desk. */
static struct ctx *from(struct desk *d, enum role role, int64_t user)
{
	arena_init(&d->mem, d->room, sizeof d->room);
	d->c = (struct ctx) { .mem = &d->mem, .db = d->db, .cache = d->cache, .secret = SECRET,
		.now = clock_wall(), .role = role, .user = user, .deadline = clock_mono() + 20 * SECOND };
	return &d->c;
}

static const struct receive *receive_of(enum call_id id)
{
	static const struct actor *const actors[] = { &users_actor, &schedules_actor, &appointments_actor };

	for (size_t a = 0; a < COUNT(actors); a++)
		for (size_t i = 0; i < actors[a]->nreceive; i++)
			if (actors[a]->receive[i].on == id)
				return &actors[a]->receive[i];
	fail_msg("no such call");
	return NULL;
}

/* The whole way of a request: packed, dispatched, the reply unpacked into rep unless NULL. */
static err_t ask(struct ctx *c, enum call_id id, const void *req, const char *request, void *rep)
{
	struct str body, reply = { NULL, 0 };

	TRY(msg_to_pack(c, call[id].req, req, &body));
	TRY(dispatch(c, receive_of(id), body, request, &reply));
	return rep == NULL ? OK : msg_from_pack(c, call[id].rep, reply, rep);
}

static const char *key_of(const char *email, const char *key, char text[REQUEST_ID_TEXT + 1])
{
	const struct request_id id = request_id_make(STR(SECRET), 0, str_of(email), str_of(key));

	request_id_write(&id, text);
	return text;
}

/* Check digits for n, so that every person of a test has a document. */
static void make_cpf(int n, char out[12])
{
	(void) snprintf(out, 12, "%09d", n);
	for (int len = 9; len < 11; len++) {
		int sum = 0;

		for (int i = 0; i < len; i++)
			sum += (out[i] - '0') * (len + 1 - i);
		out[len] = (char) (sum % 11 < 2 ? '0' : '0' + 11 - sum % 11);
		out[len + 1] = '\0';
	}
}

static struct users_register_req person(int n, char email[64], char cpf[12])
{
	struct users_register_req q = { .set = { 0 } };

	(void) snprintf(email, 64, "Person%d@Example.org", n);
	make_cpf(n, cpf);
	SET(&q, full_name, STR("Somebody or other"));
	SET(&q, email, str_of(email));
	SET(&q, password, STR("s3gredo!!"));
	SET(&q, document_id, str_of(cpf));
	SET(&q, phone, STR("+55 11 5555"));
	SET(&q, role, USERS_PATIENT);
	return q;
}

static void make_doctor(struct users_register_req *q, const char *medical_id)
{
	SET(q, role, USERS_DOCTOR);
	q->has.doctor = 1;
	SET(&q->doctor, medical_id, str_of(medical_id));
	SET(&q->doctor, specialty, STR("cardiology"));
	SET(&q->doctor, price, 15010);
}

/* ---- users ---- */

TEST(a_doctor_registers_and_reads_what_was_stored)
{
	DESK d = open_desk("users");
	char email[64], cpf[12];
	struct users_register_req q = person(1001, email, cpf);
	struct users_user a, me;
	struct users_known_req known = { .set = { 0 } };
	struct users_known_rep doctor;

	make_doctor(&q, "1001-mg");
	q.has.address = 1;
	SET(&q.address, street, STR("Rua A"));
	SET(&q.address, number, STR("1"));
	SET(&q.address, neighborhood, STR("Centro"));
	SET(&q.address, city, STR("Belo Horizonte"));
	SET(&q.address, state, STR("mg"));
	SET(&q.address, zip, STR("30110-000"));
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_register, &q, NULL, &a), none);
	assert_true(a.id > 0 && a.has.doctor && a.has.address);
	assert_int_equal(a.doctor.price, 15010);
	assert_str(a.address.state, "MG");
	assert_str(a.address.zip, "30110000");
	const int64_t id = a.id;

	assert_err(ask(from(d, ROLE_DOCTOR, id), CALL_users_me, &(struct users_me_req) { .set = { 0 } },
		       NULL, &me), none);
	assert_str(me.document_id, cpf);
	assert_str(me.email, email);
	SET(&known, doctor_id, id);
	assert_err(ask(from(d, ROLE_PATIENT, 1), CALL_users_known, &known, NULL, &doctor), none);
	assert_int_equal(doctor.doctor_id, id);
	known.doctor_id = id + 1000000;
	assert_err(ask(from(d, ROLE_PATIENT, 1), CALL_users_known, &known, NULL, NULL), not_found);
	assert_string_equal(sql("SELECT count(*) FROM users.account WHERE password_hash LIKE '\\$argon2id\\$%'"),
			    sql("SELECT count(*) FROM users.account"));
}

TEST(an_identity_is_taken_once)
{
	DESK d = open_desk("users");
	char email[64], cpf[12], other[64], other_cpf[12];
	struct users_register_req q = person(1002, email, cpf), r = person(1003, other, other_cpf);

	make_doctor(&q, "1002-MG");
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_register, &q, NULL, NULL), none);
	SET(&r, email, STR("PERSON1002@example.ORG"));
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_register, &r, NULL, NULL), identity_in_use);
	r = person(1003, other, other_cpf);
	SET(&r, document_id, str_of(cpf));
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_register, &r, NULL, NULL), identity_in_use);
	r = person(1003, other, other_cpf);
	make_doctor(&r, "1002-mg");
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_register, &r, NULL, NULL), medical_id_in_use);
	assert_string_equal(sql("SELECT count(*) FROM users.account WHERE email ILIKE 'person1003@%'"), "0");
}

static void need_key(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	BIO *out = BIO_new(BIO_s_mem());
	char pem[1024], why[256];
	static bool made;

	assert_non_null(key);
	assert_int_equal(PEM_write_bio_PrivateKey(out, key, NULL, NULL, 0, NULL, NULL), 1);
	pem[BIO_read(out, pem, sizeof pem - 1)] = '\0';
	BIO_free(out);
	EVP_PKEY_free(key);
	if (made)
		return;
	made = true;
	assert_int_equal(setenv("HEALTHMED_JWT_SIGNING_KEY", pem, 1), 0);
	assert_int_equal(setenv("HEALTHMED_JWT_KEY_ID", "dev-1", 1), 0);
	assert_int_equal(setenv("HEALTHMED_REQUEST_KEY", SECRET, 1), 0);
	assert_int_equal(setenv("HEALTHMED_USERS_DATABASE_URL", "postgresql://a:b@127.0.0.1:1/c", 1), 0);
	assert_int_equal(setenv("HEALTHMED_AGENDA_DATABASE_URL", "postgresql://a:b@127.0.0.1:1/c", 1), 0);
	const char *wrong = config_load(C_ACTOR);

	if (wrong != NULL)
		fail_msg("%s", wrong);
	assert_true(users_start(why));
}

TEST(one_logs_in_by_email_document_or_medical_id)
{
	DESK d = open_desk("users");
	char email[64], cpf[12], masked[16];
	struct users_register_req q = person(1004, email, cpf);
	struct users_login_req l = { .set = { 0 } };
	struct users_login_rep a;

	need_key();
	make_doctor(&q, "1004-MG");
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_register, &q, NULL, NULL), none);
	SET(&l, password, STR("s3gredo!!"));
	SET(&l, email, STR("person1004@example.org"));
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_login, &l, NULL, &a), none);
	assert_str(a.type, "Bearer");
	assert_true(a.token.n > 50 && a.refresh_token.n == 64);
	l.has.email = 0;
	SET(&l, medical_id, STR("1004-mg"));
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_login, &l, NULL, &a), none);
	l.has.medical_id = 0;
	(void) snprintf(masked, sizeof masked, "%.3s.%.3s.%.3s-%.2s", cpf, cpf + 3, cpf + 6, cpf + 9);
	SET(&l, document_id, str_of(masked));
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_login, &l, NULL, &a), none);
	SET(&l, password, STR("s3gredo!"));
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_login, &l, NULL, NULL), bad_credentials);
	SET(&l, document_id, STR("not a number"));
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_login, &l, NULL, NULL), bad_credentials);
}

TEST(guessing_at_one_account_is_slowed_down_whether_or_not_it_exists)
{
	DESK d = open_desk("users");
	struct users_login_req l = { .set = { 0 } };

	need_key();
	SET(&l, password, STR("wrong"));
	SET(&l, email, STR("nobody@example.org"));
	for (int i = 0; i < 10; i++)
		assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_login, &l, NULL, NULL), bad_credentials);
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_login, &l, NULL, NULL), too_many_requests);
	SET(&l, email, STR("NOBODY@example.org"));
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_login, &l, NULL, NULL), too_many_requests);
}

/* ---- accounts and sessions ---- */

#define NO_REQ(call_) (&(struct call_##_req) { .set = { 0 } })

/* Somebody who has registered; a doctor when there is a medical id. */
static int64_t member(struct desk *d, int n, const char *medical_id)
{
	char email[64], cpf[12];
	struct users_register_req q = person(n, email, cpf);
	struct users_user a;

	need_key();
	if (medical_id != NULL)
		make_doctor(&q, medical_id);
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_register, &q, NULL, &a), none);
	return a.id;
}

static err_t log_in_with(struct desk *d, int n, const char *password, struct users_login_rep *a)
{
	struct users_login_req l = { .set = { 0 } };
	char email[64], cpf[12];

	(void) person(n, email, cpf);
	SET(&l, email, str_of(email));
	SET(&l, password, str_of(password));
	return ask(from(d, ROLE_PUBLIC, 0), CALL_users_login, &l, NULL, a);
}

/* A new session; its refresh token, which outlives the desk's arena. */
static void log_in(struct desk *d, int n, char token[65])
{
	struct users_login_rep a;

	assert_err(log_in_with(d, n, "s3gredo!!", &a), none);
	assert_int_equal(a.refresh_token.n, 64);
	(void) snprintf(token, 65, "%.64s", a.refresh_token.p);
}

static err_t refresh(struct desk *d, const char *token, const char *key, char next[65])
{
	struct users_refresh_req q = { .set = { 0 } };
	struct users_login_rep a;

	SET(&q, refresh_token, str_of(token));
	const err_t e = ask(from(d, ROLE_PUBLIC, 0), CALL_users_refresh, &q, key, &a);

	if (e.code == ERR_none)
		(void) snprintf(next, 65, "%.64s", a.refresh_token.p);
	return e;
}

static int64_t count(const char *fmt, ...) PRINTF(1, 2);
static int64_t count(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return strtoll(sql(text), NULL, 10);
}

static int64_t sessions_of(int64_t user)
{
	return count("SELECT count(*) FROM users.session WHERE user_id = %" PRId64, user);
}

static int64_t last_session(int64_t user)
{
	return count("SELECT max(id) FROM users.session WHERE user_id = %" PRId64, user);
}

TEST(a_refresh_token_is_good_once_and_its_successor_after_it)
{
	DESK d = open_desk("users");
	const int64_t id = member(d, 3001, NULL);
	char one[65], two[65], three[65];

	log_in(d, 3001, one);
	assert_err(refresh(d, one, NULL, two), none);
	assert_err(refresh(d, two, NULL, three), none);
	assert_string_not_equal(one, two);
	assert_string_not_equal(two, three);
	assert_int_equal(sessions_of(id), 1);
	assert_int_equal(count("SELECT generation FROM users.session WHERE user_id = %" PRId64, id), 3);
}

TEST(an_old_refresh_token_that_comes_again_ends_its_session)
{
	DESK d = open_desk("users");
	const int64_t id = member(d, 3002, NULL);
	char one[65], two[65], three[65], other[65];

	log_in(d, 3002, other);
	log_in(d, 3002, one);
	assert_err(refresh(d, one, NULL, two), none);
	assert_err(refresh(d, two, NULL, three), none);
	const int64_t session = last_session(id);

	assert_err(refresh(d, one, NULL, two), bad_token);	/* committed, though it is refused */
	assert_err(refresh(d, three, NULL, two), bad_token);
	assert_int_equal(count("SELECT count(*) FROM users.session WHERE id = %" PRId64, session), 0);
	assert_int_equal(count("SELECT count(*) FROM users.ended WHERE from_session = %" PRId64
			       " AND to_session = %" PRId64 " AND ends > now()", session, session), 1);
	assert_err(refresh(d, other, NULL, two), none);		/* another login of the same user */
}

TEST(the_token_before_is_answered_with_the_present_one_for_ten_seconds)
{
	DESK d = open_desk("users");
	const int64_t id = member(d, 3003, NULL);
	char one[65], two[65], again[65], set[160];

	log_in(d, 3003, one);
	assert_err(refresh(d, one, NULL, two), none);
	for (int i = 0; i < 3; i++) {
		assert_err(refresh(d, one, NULL, again), none);
		assert_string_equal(again, two);
	}
	assert_int_equal(count("SELECT generation FROM users.session WHERE user_id = %" PRId64, id), 2);
	(void) snprintf(set, sizeof set, "UPDATE users.session SET rotated_at = rotated_at - interval '10 s' "
			"WHERE user_id = %" PRId64, id);
	(void) sql(set);
	assert_err(refresh(d, one, NULL, again), bad_token);
	assert_err(refresh(d, two, NULL, again), bad_token);
	assert_int_equal(sessions_of(id), 0);
}

TEST(a_copy_of_a_refresh_gets_the_same_answer_also_of_a_refusal)
{
	DESK d = open_desk("users");
	char one[65], two[65], three[65], again[65], key[REQUEST_ID_TEXT + 1];

	(void) member(d, 3004, NULL);
	log_in(d, 3004, one);
	(void) key_of(one, "k", key);
	assert_err(refresh(d, one, key, two), none);
	assert_err(refresh(d, two, NULL, three), none);
	assert_err(refresh(d, one, key, again), none);		/* long overtaken, and no reuse */
	assert_string_equal(again, two);
	(void) key_of(one, "k2", key);
	assert_err(refresh(d, one, key, again), bad_token);
	assert_err(refresh(d, one, key, again), bad_token);
	assert_string_equal(sql("SELECT count(*) FROM users.idempotency WHERE reply = ''"), "0");
}

TEST(a_refresh_token_that_was_not_made_here_or_is_over_is_refused_and_harms_nobody)
{
	DESK d = open_desk("users");
	const int64_t id = member(d, 3005, NULL);
	char one[65], two[65], forged[65], set[160];

	log_in(d, 3005, one);
	(void) snprintf(forged, sizeof forged, "%s", one);
	forged[63] = forged[63] == 'A' ? 'B' : 'A';
	assert_err(refresh(d, forged, NULL, two), bad_token);
	assert_err(refresh(d, "x", NULL, two), bad_token);
	assert_int_equal(sessions_of(id), 1);
	(void) snprintf(set, sizeof set, "UPDATE users.session SET expires_at = now() - interval '1 s' "
			"WHERE user_id = %" PRId64, id);
	(void) sql(set);
	assert_err(refresh(d, one, NULL, two), bad_token);
}

struct refresher { pthread_t thread; const char *token; err_t e; char next[65]; };

static void *send_refresh(void *of)
{
	struct refresher *r = of;
	DESK d = open_desk("users");

	r->e = refresh(d, r->token, NULL, r->next);
	return NULL;
}

TEST(twenty_refreshes_at_once_are_one)
{
	static struct refresher r[20];
	DESK d = open_desk("users");
	const int64_t id = member(d, 3006, NULL);
	char one[65], next[65];

	log_in(d, 3006, one);
	for (size_t i = 0; i < COUNT(r); i++) {
		r[i].token = one;
		assert_int_equal(pthread_create(&r[i].thread, NULL, send_refresh, &r[i]), 0);
	}
	for (size_t i = 0; i < COUNT(r); i++)
		assert_int_equal(pthread_join(r[i].thread, NULL), 0);
	for (size_t i = 0; i < COUNT(r); i++) {
		assert_err(r[i].e, none);
		assert_string_equal(r[i].next, r[0].next);
	}
	assert_int_equal(count("SELECT generation FROM users.session WHERE user_id = %" PRId64, id), 2);
	assert_err(refresh(d, r[0].next, NULL, next), none);
}

TEST(a_logout_ends_its_session_and_that_of_the_refresh_token_if_it_is_ones_own)
{
	DESK d = open_desk("users");
	const int64_t id = member(d, 3007, NULL), other = member(d, 3008, NULL);
	struct users_logout_req q = { .set = { 0 } };
	struct users_ended a;
	char mine[65], theirs[65], second[65], next[65];
	struct ctx *c;

	log_in(d, 3007, mine);
	const int64_t session = last_session(id);

	log_in(d, 3007, second);
	log_in(d, 3008, theirs);
	c = from(d, ROLE_PATIENT, id);
	c->session = session;
	SET(&q, refresh_token, str_of(theirs));
	assert_err(ask(c, CALL_users_logout, &q, NULL, &a), none);
	assert_int_equal(a.spans.n, 1);
	assert_int_equal(a.spans.items[0].user_id, id);
	assert_int_equal(a.spans.items[0].from_session, session);
	assert_int_equal(a.spans.items[0].to_session, session);
	assert_int_equal(sessions_of(id), 1);
	assert_int_equal(sessions_of(other), 1);
	assert_err(refresh(d, mine, NULL, next), bad_token);
	c = from(d, ROLE_PATIENT, id);
	c->session = session;
	SET(&q, refresh_token, str_of(second));
	assert_err(ask(c, CALL_users_logout, &q, NULL, &a), none);
	assert_int_equal(a.spans.n, 2);
	assert_int_equal(sessions_of(id), 0);
}

static err_t change(struct desk *d, int64_t id, enum role role, const struct users_update_req *q, struct users_user *a)
{
	return ask(from(d, role, id), CALL_users_update, q, NULL, a);
}

TEST(what_is_not_said_stays_and_a_null_address_is_cleared)
{
	DESK d = open_desk("users");
	const int64_t id = member(d, 3010, "3010-MG");
	struct users_update_req q = { .set = { 0 } };
	struct users_user a, before;
	char email[64], cpf[12];

	(void) person(3010, email, cpf);
	SET(&q, phone, STR("+55 11 9999"));
	SET(&q, price, 30050);
	q.has.address = 1;
	SET(&q.address, street, STR("Rua B"));
	SET(&q.address, number, STR("2"));
	SET(&q.address, neighborhood, STR("Centro"));
	SET(&q.address, city, STR("Recife"));
	SET(&q.address, state, STR("pe"));
	SET(&q.address, zip, STR("50010-000"));
	assert_err(change(d, id, ROLE_DOCTOR, &q, &a), none);
	assert_str(a.phone, "+55 11 9999");
	assert_str(a.email, email);
	assert_str(a.document_id, cpf);
	assert_str(a.doctor.medical_id, "3010-MG");
	assert_int_equal(a.doctor.price, 30050);
	assert_str(a.address.state, "PE");
	assert_str(a.address.zip, "50010000");
	before = a;
	q = (struct users_update_req) { .null.address = 1 };
	assert_err(change(d, id, ROLE_DOCTOR, &q, &a), none);
	assert_true(!a.has.address && a.updated_at > before.updated_at);
	before = a;
	assert_err(change(d, id, ROLE_DOCTOR, NO_REQ(users_update), &a), none);
	assert_int_equal(a.updated_at, before.updated_at);
}

TEST(a_change_that_takes_what_is_anothers_is_a_conflict_and_changes_nothing)
{
	DESK d = open_desk("users");
	const int64_t id = member(d, 3011, "3011-MG");
	struct users_update_req q = { .set = { 0 } };
	char email[64], cpf[12];

	(void) member(d, 3012, "3012-MG");
	(void) person(3012, email, cpf);
	SET(&q, full_name, STR("Another name"));
	SET(&q, email, STR("PERSON3012@example.ORG"));
	assert_err(change(d, id, ROLE_DOCTOR, &q, NULL), identity_in_use);
	q = (struct users_update_req) { .set = { 0 } };
	SET(&q, document_id, str_of(cpf));
	assert_err(change(d, id, ROLE_DOCTOR, &q, NULL), identity_in_use);
	q = (struct users_update_req) { .set = { 0 } };
	SET(&q, medical_id, STR("3012-mg"));
	assert_err(change(d, id, ROLE_DOCTOR, &q, NULL), medical_id_in_use);
	assert_int_equal(count("SELECT count(*) FROM users.account WHERE full_name = 'Another name' AND id = %" PRId64, id), 0);
}

TEST(a_password_is_changed_by_whoever_knows_it_and_ends_the_other_sessions)
{
	DESK d = open_desk("users");
	const int64_t id = member(d, 3013, NULL);
	struct users_update_req q = { .set = { 0 } };
	struct users_login_rep a;
	char mine[65], second[65], third[65], next[65];
	struct ctx *c;

	log_in(d, 3013, second);
	log_in(d, 3013, mine);
	const int64_t session = last_session(id);

	log_in(d, 3013, third);
	SET(&q, password, STR("another-one"));
	assert_err(change(d, id, ROLE_PATIENT, &q, NULL), invalid);
	SET(&q, current_password, STR("not that"));
	assert_err(change(d, id, ROLE_PATIENT, &q, NULL), wrong_password);
	assert_int_equal(sessions_of(id), 3);
	SET(&q, current_password, STR("s3gredo!!"));
	c = from(d, ROLE_PATIENT, id);
	c->session = session;
	assert_err(ask(c, CALL_users_update, &q, NULL, NULL), none);
	assert_int_equal(sessions_of(id), 1);
	assert_err(refresh(d, second, NULL, next), bad_token);
	assert_err(refresh(d, third, NULL, next), bad_token);
	assert_err(refresh(d, mine, NULL, next), none);
	assert_err(log_in_with(d, 3013, "s3gredo!!", &a), bad_credentials);
	assert_err(log_in_with(d, 3013, "another-one", &a), none);
	assert_true(last_session(id) > count("SELECT max(to_session) FROM users.ended WHERE user_id = %" PRId64, id));
}

TEST(guessing_at_the_current_password_is_slowed_down)
{
	DESK d = open_desk("users");
	const int64_t id = member(d, 3014, NULL);
	struct users_update_req q = { .set = { 0 } };

	SET(&q, password, STR("another-one"));
	SET(&q, current_password, STR("not that"));
	for (int i = 0; i < 10; i++)
		assert_err(change(d, id, ROLE_PATIENT, &q, NULL), wrong_password);
	SET(&q, current_password, STR("s3gredo!!"));
	assert_err(change(d, id, ROLE_PATIENT, &q, NULL), too_many_requests);
}

TEST(a_change_that_relies_on_another_state_is_refused)
{
	DESK d = open_desk("users");
	const int64_t id = member(d, 3015, NULL);
	struct users_update_req q = { .set = { 0 } };
	struct users_user me;
	char etag[ETAG_TEXT];
	struct ctx *c = from(d, ROLE_PATIENT, id);

	assert_err(ask(c, CALL_users_me, NO_REQ(users_me), NULL, &me), none);
	assert_err(etag_of(c, &users_user_msg, &me, etag), none);
	SET(&q, phone, STR("+55 11 9999"));
	c = from(d, ROLE_PATIENT, id);
	c->if_match = etag;
	assert_err(ask(c, CALL_users_update, &q, NULL, NULL), none);
	c = from(d, ROLE_PATIENT, id);
	c->if_match = etag;
	assert_err(ask(c, CALL_users_update, &q, NULL, NULL), precondition_failed);
	c = from(d, ROLE_PATIENT, id);
	c->if_match = etag;
	assert_err(ask(c, CALL_users_erase, NO_REQ(users_erase), NULL, NULL), precondition_failed);
}

TEST(whoever_is_erased_is_nobody_any_more_and_the_names_are_free)
{
	DESK d = open_desk("users");
	const int64_t id = member(d, 3020, "3020-MG");
	struct users_known_req known = { .doctor_id = id, .has.doctor_id = 1 };
	struct users_login_rep a;
	struct users_ended ended;
	char token[65], next[65];

	log_in(d, 3020, token);
	const int64_t session = last_session(id);

	assert_err(ask(from(d, ROLE_DOCTOR, id), CALL_users_erase, NO_REQ(users_erase), NULL, &ended), none);
	assert_int_equal(ended.spans.n, 1);
	assert_int_equal(ended.spans.items[0].from_session, 0);
	assert_true(ended.spans.items[0].to_session >= session);
	assert_err(refresh(d, token, NULL, next), bad_token);
	assert_err(log_in_with(d, 3020, "s3gredo!!", &a), bad_credentials);
	assert_err(ask(from(d, ROLE_PATIENT, 1), CALL_users_known, &known, NULL, NULL), not_found);
	assert_err(ask(from(d, ROLE_DOCTOR, id), CALL_users_me, NO_REQ(users_me), NULL, NULL), not_found);
	assert_err(ask(from(d, ROLE_DOCTOR, id), CALL_users_update, NO_REQ(users_update), NULL, NULL), not_found);
	assert_err(ask(from(d, ROLE_DOCTOR, id), CALL_users_erase, NO_REQ(users_erase), NULL, NULL), not_found);
	assert_true(member(d, 3020, "3020-MG") > id);
}

TEST(gateways_are_told_what_is_in_force_page_by_page)
{
	DESK d = open_desk("users");
	struct users_revoked_req q = { .after = 0, .has.after = 1 };
	struct users_ended a;
	int64_t seen = 0;

	(void) sql("INSERT INTO users.ended (user_id, from_session, to_session, ends) SELECT 900000 + g, g, g, "
		   "now() + (g - 1) * interval '1 hour' FROM generate_series(-1, 2500) AS g");
	assert_err(ask(from(d, ROLE_PATIENT, 1), CALL_users_revoked, &q, NULL, NULL), forbidden);
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_revoked, &q, NULL, NULL), no_token);
	do {
		assert_err(ask(from(d, ROLE_SYSTEM, 0), CALL_users_revoked, &q, NULL, &a), none);
		for (size_t i = 0; i < a.spans.n; i++)
			seen += a.spans.items[i].user_id > 900000;
		q.after = a.has.next ? a.next : 0;
	} while (q.after != 0);
	assert_int_equal(seen, 2499);
}

/* ---- once only ---- */

struct copy { pthread_t thread; int n; err_t e; char reply[1024]; size_t size; };

static void *send_copy(void *of)
{
	struct copy *copy = of;
	DESK d = open_desk("users");
	char email[64], cpf[12], key[REQUEST_ID_TEXT + 1];
	const struct users_register_req q = person(copy->n, email, cpf);
	struct ctx *c = from(d, ROLE_PUBLIC, 0);
	struct str body, reply = { NULL, 0 };

	copy->e = msg_to_pack(c, &users_register_req_msg, &q, &body);
	if (copy->e.code == ERR_none)
		copy->e = dispatch(c, receive_of(CALL_users_register), body, key_of(email, "k", key), &reply);
	if (reply.n <= sizeof copy->reply)
		memcpy(copy->reply, reply.p, copy->size = reply.n);
	return NULL;
}

TEST(twenty_copies_at_once_have_one_effect_and_twenty_equal_replies)
{
	static struct copy copy[20];

	need_postgres();
	for (size_t i = 0; i < COUNT(copy); i++) {
		copy[i].n = 2001;
		assert_int_equal(pthread_create(&copy[i].thread, NULL, send_copy, &copy[i]), 0);
	}
	for (size_t i = 0; i < COUNT(copy); i++)
		assert_int_equal(pthread_join(copy[i].thread, NULL), 0);
	for (size_t i = 0; i < COUNT(copy); i++) {
		assert_err(copy[i].e, none);
		assert_true(copy[i].size > 50);
		assert_int_equal(copy[i].size, copy[0].size);
		assert_memory_equal(copy[i].reply, copy[0].reply, copy[0].size);
	}
	assert_string_equal(sql("SELECT count(*) FROM users.account WHERE email = 'Person2001@Example.org'"), "1");
	assert_string_equal(sql("SELECT count(*) FROM users.idempotency WHERE reply = ''"), "0");
}

TEST(a_key_that_comes_back_with_another_body_is_refused)
{
	DESK d = open_desk("users");
	char email[64], cpf[12], key[REQUEST_ID_TEXT + 1];
	struct users_register_req q = person(2002, email, cpf);

	(void) key_of(email, "k", key);
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_register, &q, key, NULL), none);
	SET(&q, phone, STR("+55 11 9999"));
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_register, &q, key, NULL), key_reused);
	assert_string_equal(sql("SELECT phone FROM users.account WHERE email = 'Person2002@Example.org'"),
			    "+55 11 5555");
}

TEST(a_conflict_is_an_outcome_that_copies_get_too)
{
	DESK d = open_desk("users");
	char email[64], cpf[12], key[REQUEST_ID_TEXT + 1];
	struct users_register_req q = person(2003, email, cpf);

	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_register, &q, NULL, NULL), none);
	(void) key_of(email, "k", key);
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_register, &q, key, NULL), identity_in_use);
	(void) sql("DELETE FROM users.account WHERE email = 'Person2003@Example.org'");
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_register, &q, key, NULL), identity_in_use);
	assert_string_equal(sql("SELECT count(*) FROM users.account WHERE email = 'Person2003@Example.org'"), "0");
}

TEST(what_was_refused_for_its_fields_leaves_the_key_free)
{
	DESK d = open_desk("users");
	char email[64], cpf[12], key[REQUEST_ID_TEXT + 1];
	struct users_register_req q = person(2004, email, cpf);

	(void) key_of(email, "k", key);
	SET(&q, document_id, STR("12345678901"));
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_register, &q, key, NULL), invalid);
	SET(&q, document_id, str_of(cpf));
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_register, &q, key, NULL), none);
}

TEST(a_request_id_that_is_none_is_unreadable)
{
	DESK d = open_desk("users");
	char email[64], cpf[12];
	struct users_register_req q = person(2005, email, cpf);

	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_users_register, &q, "42", NULL), unreadable);
}

TEST(a_role_that_may_not_is_refused_by_the_actor_too)
{
	DESK d = open_desk("schedules");
	struct schedules_list_req q = { .set = { 0 } };

	assert_err(ask(from(d, ROLE_PATIENT, 7), CALL_schedules_list, &q, NULL, NULL), forbidden);
	assert_err(ask(from(d, ROLE_PUBLIC, 0), CALL_schedules_list, &q, NULL, NULL), no_token);
	assert_err(ask(from(d, ROLE_DOCTOR, 0), CALL_schedules_list, &q, NULL, NULL), no_token);
	assert_err(ask(from(d, ROLE_DOCTOR, 7), CALL_schedules_list, &q, NULL, NULL), none);
}

TEST(a_body_that_is_none_is_unreadable)
{
	DESK d = open_desk("users");
	struct str reply;

	assert_err(dispatch(from(d, ROLE_PUBLIC, 0), receive_of(CALL_users_register), STR("\xc1"), NULL, &reply),
		   unreadable);
	assert_err(dispatch(from(d, ROLE_PUBLIC, 0), receive_of(CALL_users_register), STR("\x80"), NULL, &reply),
		   invalid);
}

TEST(old_keys_are_purged_and_young_ones_kept)
{
	DESK d = open_desk("users");
	struct idempotency *row;
	size_t n;

	(void) sql("INSERT INTO users.idempotency (id, body_hash, created_at) SELECT gen_random_uuid(), "
		   "gen_random_uuid(), now() - g * interval '1 hour' FROM generate_series(1, 60) AS g");
	assert_err(db_list(from(d, ROLE_PUBLIC, 0), Q_users_key_purge, NULL, &row, &n), none);
	assert_int_equal(n, 13);	/* of 48 to 60 hours */
	assert_string_equal(sql("SELECT count(*) FROM users.idempotency WHERE created_at < now() - interval '48 h'"), "0");
}

/* ---- the agenda ---- */

/* 20 slots an hour apart for doctor 501, the first in an hour; 3 booked, 2 closed; 1 of the past. */
static void need_agenda(void)
{
	static bool made;

	need_postgres();
	if (made)
		return;
	made = true;
	(void) sql("INSERT INTO agenda.slot (id, doctor_id, starts, ends, active, created_at, updated_at) "
		   "SELECT 5000 + g, 501, date_trunc('hour', now()) + g * interval '1 hour', "
		   "date_trunc('hour', now()) + g * interval '1 hour' + interval '30 minutes', g NOT IN (4, 5), now(), now() "
		   "FROM generate_series(1, 20) AS g");
	(void) sql("INSERT INTO agenda.slot (id, doctor_id, starts, ends, active, created_at, updated_at) "
		   "VALUES (4999, 501, now() - interval '1 day', now() - interval '23 hours', true, now(), now())");
	(void) sql("INSERT INTO agenda.appointment (id, slot_id, doctor_id, patient_id, starts, ends, status, created_at, "
		   "updated_at, granted_seq, granted_batch) SELECT s.id + 1000, s.id, 501, CASE s.id WHEN 5001 THEN 601 ELSE 602 END, "
		   "starts, ends, CASE s.id WHEN 5003 THEN 'cancelled' ELSE 'confirmed' END::agenda.appointment_status, now(), now(), 1, 1 "
		   "FROM agenda.slot AS s WHERE s.id IN (5001, 5002, 5003, 5006)");
}

TEST(free_slots_are_active_unbooked_and_to_come)
{
	DESK d = open_desk("schedules");
	struct schedules_free_req q = { .set = { 0 } };
	struct schedules_page a;

	need_agenda();
	SET(&q, doctor_id, 501);
	assert_err(ask(from(d, ROLE_PATIENT, 601), CALL_schedules_free, &q, NULL, &a), none);
	assert_int_equal(a.items.n, 15);	/* without 1, 2 and 6 that are booked, 4 and 5 that are closed */
	assert_int_equal(a.items.items[0].id, 5003);
	assert_int_equal(a.items.items[0].duration_minutes, 30);
	assert_true(a.null.next);
	SET(&q, doctor_id, 999);
	assert_err(ask(from(d, ROLE_PATIENT, 601), CALL_schedules_free, &q, NULL, &a), none);
	assert_int_equal(a.items.n, 0);
}

TEST(pages_follow_each_other_without_gap_or_repetition)
{
	DESK d = open_desk("schedules");
	struct schedules_list_req q = { .set = { 0 } };
	struct schedules_page a;
	char cursor[64];
	int64_t seen = 0, last = 0;

	need_agenda();
	SET(&q, limit, 4);
	for (int pages = 1;; pages++) {
		assert_err(ask(from(d, ROLE_DOCTOR, 501), CALL_schedules_list, &q, NULL, &a), none);
		for (size_t i = 0; i < a.items.n; i++) {
			assert_true(a.items.items[i].date_time_available > last);
			last = a.items.items[i].date_time_available;
		}
		seen += (int64_t) a.items.n;
		if (!a.has.next) {
			assert_int_equal(pages, 6);
			break;
		}
		(void) snprintf(cursor, sizeof cursor, "%.*s", (int) a.next.n, a.next.p);
		SET(&q, cursor, str_of(cursor));
	}
	assert_int_equal(seen, 21);
	SET(&q, cursor, STR("mine"));
	assert_err(ask(from(d, ROLE_DOCTOR, 501), CALL_schedules_list, &q, NULL, &a), unreadable);
}

TEST(a_doctor_filters_own_slots)
{
	DESK d = open_desk("schedules");
	struct schedules_list_req q = { .set = { 0 } };
	struct schedules_page a;

	need_agenda();
	SET(&q, booked, true);
	assert_err(ask(from(d, ROLE_DOCTOR, 501), CALL_schedules_list, &q, NULL, &a), none);
	assert_int_equal(a.items.n, 3);
	assert_true(a.items.items[0].booked);
	q.has.booked = 0;
	SET(&q, active, false);
	assert_err(ask(from(d, ROLE_DOCTOR, 501), CALL_schedules_list, &q, NULL, &a), none);
	assert_int_equal(a.items.n, 2);
	q.has.active = 0;
	SET(&q, from, a.items.items[0].date_time_available);
	SET(&q, to, a.items.items[1].date_time_available);
	assert_err(ask(from(d, ROLE_DOCTOR, 501), CALL_schedules_list, &q, NULL, &a), none);
	assert_int_equal(a.items.n, 2);
	SET(&q, to, q.from - 1);
	assert_err(ask(from(d, ROLE_DOCTOR, 501), CALL_schedules_list, &q, NULL, &a), invalid);
	assert_err(ask(from(d, ROLE_DOCTOR, 502), CALL_schedules_list,
		       &(struct schedules_list_req) { .set = { 0 } }, NULL, &a), none);
	assert_int_equal(a.items.n, 0);
}

TEST(a_kept_page_is_served_until_a_fact_drops_it_and_never_what_has_begun)
{
	DESK d = open_desk("schedules");
	struct schedules_free_req q = { .set = { 0 } };
	struct schedules_page a;
	struct fact f = { .set = { 0 } };
	const struct facts facts = { .items = { &f, 1 }, .has.items = 1 };
	struct ctx *c = from(d, ROLE_PATIENT, 601);

	need_agenda();
	need_redis();
	d->cache = cache_open(redis_url);
	SET(&q, doctor_id, 501);
	SET(&f, doctor_id, 501);
	schedules_facts(d->cache, c, &facts);
	assert_err(ask(from(d, ROLE_PATIENT, 601), CALL_schedules_free, &q, NULL, &a), none);
	assert_int_equal(a.items.n, 15);
	(void) sql("UPDATE agenda.slot SET active = false WHERE id = 5020");
	assert_err(ask(from(d, ROLE_PATIENT, 601), CALL_schedules_free, &q, NULL, &a), none);
	assert_int_equal(a.items.n, 15);		/* kept */

	const int64_t begins = a.items.items[0].date_time_available;

	c = from(d, ROLE_PATIENT, 601);
	c->now = begins;
	assert_err(ask(c, CALL_schedules_free, &q, NULL, &a), none);
	assert_int_equal(a.items.n, 14);
	schedules_facts(d->cache, c, &facts);
	assert_err(ask(from(d, ROLE_PATIENT, 601), CALL_schedules_free, &q, NULL, &a), none);
	assert_int_equal(a.items.n, 14);
	assert_int_equal(a.items.items[0].id, 5003);
	(void) sql("UPDATE agenda.slot SET active = true WHERE id = 5020");
	schedules_facts(d->cache, c, &facts);
}

TEST(one_sees_ones_own_appointments_and_nobody_elses)
{
	DESK d = open_desk("appointments");
	struct appointments_get_req q = { .set = { 0 } };
	struct appointments_locate_req l = { .set = { 0 } };
	struct appointments_appointment a;
	struct appointments_locate_rep where;

	need_agenda();
	SET(&q, id, 6001);
	SET(&l, id, 6001);
	assert_err(ask(from(d, ROLE_PATIENT, 601), CALL_appointments_get, &q, NULL, &a), none);
	assert_int_equal(a.doctor_id, 501);
	assert_int_equal(a.status, APPOINTMENT_CONFIRMED);
	assert_err(ask(from(d, ROLE_DOCTOR, 501), CALL_appointments_get, &q, NULL, &a), none);
	assert_err(ask(from(d, ROLE_PATIENT, 602), CALL_appointments_get, &q, NULL, NULL), not_found);
	assert_err(ask(from(d, ROLE_DOCTOR, 502), CALL_appointments_get, &q, NULL, NULL), not_found);
	assert_err(ask(from(d, ROLE_PATIENT, 601), CALL_appointments_locate, &l, NULL, &where), none);
	assert_int_equal(where.doctor_id, 501);
	assert_int_equal(where.patient_id, 601);
	assert_int_equal(where.status, APPOINTMENT_CONFIRMED);
	assert_int_equal(where.starts, a.date_time);
	assert_int_equal(where.ends, a.date_time + a.duration_minutes * 60 * SECOND);
	assert_err(ask(from(d, ROLE_PATIENT, 602), CALL_appointments_locate, &l, NULL, NULL), not_found);
}

TEST(appointments_are_listed_by_status_and_time)
{
	DESK d = open_desk("appointments");
	struct appointments_list_req q = { .set = { 0 } };
	struct appointments_page a;

	need_agenda();
	assert_err(ask(from(d, ROLE_PATIENT, 602), CALL_appointments_list, &q, NULL, &a), none);
	assert_int_equal(a.items.n, 3);
	assert_err(ask(from(d, ROLE_DOCTOR, 501), CALL_appointments_list, &q, NULL, &a), none);
	assert_int_equal(a.items.n, 4);
	SET(&q, status, (enum appointment_filter) APPOINTMENT_CANCELLED);
	assert_err(ask(from(d, ROLE_DOCTOR, 501), CALL_appointments_list, &q, NULL, &a), none);
	assert_int_equal(a.items.n, 1);
	SET(&q, status, APPOINTMENT_FILTER_LAST);		/* re_schedule_in_analysis */
	assert_err(ask(from(d, ROLE_DOCTOR, 501), CALL_appointments_list, &q, NULL, &a), none);
	assert_int_equal(a.items.n, 0);
	q = (struct appointments_list_req) { .set = { 0 } };
	SET(&q, limit, 3);
	assert_err(ask(from(d, ROLE_DOCTOR, 501), CALL_appointments_list, &q, NULL, &a), none);
	assert_true(a.items.n == 3 && a.has.next);

	char cursor[64];

	(void) snprintf(cursor, sizeof cursor, "%.*s", (int) a.next.n, a.next.p);
	SET(&q, cursor, str_of(cursor));
	assert_err(ask(from(d, ROLE_DOCTOR, 501), CALL_appointments_list, &q, NULL, &a), none);
	assert_true(a.items.n == 1 && a.null.next);
}

/* A request of a user, as the gateway names it. */
static struct request_id request_of(int64_t user, const char *key, char text[REQUEST_ID_TEXT + 1])
{
	char who[24];

	(void) snprintf(who, sizeof who, "%" PRId64, user);

	const struct request_id id = request_id_make(STR(SECRET), 501, str_of(who), str_of(key));

	request_id_write(&id, text);
	return id;
}

TEST(a_request_of_ones_own_is_pending_until_it_is_decided_and_anothers_does_not_exist)
{
	DESK d = open_desk("appointments");
	struct appointments_request_req q = { .set = { 0 } };
	struct appointments_request_rep a;
	char text[REQUEST_ID_TEXT + 1], hex[33], insert[512];
	const struct request_id id = request_of(601, "a", text);

	SET(&q, request_id, str_of(text));
	assert_err(ask(from(d, ROLE_PATIENT, 601), CALL_appointments_request, &q, NULL, &a), none);
	assert_int_equal(a.status, REQUEST_PENDING);
	assert_true(a.null.decided_at && a.null.ahead && a.null.appointment_id);
	assert_err(ask(from(d, ROLE_PATIENT, 602), CALL_appointments_request, &q, NULL, NULL), not_found);

	for (size_t i = 0; i < sizeof id.nonce.b; i++)
		(void) snprintf(hex + 2 * i, 3, "%02x", id.nonce.b[i]);
	(void) snprintf(insert, sizeof insert, "INSERT INTO agenda.request (id, doctor_id, user_id, body_hash, status, code, "
			"outcome, partition, stream_seq, stream_time, batch_id, decided_at) VALUES ('%s', 501, 601, '%s', "
			"'rejected', 'slot_taken', '', 0, 1, now(), 1, now())", hex, hex);
	(void) sql(insert);
	assert_err(ask(from(d, ROLE_PATIENT, 601), CALL_appointments_request, &q, NULL, &a), none);
	assert_int_equal(a.status, REQUEST_REJECTED);
	assert_str(a.code, "slot_taken");
	assert_true(a.has.decided_at && a.has.requested_at && a.null.appointment_id);
	assert_err(ask(from(d, ROLE_PATIENT, 602), CALL_appointments_request, &q, NULL, NULL), not_found);
	(void) sql("UPDATE agenda.request SET user_id = 603");
	assert_err(ask(from(d, ROLE_PATIENT, 601), CALL_appointments_request, &q, NULL, NULL), not_found);
	SET(&q, request_id, STR("nonsense"));
	assert_err(ask(from(d, ROLE_PATIENT, 601), CALL_appointments_request, &q, NULL, NULL), not_found);
}

TEST(every_domain_has_the_queries_that_its_requests_need)
{
	assert_null(dispatch_lacks(&users_actor));
	assert_null(dispatch_lacks(&schedules_actor));
	assert_null(dispatch_lacks(&appointments_actor));
	assert_null(dispatch_lacks(&booking_actor));
	assert_null(dispatch_lacks(&reviews_actor));
	assert_null(dispatch_lacks(&reports_actor));
}

/* The plan that every session will keep, of a query by its name; read from psql. */
static bool reads_a_whole_table(enum query q)
{
	char path[64], command[320], line[512];
	bool whole = false;
	int params = 0;
	FILE *f;

	(void) snprintf(path, sizeof path, "%s/explain.sql", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	(void) fprintf(f, "SET plan_cache_mode = force_generic_plan;\nPREPARE q AS %s;\nEXPLAIN EXECUTE q",
		       query_text[q].text);
	for (; query_text[q].params[params] != NULL; params++)
		(void) fprintf(f, "%cNULL", params == 0 ? '(' : ',');
	(void) fprintf(f, "%s;\n", params == 0 ? "" : ")");
	assert_int_equal(fclose(f), 0);
	(void) snprintf(command, sizeof command, "psql -X -q -A -t -v ON_ERROR_STOP=1 '%s' -f %s 2>&1",
			postgres_url, path);
	f = popen(command, "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f) != NULL)
		if (strstr(line, "Seq Scan") != NULL) {
			print_error("%s: %s", query_text[q].name, line);
			whole = true;
		}
	assert_int_equal(pclose(f), 0);
	return whole;
}

TEST(no_read_goes_through_a_whole_table)
{
	static const char *const served[] = { "users", "schedules", "appointments", "reviews", "reports", "files" };
	int wrong = 0, seen = 0;

	need_agenda();
	(void) sql("INSERT INTO agenda.slot (id, doctor_id, starts, ends, created_at, updated_at) "
		   "SELECT 10000 + d * 100 + s, 10000 + d, now() + s * interval '1 hour', now() + s * interval '1 hour' + interval '30 minutes', now(), now() "
		   "FROM generate_series(1, 400) AS d, generate_series(1, 60) AS s");
	(void) sql("INSERT INTO agenda.appointment (id, slot_id, doctor_id, patient_id, starts, ends, status, created_at, updated_at, "
		   "granted_seq, granted_batch) SELECT 100000 + id, id, doctor_id, 20000 + id % 900, starts, ends, 'confirmed', now(), now(), 1, 1 "
		   "FROM agenda.slot WHERE doctor_id > 10000 AND id % 3 <> 0 ON CONFLICT DO NOTHING");
	(void) sql("INSERT INTO agenda.appointment (id, slot_id, doctor_id, patient_id, starts, ends, status, cancelled_by, cancelled_reason, "
		   "created_at, updated_at, granted_seq, granted_batch) SELECT 200000 + id, id, doctor_id, 20000 + id % 900, starts, ends, "
		   "'cancelled', 'patient', 'x', now(), now(), 1, 1 FROM agenda.slot WHERE doctor_id > 10000 ON CONFLICT DO NOTHING");
	(void) sql("INSERT INTO agenda.erased SELECT generate_series(1, 20000) ON CONFLICT DO NOTHING");
	(void) sql("INSERT INTO agenda.request (id, doctor_id, user_id, body_hash, status, outcome, appointment_id, partition, stream_seq, "
		   "stream_time, batch_id, decided_at) SELECT gen_random_uuid(), 1, 1, gen_random_uuid(), 'done', '', g, 0, g, now(), 1, now() "
		   "FROM generate_series(1, 20000) AS g");
	(void) sql("INSERT INTO agenda.move SELECT g, g, g % 900 + 1, g % 800 + 1, now(), now() + interval '1 hour', 1, 1, g, 1 "
		   "FROM generate_series(1, 20000) AS g");
	(void) sql("INSERT INTO users.account (full_name, email, password_hash, document_id, phone, role) SELECT 'x', 'x' || g, 'x', "
		   "'x' || g, 'x', CASE g % 2 WHEN 0 THEN 'doctor' ELSE 'patient' END FROM generate_series(1, 20000) AS g");
	(void) sql("INSERT INTO users.doctor (user_id, medical_id, specialty, price) SELECT id, 'x' || id, 'x', 1 FROM users.account "
		   "WHERE role = 'doctor' AND full_name = 'x'");
	(void) sql("INSERT INTO users.address (user_id, street, number, neighborhood, city, state, zip) "
		   "SELECT id, 'x', 'x', 'x', 'x', 'MG', '30110000' FROM users.account WHERE full_name = 'x'");
	(void) sql("INSERT INTO users.acquaintance SELECT 1 + g % 9000, g FROM generate_series(1, 20000) AS g");
	(void) sql("INSERT INTO users.free_slot SELECT g, g / 10, now() + g * interval '1 minute', "
		   "now() + (g + 1) * interval '1 minute', 1, true FROM generate_series(1, 20000) AS g");
	(void) sql("INSERT INTO users.idempotency (id, body_hash) SELECT gen_random_uuid(), gen_random_uuid() "
		   "FROM generate_series(1, 20000)");
	(void) sql("INSERT INTO users.session (user_id, seed, generation, rotated_at, expires_at, tokens_end) "
		   "SELECT id, '', 1, now(), now() + id * interval '1 hour', now() FROM users.account WHERE full_name = 'x'");
	(void) sql("INSERT INTO users.ended (user_id, from_session, to_session, ends) "
		   "SELECT g, g, g, now() + interval '1 hour' FROM generate_series(1, 20000) AS g");
	(void) sql("INSERT INTO reviews.review (appointment_id, doctor_id, patient_id, rating, counted) SELECT g, g % 900 + 1, g % 800 + 1, "
		   "4.5, true FROM generate_series(1, 20000) AS g");
	(void) sql("INSERT INTO clinical.report (appointment_id, doctor_id, patient_id, version, created_at, updated_at) "
		   "SELECT g, g % 900 + 1, g % 800 + 1, 1, now(), now() FROM generate_series(1, 20000) AS g");
	(void) sql("INSERT INTO audit.access (user_id, role, action, patient_id) SELECT g, 'doctor', 'read', g % 800 + 1 "
		   "FROM generate_series(1, 20000) AS g");
	(void) sql("INSERT INTO clinical.file (patient_id, file_name, sha256, size, store, master, wrapped_key, whole) "
		   "SELECT g % 800 + 1, 'x', sha256(''), 1, 'postgres', 'x', '', true FROM generate_series(1, 20000) AS g");
	(void) sql("INSERT INTO clinical.file_access (file_id, doctor_id, appointment_id, expires_at) "
		   "SELECT id, id % 900 + 1, id, now() + interval '1 day' FROM clinical.file");
	(void) sql("INSERT INTO clinical.report_version SELECT id, 1, 'x', now() FROM clinical.report");
	(void) sql("INSERT INTO reviews.idempotency (id, body_hash) SELECT gen_random_uuid(), gen_random_uuid() "
		   "FROM generate_series(1, 20000)");
	(void) sql("INSERT INTO clinical.reports_idempotency (id, body_hash) SELECT gen_random_uuid(), gen_random_uuid() "
		   "FROM generate_series(1, 20000)");
	(void) sql("INSERT INTO clinical.file_chunk SELECT id, 0, '' FROM clinical.file");
	(void) sql("INSERT INTO clinical.files_idempotency (id, body_hash) SELECT gen_random_uuid(), gen_random_uuid() "
		   "FROM generate_series(1, 20000)");
	(void) sql("ANALYZE");
	for (enum query q = 0; q < Q_COUNT; q++)
		for (size_t i = 0; i < COUNT(served); i++)
			if (strcmp(query_text[q].domain, served[i]) == 0 &&
			    strncmp(query_text[q].text, "SELECT", 6) == 0 && !strstr(query_text[q].name, "outbox") &&
			    !strstr(query_text[q].name, "_follow_") &&	/* of one row */
			    !strstr(query_text[q].name, "_find_")) {	/* planned anew each time: test_search.py */
				wrong += reads_a_whole_table(q);
				seen++;
			}
	assert_true(seen >= 10);
	wrong += reads_a_whole_table(Q_booking_reasons) + reads_a_whole_table(Q_booking_told) +
		 reads_a_whole_table(Q_booking_write_forgotten);
	assert_int_equal(wrong, 0);
}
