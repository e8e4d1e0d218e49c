/* test_users.c - the rules of users that need no database: what is refused before it is asked. */
#include "actors/users/attempts.h"
#include "actors/users/password.h"
#include "broker/base/clock.h"
#include "broker/msg/users.h"
#include "tests/unit/test.h"

static const struct users_register_req good = {
	.full_name = STR("Ana L\xc3\xba" "cia"), .email = STR("ana@example.org"), .password = STR("s3gredo!!"),
	.document_id = STR("529.982.247-25"), .phone = STR("+55 11 5555-0000"), .role = USERS_DOCTOR,
	.doctor = { .medical_id = STR("112233-MG"), .specialty = STR("cardiology"), .price = 15000 },
	.address = { .street = STR("Rua A"), .number = STR("1"), .neighborhood = STR("Centro"),
		.city = STR("Belo Horizonte"), .state = STR("mg"), .zip = STR("30110-000") },
};

/* As an actor reads what a gateway sent. */
static err_t try_message(struct ctx *c, const struct msg *m, const void *q)
{
	void *read = arena_alloc(c->mem, m->size);
	struct str packed;

	assert_err(msg_to_pack(c, m, q, &packed), none);
	return msg_from_pack(c, m, packed, read);
}

static err_t try_register(struct ctx *c, struct users_register_req q)
{
	q.has.full_name = q.has.email = q.has.password = q.has.document_id = q.has.phone = q.has.role = 1;
	q.doctor.set.has = (UINT64_C(1) << users_doctor_card_msg.nfields) - 1;
	q.address.set.has = (UINT64_C(1) << users_address_msg.nfields) - 1;
	return try_message(c, &users_register_req_msg, &q);
}

static bool has_fault(const struct ctx *c, const char *path)
{
	for (size_t i = 0; i < c->nfaults; i++)
		if (strcmp(c->fault[i].path, path) == 0)
			return true;
	return false;
}

TEST(a_doctor_needs_a_card_and_a_patient_must_not_have_one)
{
	struct users_register_req q = good;
	struct ctx *c = fresh();

	assert_err(try_register(c, q), invalid);
	assert_true(has_fault(c, "doctor") && c->nfaults == 1);
	q.role = USERS_PATIENT;
	q.has.doctor = 1;
	assert_err(try_register(c = fresh(), q), invalid);
	assert_true(has_fault(c, "doctor") && c->nfaults == 1);
}

TEST(every_fault_of_a_registration_is_told_at_once)
{
	struct users_register_req q = good;
	struct ctx *c = fresh();

	q.full_name = STR("      ");
	q.email = STR("ana@example");
	q.document_id = STR("529.982.247-26");
	q.phone = STR("55\n11 5555");
	q.address.state = STR("M1");
	q.address.zip = STR("3011-0000");
	q.has.address = 1;
	assert_err(try_register(c, q), invalid);
	assert_int_equal(c->nfaults, 7);
	assert_true(has_fault(c, "full_name") && has_fault(c, "email") && has_fault(c, "document_id"));
	assert_true(has_fault(c, "phone") && has_fault(c, "address.state") && has_fault(c, "address.zip"));
}

TEST(an_address_that_no_mail_reaches_is_refused)
{
	static const char *const wrong[] = { "ana", "@example.org", "ana@", "ana@example", "ana@.org",
		"ana@example..org", "ana@-example.org", "ana@example.org.", "a na@example.org",
		"ana@@example.org", "ana@exam_ple.org", "<ana>@example.org", "ana@example.org\n" };

	for (size_t i = 0; i < COUNT(wrong); i++) {
		struct users_register_req q = good;
		struct ctx *c = fresh();

		q.email = str_of(wrong[i]);
		assert_err(try_register(c, q), invalid);
		assert_true(has_fault(c, "email"));
	}
	static const char *const right[] = { "a@b.co", "ana.lucia+x@mail.example.org", "jos\xc3\xa9@ex-ample.org" };

	for (size_t i = 0; i < COUNT(right); i++) {
		struct users_register_req q = good;
		struct ctx *c = fresh();

		q.email = str_of(right[i]);
		assert_err(try_register(c, q), invalid);	/* the card is still missing */
		assert_false(has_fault(c, "email"));
	}
}

TEST(a_login_names_its_account_in_one_way)
{
	struct users_login_req q = { .set = { 0 } };

	SET(&q, password, STR("x"));
	assert_err(try_message(fresh(), &users_login_req_msg, &q), invalid);
	SET(&q, email, STR("ana@example.org"));
	assert_err(try_message(fresh(), &users_login_req_msg, &q), none);
	SET(&q, document_id, STR("52998224725"));
	assert_err(try_message(fresh(), &users_login_req_msg, &q), invalid);
}

TEST(a_password_is_known_by_its_hash_alone)
{
	struct ctx *c = fresh();
	struct str hash, other;

	assert_err(password_hash(c, STR("s3gredo!!"), &hash), none);
	assert_err(password_hash(c, STR("s3gredo!!"), &other), none);
	assert_memory_equal(hash.p, "$argon2id$", 10);
	assert_false(str_eq(hash, other));
	assert_true(password_is(STR("s3gredo!!"), hash));
	assert_false(password_is(STR("s3gredo!"), hash));
	assert_false(password_is(STR("s3gredo!!"), (struct str) { NULL, 0 }));
	assert_false(password_is(STR(""), STR("")));
}

TEST(whoever_guesses_too_often_waits)
{
	struct digest ana, joe;
	int64_t now = 1000 * SECOND;

	digest_random(&ana, sizeof ana);
	digest_random(&joe, sizeof joe);
	for (int i = 0; i < ATTEMPTS_MAX; i++) {
		assert_true(attempts_allow(ana, now));
		attempts_failed(ana, now += SECOND);
	}
	assert_false(attempts_allow(ana, now));
	assert_true(attempts_allow(joe, now));
	assert_true(attempts_allow(ana, now + ATTEMPTS_WINDOW_S * SECOND));
	for (int i = 0; i < ATTEMPTS_MAX - 1; i++)
		attempts_failed(joe, now);
	attempts_forget(joe);
	attempts_failed(joe, now);
	assert_true(attempts_allow(joe, now));
}

TEST(a_flood_of_accounts_does_not_fill_the_table)
{
	struct digest d;

	for (int i = 0; i < 100000; i++) {
		digest_random(&d, sizeof d);
		attempts_failed(d, SECOND);
	}
	assert_true(attempts_allow(d, SECOND));
	for (int i = 0; i < ATTEMPTS_MAX; i++)
		attempts_failed(d, SECOND);
	assert_false(attempts_allow(d, SECOND));
}
