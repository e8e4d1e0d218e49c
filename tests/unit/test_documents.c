/* test_documents.c - CPF, CNPJ and ZIP: right ones in every form, wrong ones in none. */
#include "broker/base/documents.h"
#include "tests/unit/test.h"

static const char *read_one(const char *text)
{
	static char out[DOCUMENT_TEXT];

	return document_read(str_of(text), out) ? out : "none";
}

TEST(a_cpf_is_read_with_and_without_its_mask)
{
	assert_string_equal(read_one("52998224725"), "52998224725");
	assert_string_equal(read_one("529.982.247-25"), "52998224725");
	assert_string_equal(read_one("529982247-25"), "52998224725");
	assert_string_equal(read_one("111.444.777-35"), "11144477735");
}

TEST(a_cnpj_is_read_with_digits_and_with_letters)
{
	assert_string_equal(read_one("11222333000181"), "11222333000181");
	assert_string_equal(read_one("11.222.333/0001-81"), "11222333000181");
	assert_string_equal(read_one("12.ABC.345/01DE-35"), "12ABC34501DE35");	/* the tax office's example */
	assert_string_equal(read_one("12abc34501de35"), "12ABC34501DE35");
}

TEST(a_wrong_check_digit_is_no_document)
{
	static const char right[] = "529.982.247-25", company[] = "12ABC34501DE35";

	for (size_t at = 0; at < sizeof right - 1; at++)
		for (char d = '0'; d <= '9'; d++) {
			char text[sizeof right];

			memcpy(text, right, sizeof text);
			if (text[at] < '0' || text[at] == d)
				continue;
			text[at] = d;
			assert_string_equal(read_one(text), "none");
		}
	for (size_t at = 0; at < sizeof company - 1; at++) {
		char text[sizeof company];

		memcpy(text, company, sizeof text);
		text[at] = (char) (text[at] == '9' ? '0' : text[at] + 1);
		assert_string_equal(read_one(text), "none");
	}
}

TEST(what_looks_like_a_document_is_none)
{
	static const char *const wrong[] = { "", "5", "5299822472", "529982247250", "00000000000",
		"11111111111", "99999999999", "00000000000000", "529.982.24725-", "529-982-247.25",
		".529982247-25", "5299822472A", "11222333/000181", "11.222.333/0001-8A",
		"11222333000181 ", " 52998224725", "529 982 247 25", "5299822472\xc3\xa9",
		"111.222.333/0001-81111111111111111111" };

	for (size_t i = 0; i < COUNT(wrong); i++)
		if (i != 12)		/* marks may be left out one by one */
			assert_string_equal(read_one(wrong[i]), "none");
	assert_string_equal(read_one(wrong[12]), "11222333000181");
}

TEST(a_zip_is_eight_digits)
{
	char out[ZIP + 1];

	assert_true(zip_read(STR("01310-100"), out));
	assert_string_equal(out, "01310100");
	assert_true(zip_read(STR("01310100"), out));
	assert_false(zip_read(STR("0131-0100"), out));
	assert_false(zip_read(STR("013101000"), out));
	assert_false(zip_read(STR("0131010A"), out));
}
