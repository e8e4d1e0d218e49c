/* test_request_id.c - the same name for every copy, and a name for nobody else. */
#include "broker/request_id.h"
#include "tests/unit/test.h"

static const struct str secret = { "0123456789abcdef0123456789abcdef", 32 };

static bool same(const struct request_id *a, const struct request_id *b)
{
	char x[REQUEST_ID_TEXT + 1], y[REQUEST_ID_TEXT + 1];

	request_id_write(a, x);
	request_id_write(b, y);
	return strcmp(x, y) == 0;
}

TEST(copies_of_a_request_have_one_name)
{
	const struct request_id a = request_id_make(secret, 7, STR("42"), STR("k1"));
	const struct request_id b = request_id_make(secret, 7, STR("42"), STR("k1"));

	assert_true(same(&a, &b));
}

TEST(another_user_key_or_secret_is_another_request)
{
	const struct request_id a = request_id_make(secret, 7, STR("42"), STR("k1"));
	const struct request_id other[] = {
		request_id_make(secret, 7, STR("43"), STR("k1")),
		request_id_make(secret, 7, STR("42"), STR("k2")),
		request_id_make(secret, 7, STR("4"), STR("2k1")),	/* the border counts */
		request_id_make(STR("another"), 7, STR("42"), STR("k1")),
	};

	for (size_t i = 0; i < COUNT(other); i++)
		assert_false(digest_eq(a.nonce, other[i].nonce));
}

TEST(a_key_names_one_request_whichever_doctor_it_is_sent_to)
{
	const struct request_id a = request_id_make(secret, 7, STR("42"), STR("k1"));
	const struct request_id b = request_id_make(secret, 8, STR("42"), STR("k1"));

	assert_true(digest_eq(a.nonce, b.nonce));
	assert_false(same(&a, &b));
}

TEST(without_a_key_every_request_is_new)
{
	const struct request_id a = request_id_make(secret, 7, STR("42"), (struct str) { NULL, 0 });
	const struct request_id b = request_id_make(secret, 7, STR("42"), (struct str) { NULL, 0 });

	assert_false(digest_eq(a.nonce, b.nonce));
	assert_true(request_id_is_of(&a, secret, STR("42")));
}

TEST(an_empty_key_is_a_key)
{
	const struct request_id a = request_id_make(secret, 7, STR("42"), STR(""));
	const struct request_id b = request_id_make(secret, 7, STR("42"), STR(""));

	assert_true(same(&a, &b));
}

TEST(a_name_tells_its_user_and_only_with_the_secret)
{
	struct request_id a = request_id_make(secret, 7, STR("42"), STR("k1"));

	assert_true(request_id_is_of(&a, secret, STR("42")));
	assert_false(request_id_is_of(&a, secret, STR("43")));
	assert_false(request_id_is_of(&a, STR("another"), STR("42")));
	a.doctor = 8;			/* the tag covers the doctor, too */
	assert_false(request_id_is_of(&a, secret, STR("42")));
}

TEST(a_name_survives_its_text_form)
{
	static const int64_t doctors[] = { 0, 1, 255, INT64_MAX };

	for (size_t i = 0; i < COUNT(doctors); i++) {
		const struct request_id a = request_id_make(secret, doctors[i], STR("42"), STR("k1"));
		struct request_id b;
		char text[REQUEST_ID_TEXT + 1];

		request_id_write(&a, text);
		assert_int_equal(strlen(text), REQUEST_ID_TEXT);
		assert_true(request_id_read(str_of(text), &b));
		assert_int_equal(b.doctor, doctors[i]);
		assert_true(same(&a, &b));
		assert_true(request_id_is_of(&b, secret, STR("42")));
	}
}

TEST(a_changed_or_broken_name_is_nobodys)
{
	const struct request_id a = request_id_make(secret, 7, STR("42"), STR("k1"));
	char text[REQUEST_ID_TEXT + 1];
	struct request_id b;

	for (size_t i = 0; i < REQUEST_ID_TEXT; i++) {
		request_id_write(&a, text);
		text[i] = text[i] == 'A' ? 'B' : 'A';
		assert_false(request_id_read(str_of(text), &b) && request_id_is_of(&b, secret, STR("42")));
		text[i] = '=';
		assert_false(request_id_read(str_of(text), &b));
	}
	request_id_write(&a, text);
	assert_false(request_id_read(STR(""), &b));
	assert_false(request_id_read((struct str) { text, REQUEST_ID_TEXT - 1 }, &b));
	assert_false(request_id_read(STR("__________________________________________8"), &b));	/* a negative doctor */
}

TEST(a_command_s_name_says_its_body_and_stays_its_user_s)
{
	const struct digest body = { { 1, 2, 3, 4, 5 } }, another = { { 1, 2, 3, 5, 5 } };
	struct request_id a = request_id_make(secret, 7, STR("42"), STR("k1")), b = a, former = a;

	request_id_say(&a, secret, STR("42"), body);
	request_id_say(&b, secret, STR("42"), another);
	assert_true(request_id_is_of(&a, secret, STR("42")));
	assert_false(request_id_is_of(&a, secret, STR("43")));
	assert_true(request_id_says(&a, secret, STR("42"), body));
	assert_false(request_id_says(&a, secret, STR("42"), another));
	assert_true(digest_eq(a.nonce, b.nonce));
	assert_false(same(&a, &b));
	assert_true(request_id_says(&former, secret, STR("42"), body));	/* says nothing */
	for (size_t i = 0; i < sizeof a.tag; i++) {
		b = a;
		b.tag[i] ^= 1;
		assert_false(request_id_is_of(&b, secret, STR("42")));
	}
}
