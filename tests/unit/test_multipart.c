/* test_multipart.c - the file of a form is found, and whatever two readers could read in two ways is not. */
#include "tests/unit/test.h"
#include "web/multipart.h"

#define FORM "multipart/form-data; boundary=b"
#define HEAD "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"exam.pdf\"\r\n"
#define TYPE "Content-Type: application/pdf\r\n"
#define END  "\r\n--b--\r\n"

static struct multipart got;

static err_t parse(struct ctx *c, const char *type, struct str body)
{
	memset(&got, 0, sizeof got);
	return multipart_file(c, str_of(type), body, "file", &got);
}

static void expect(const char *type, struct str body, const char *code, const char *message)
{
	struct ctx *c = fresh();

	assert_string_equal(err_info[parse(c, type, body).code].code, code);
	if (message == NULL)
		return;
	assert_int_equal(c->nfaults, 1);
	assert_string_equal(c->fault[0].message, message);
}
#define EXPECT(body, code, message) expect(FORM, STR(body), code, message)

TEST(the_file_of_a_form_is_found_with_its_name_and_type)
{
	assert_err(parse(fresh(), FORM, STR(HEAD TYPE "\r\n%PDF" END)), none);
	assert_str(got.name, "exam.pdf");
	assert_str(got.type, "application/pdf");
	assert_str(got.data, "%PDF");
}

TEST(data_may_hold_anything_but_its_boundary)
{
	static const char body[] = HEAD "\r\n\0\r\n--a\r\n--\r\n-b\n--b\r--b--" END;
	static const char data[] = "\0\r\n--a\r\n--\r\n-b\n--b\r--b--";

	assert_err(parse(fresh(), FORM, (struct str) { body, sizeof body - 1 }), none);
	assert_int_equal(got.data.n, sizeof data - 1);
	assert_memory_equal(got.data.p, data, sizeof data - 1);
}

TEST(other_fields_of_the_form_are_passed_over)
{
	assert_err(parse(fresh(), FORM, STR(
		"--b\r\nContent-Disposition: form-data; name=note\r\n\r\nfasting\r\n" HEAD "\r\nx\r\n"
		"--b\r\nContent-Disposition: form-data; name=empty\r\n\r\n--b--")), none);
	assert_str(got.data, "x");
}

TEST(a_boundary_may_be_quoted_and_every_part_of_a_type_has_its_own_case)
{
	assert_err(parse(fresh(), "Multipart/Form-Data; charset=utf-8; Boundary=\"a b:c\"", STR(
		"\r\n--a b:c \t\r\ncontent-disposition: Form-Data; NAME=file; FileName=x.pdf\r\n\r\nx\r\n--a b:c--")),
		none);
	assert_str(got.name, "x.pdf");
	assert_str(got.data, "x");
}

TEST(a_name_loses_its_folders_and_its_escapes)
{
	static const struct { const char *said, *name; } names[] = {
		{ "filename=\"/home/maria/exam.pdf\"", "exam.pdf" },
		{ "filename=\"C:\\\\exams\\\\exam.pdf\"", "exam.pdf" },
		{ "filename=\"C:\\exams\\exam.pdf\"", "exam.pdf" },
		{ "filename=\"say \\\"ah\\\".pdf\"", "say \"ah\".pdf" },
		{ "filename*=UTF-8''exame%20cora%C3%A7%C3%A3o.pdf", "exame coração.pdf" },
		{ "filename=old.pdf; filename*=utf-8''..%2fnew.pdf", "new.pdf" },
		{ "filename=\"\"", "" }, { "x=y", "" },
	};

	for (size_t i = 0; i < COUNT(names); i++) {
		struct ctx *c = fresh();
		struct buf b = { .mem = c->mem };

		buf_fmt(&b, "--b\r\nContent-Disposition: form-data; name=file; %s\r\n\r\nx" END, names[i].said);
		assert_err(parse(c, FORM, (struct str) { b.p, b.n }), none);
		assert_str(got.name, names[i].name);
	}
}

TEST(what_is_no_form_is_of_an_unsupported_type)
{
	static const char *const types[] = { "", "application/json", "multipart/mixed; boundary=b", "multipart",
		"multipart/form-datum; boundary=b", "application/pdf" };

	for (size_t i = 0; i < COUNT(types); i++)
		expect(types[i], STR(HEAD "\r\nx" END), "unsupported_media_type", NULL);
}

TEST(a_boundary_that_is_none_is_refused)
{
	static const char *const types[] = { "multipart/form-data", "multipart/form-data; boundary=",
		"multipart/form-data; boundary=\"\"", "multipart/form-data; boundary=\"b ", "multipart/form-data boundary=b",
		"multipart/form-data; boundary=\"b \"", "multipart/form-data; boundary=\"b\r\n\"",
		"multipart/form-data; boundary=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" };

	for (size_t i = 0; i < COUNT(types); i++)
		expect(types[i], STR(HEAD "\r\nx" END), "unreadable", "has no boundary in its Content-Type");
	expect("multipart/form-data; boundary=b; boundary=c", STR(HEAD "\r\nx" END), "unreadable",
	       "has two boundaries in its Content-Type");
}

TEST(a_body_begins_and_ends_with_its_boundary_and_with_nothing_else)
{
	EXPECT("", "unreadable", "does not begin with its boundary");
	EXPECT("--", "unreadable", "does not begin with its boundary");
	EXPECT("preamble\r\n" HEAD "\r\nx" END, "unreadable", "does not begin with its boundary");
	EXPECT("--c\r\n", "unreadable", "does not begin with its boundary");
	EXPECT(HEAD "\r\nx", "unreadable", "ends without its last boundary");
	EXPECT(HEAD "\r\nx\r\n--", "unreadable", "ends without its last boundary");
	EXPECT(HEAD "\r\nx\r\n--b", "unreadable", "has its boundary within a line");
	EXPECT(HEAD "\r\nx\r\n--b-", "unreadable", "has its boundary within a line");
	EXPECT(HEAD "\r\nx\r\n--bc\r\n", "unreadable", "has its boundary within a line");
	EXPECT(HEAD "\r\nx" END "PK", "unreadable", "goes on after its last boundary");
	EXPECT(HEAD "\r\nx" END HEAD "\r\ny" END, "unreadable", "goes on after its last boundary");
}

TEST(headers_of_a_part_are_plain_lines)
{
	static const char nul[] = HEAD "X: a\0b\r\n\r\nx" END;

	EXPECT("--b\r\n\r\nx" END, "unreadable", "has a part that is no field of a form");
	EXPECT("--b\r\nContent-Type: text/plain\r\n\r\nx" END, "unreadable", "has a part that is no field of a form");
	EXPECT(HEAD "nothing\r\n\r\nx" END, "unreadable", "has a part with a line that is no header");
	EXPECT(HEAD " folded: x\r\n\r\nx" END, "unreadable", "has a part with a line that is no header");
	EXPECT(HEAD "X: a\nY: b\r\n\r\nx" END, "unreadable", "has a part with a line that is no header");
	EXPECT(HEAD "X : a\r\n\r\nx" END, "unreadable", "has a part with a line that is no header");
	expect(FORM, (struct str) { nul, sizeof nul - 1 }, "unreadable", "has a part with a line that is no header");
	EXPECT(HEAD TYPE TYPE "\r\nx" END, "unreadable", "has a part of two types");
	EXPECT(HEAD "Content-Disposition: form-data; name=file\r\n\r\nx" END, "unreadable",
	       "has a part that is no field of a form");
	EXPECT("--b\r\nContent-Disposition: attachment; name=file\r\n\r\nx" END, "unreadable",
	       "has a part that is no field of a form");
}

TEST(a_part_says_its_name_once)
{
	EXPECT("--b\r\nContent-Disposition: form-data\r\n\r\nx" END, "unreadable", "has a part whose name cannot be read");
	EXPECT("--b\r\nContent-Disposition: form-data; name=\"file\r\n\r\nx" END, "unreadable",
	       "has a part whose name cannot be read");
	EXPECT("--b\r\nContent-Disposition: form-data; name=file; name=note\r\n\r\nx" END, "unreadable",
	       "has a part that names itself twice");
	EXPECT("--b\r\nContent-Disposition: form-data; name=file; filename=a; filename=b\r\n\r\nx" END, "unreadable",
	       "has a part that names itself twice");
	EXPECT("--b\r\nContent-Disposition: form-data; name=file; filename*=UTF-8''%4\r\n\r\nx" END, "unreadable",
	       "has a file name that cannot be read");
	EXPECT("--b\r\nContent-Disposition: form-data; name=file; filename*=latin1''a\r\n\r\nx" END, "unreadable",
	       "has a file name that cannot be read");
}

TEST(forms_within_forms_and_encodings_are_refused)
{
	EXPECT(HEAD "Content-Type: multipart/mixed; boundary=c\r\n\r\n--c--" END, "unreadable",
	       "has a part that is a multipart itself");
	EXPECT(HEAD "Content-Transfer-Encoding: base64\r\n\r\nJVBERi0=" END, "unreadable",
	       "has a part in a transfer encoding");
	EXPECT(HEAD "Content-Transfer-Encoding: Binary\r\n\r\nx" END, "none", NULL);
}

TEST(there_is_one_file_and_no_more)
{
	EXPECT("--b--", "invalid", "is missing");
	EXPECT("--b\r\nContent-Disposition: form-data; name=other; filename=x.pdf\r\n\r\nx" END, "invalid", "is missing");
	EXPECT(HEAD "\r\nx\r\n" HEAD "\r\ny" END, "invalid", "is given twice");
}

TEST(headers_and_parts_have_a_limit)
{
	static char body[64 << 10];
	size_t n = strlen(strcpy(body, HEAD "X: "));

	memset(body + n, 'x', 9 << 10);
	(void) strcpy(body + n + (9 << 10), "\r\n\r\nx" END);
	expect(FORM, str_of(body), "unreadable", "has a part with too long headers");
	n = 0;
	for (int i = 0; i < 20; i++)
		n += strlen(strcpy(body + n, "--b\r\nContent-Disposition: form-data; name=x\r\n\r\n\r\n"));
	(void) strcpy(body + n, "--b--");
	expect(FORM, str_of(body), "unreadable", "has too many parts");
}
