/* test_form.c - forms of text, by themselves and as a column of a field. */
#include "broker/base/form.h"
#include "broker/msg/users.h"
#include "tests/unit/test.h"

static const struct { const struct form *form; const char *good[6], *bad[12]; } row[] = {
	{ &form_line, { "a", "Ana Lúcia", " x ", "न\xe2\x80\x8dक", "𝄞" },
	  { "", " ", "a\nb", "a\tb", "\x7f", "a\r", "\xc2\xa0\xc2\xa0", "\xe2\x80\x8b", "a\xe2\x80\xaez",
	    "a\xe2\x80\xa8z", "a\xc2\x85z", "\xef\xbb\xbf" } },
	{ &form_said, { "a", "a\nb", "\tx", "\xc2\xa0x" }, { "", " ", "\n\t\r ", "\xc2\xa0\xe3\x80\x80", "\xe2\x80\x8b\n" } },
	{ &form_email, { "ana@example.org", "a.b+c@x-y.example", "\xc3\xa1@b.c" },
	  { "", "@", "a@", "@b.c", "a@b", "a b@c.d", "a@b..c", "a@.b", "a@b.", "a@-b.c", "a,b@c.d", "a@b.c@d.e" } },
	{ &form_medical_id, { "112233-MG", "crm/mg.112233", "a", "0" },
	  { "", " ", "112233-MG ", " 112233-MG", "112233 -MG", "112233-MG\n", "112233\xe2\x80\x90MG", "112233-MG\xc2\xa0",
	    "112233\xe2\x80\x8b-MG", "112233_MG", "112233-M\xc3\x87" } },
	{ &form_document, { "52998224725", "529.982.247-25", "11222333000181", "12ABC34501DE35" },
	  { "", "52998224726", "111.111.111-11", "5299822472", "x" } },
	{ &form_state, { "MG", "sp" }, { "", "M", "MGX", "M1", "M ", "@A", "[z" } },
	{ &form_zip, { "01310100", "01310-100" }, { "", "0131010", "0131-0100", "0131010A", "013101000" } },
};

TEST(each_form_takes_its_own_and_refuses_the_rest)
{
	for (size_t i = 0; i < COUNT(row); i++) {
		for (size_t k = 0; k < COUNT(row[i].good) && row[i].good[k] != NULL; k++)
			if (!row[i].form->is(str_of(row[i].good[k])))
				fail_msg("\"%s\" %s", row[i].good[k], row[i].form->message);
		for (size_t k = 0; k < COUNT(row[i].bad) && row[i].bad[k] != NULL; k++)
			if (row[i].form->is(str_of(row[i].bad[k])))
				fail_msg("\"%s\" passes: %s", row[i].bad[k], row[i].form->message);
	}
}

static bool told(const struct ctx *c, const char *path, const char *message)
{
	for (size_t i = 0; i < c->nfaults; i++)
		if (strcmp(c->fault[i].path, path) == 0 && strcmp(c->fault[i].message, message) == 0)
			return true;
	return false;
}

TEST(limits_and_forms_are_told_together)
{
	struct ctx *c = fresh();
	struct users_register_req q;

	assert_err(msg_from_http(c, &users_register_req_msg, NONE, NONE, STR(
		"{\"full_name\":\"ab\",\"email\":\"nobody\",\"password\":\"1\",\"document_id\":\"111.111.111-11\","
		"\"phone\":\"\\n\\n\\n\\n\\n\",\"role\":\"doctor\",\"doctor\":{\"medical_id\":\"     \",\"specialty\":\"x\",\"price\":1},"
		"\"address\":{\"street\":\"a\",\"number\":\"1\",\"neighborhood\":\"b\",\"city\":\"c\",\"state\":\"M1\","
		"\"zip\":\"1234567x\"}}"), &q), invalid);
	assert_true(told(c, "full_name", "is too short"));
	assert_true(told(c, "email", "must be an e-mail address"));
	assert_true(told(c, "password", "is too short"));
	assert_true(told(c, "document_id", "must be a CPF or a CNPJ"));
	assert_true(told(c, "phone", "must be a line of text"));
	assert_true(told(c, "doctor.medical_id", "must be letters, digits and - / . only"));
	assert_true(told(c, "doctor.specialty", "is too short"));
	assert_true(told(c, "address.state", "must be two letters"));
	assert_true(told(c, "address.zip", "must be eight digits"));
}

TEST(what_fields_ask_of_each_other_is_told_with_the_rest)
{
	struct ctx *c = fresh();
	struct users_register_req q;
	struct users_login_req login;

	assert_err(msg_from_http(c, &users_register_req_msg, NONE, NONE, STR(
		"{\"full_name\":\"ab\",\"email\":\"x\",\"password\":\"1\",\"document_id\":\"111.111.111-11\",\"phone\":\"1\","
		"\"role\":\"doctor\"}"), &q), invalid);
	assert_int_equal(c->nfaults, 6);
	assert_true(told(c, "document_id", "must be a CPF or a CNPJ"));
	assert_true(told(c, "doctor", "is required of a doctor"));
	/* Of a role that is none, nothing follows. */
	assert_err(msg_from_http(c = fresh(), &users_register_req_msg, NONE, NONE, STR("{\"role\":\"king\",\"doctor\":{}}"), &q),
		   invalid);
	assert_false(told(c, "doctor", "is required of a doctor"));
	assert_false(told(c, "doctor", "is for doctors only"));
	assert_err(msg_from_http(c = fresh(), &users_login_req_msg, NONE, NONE, STR("{}"), &login), invalid);
	assert_int_equal(c->nfaults, 2);
}

TEST(what_may_be_absent_need_not_be_clearable)
{
	struct ctx *c = fresh();
	struct users_update_req q;

	assert_err(msg_from_http(c, &users_update_req_msg, NONE, NONE, STR("{\"address\":null}"), &q), none);
	assert_true(q.null.address);
	assert_err(msg_from_http(c, &users_update_req_msg, NONE, NONE,
				 STR("{\"full_name\":null,\"phone\":\"1\",\"email\":\"x@y\"}"), &q), invalid);
	assert_true(told(c, "full_name", "must not be null"));
	assert_true(told(c, "phone", "is too short"));
	assert_true(told(c, "email", "must be an e-mail address"));
}
