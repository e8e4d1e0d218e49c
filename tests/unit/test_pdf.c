/* test_pdf.c - what is taken for a PDF, wherever the pieces of it end. */
#include <string.h>
#include "actors/files/pdf.h"
#include "tests/unit/test.h"

#define HEAD "%PDF-1.7\n"
#define TAIL "\ntrailer << /Root 1 0 R >>\n%%EOF"

/* The same verdict whole, byte by byte, and in every two pieces. */
static const char *verdict(struct str s)
{
	struct pdf whole = { .n = 0 }, bytes = { .n = 0 };
	const char *said;

	pdf_feed(&whole, s);
	said = pdf_fault(&whole);
	for (size_t i = 0; i < s.n; i++)
		pdf_feed(&bytes, (struct str) { s.p + i, 1 });
	assert_ptr_equal(pdf_fault(&bytes), said);
	for (size_t i = 0; i <= s.n; i++) {
		struct pdf two = { .n = 0 };

		pdf_feed(&two, (struct str) { s.p, i });
		pdf_feed(&two, (struct str) { s.p + i, s.n - i });
		assert_ptr_equal(pdf_fault(&two), said);
	}
	return said;
}
#define TAKEN(text)      assert_null(verdict(STR(text)))
#define REFUSED(text, m) assert_string_equal(verdict(STR(text)), m)

TEST(a_plain_document_is_taken)
{
	TAKEN(HEAD TAIL);
	TAKEN(HEAD TAIL "\r\n");
	TAKEN(HEAD TAIL "\n" TAIL "\n \t\n");		/* saved twice: the last end counts */
	TAKEN(HEAD "<< /Type /Page /JSON 1 /Launcher 2 /OpenAction 3 0 R /EmbeddedFont 4 >>" TAIL);
	TAKEN(HEAD "(see chapter JavaScript, no Launch)" TAIL);
}

TEST(what_does_not_begin_as_a_pdf_is_none)
{
	REFUSED("", "must be a PDF");
	REFUSED("%PDF", "must be a PDF");
	REFUSED("\n%PDF-1.7" TAIL, "must be a PDF");
	REFUSED("PK\3\4" HEAD TAIL, "must be a PDF");
	REFUSED("GIF89a%PDF-1.7" TAIL, "must be a PDF");
	REFUSED("<script>%PDF-1.7" TAIL, "must be a PDF");
}

TEST(what_does_not_end_as_a_pdf_is_cut_off)
{
	REFUSED(HEAD, "must be a whole PDF: it does not end with %%EOF");
	REFUSED(HEAD "%%EO", "must be a whole PDF: it does not end with %%EOF");
}

TEST(nothing_is_appended_behind_the_end)
{
	static char far[2000];

	REFUSED(HEAD TAIL "PK\3\4", "must be a PDF and nothing after it");
	REFUSED(HEAD TAIL "\n<html>", "must be a PDF and nothing after it");
	REFUSED(HEAD TAIL "\n%%EO", "must be a PDF and nothing after it");
	memset(far, ' ', sizeof far);
	memcpy(far, HEAD TAIL, sizeof HEAD TAIL - 1);
	assert_string_equal(verdict((struct str) { far, sizeof far }), "must be a PDF and nothing after it");
}

#define BETWEEN(text) verdict(STR("%PDF-1.4\n1 0 obj\n<< >>\nendobj\n%%EOF\n" text "\n%%EOF\n"))

TEST(another_kind_between_two_ends_is_appended_too)
{
#define APPENDED(text) assert_string_equal(BETWEEN(text), "must be a PDF and nothing after it")
	APPENDED("<html><script>alert(1)</script>");
	APPENDED("MZ\x90");
	APPENDED("Rar!\x1a\x07");
	APPENDED("\x7f" "ELF");
	APPENDED("\x89PNG");
	APPENDED("#!/bin/sh");
	APPENDED("1 PK\3\4 and so on");
	APPENDED("7z\xbc\xaf\x27\x1c and so on");
	APPENDED("1 Rar!\x1a\x07");
	APPENDED("xar!\0\x1c");
	APPENDED("1\nMZ\x90\0");
	APPENDED("1\n\xff\xd8\xff\xe0\0\x10JFIF\0");
	APPENDED("1 0 MZ");
	APPENDED("1 0 0 obj");
	APPENDED("1 0 objects");
	APPENDED("0000000000001 0 obj");
	APPENDED("%!PS-Adobe-3.0\n/x 1 def");
	APPENDED("%<html><script>alert(1)</script>");
	APPENDED("% <script>alert(1)</script>");
	APPENDED("%PK\3\4");
	APPENDED("%7z\xbc\xaf\x27\x1c");
	APPENDED("%%EOF%!PS-Adobe-3.0");
	APPENDED("xref\n0 1\nMZ\x90\n");
	APPENDED("startxref\nMZ");
	APPENDED("startxref\n0\n<html>");
	APPENDED("7 0 obj\n<< >>\nendobj\nMZ\x90\n");
	APPENDED("7 0 obj\n<< >>\nendobj\n<html>");
#undef APPENDED
}

TEST(what_updates_a_document_may_stand_between_two_ends)
{
	assert_null(BETWEEN(""));
	assert_null(BETWEEN("% again\n"));
	assert_null(BETWEEN("%\xe2\xe3\xcf\xd3\r"));
	assert_null(BETWEEN("xref\n0 1\n"));
	assert_null(BETWEEN("7 0 obj\n<< >>\nendobj\n"));
	assert_null(BETWEEN("7 0 obj<</A(MZ)>>endobj 8 0 obj[1]endobj%x\n9 0 obj%x\n(y)\nendobj"));
	assert_null(BETWEEN("7 0 obj\n<< /Length 9 >>\nstream\r\nPK\3\4\0\xff\x1a<!\nendstream\nendobj\n"
			    "startxref\n70\n"));
	assert_null(BETWEEN("7 0 obj\n<< >>\nendobj\nxref\n0 1\n0000000000 65535 f\r\n7 1\n0000000046 00000 n\r\n"
			    "trailer\n<< /Size 8 /Prev 9 /ID [(\1\2)(MZ)] >>\nstartxref\n78"));
}

TEST(a_linearised_document_goes_on_behind_the_end_of_its_first_page)
{
	TAKEN("%PDF-1.4\n%\xe2\xe3\xcf\xd3\n4 0 obj\n<< /Linearized 1 /N 1 >>\nendobj\nxref\n4 1\n"
	      "0000000015 00000 n \ntrailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n0\n%%EOF\n        \n"
	      "1 0 obj\n<< /Type /Catalog >>\nendobj\n2 0 obj\n<< /Length 3 >>\nstream\n\0\xff<\nendstream\nendobj\n"
	      "xref\n0 4\n0000000000 65535 f \ntrailer\n<< /Size 4 >>\nstartxref\n60\n%%EOF\n");
}

/* Readers look farther back than they need to; behind an end there is no chance that it is none. */
TEST(no_end_of_a_zip_stands_behind_an_end_however_far_from_the_last)
{
	static char far[300000];
	struct pdf p = { .n = 0 };

	memset(far, ' ', sizeof far);
	pdf_feed(&p, STR(HEAD TAIL "\n7 0 obj\n<< >>\nstream\nPK\5\6\0\0"));
	pdf_feed(&p, (struct str) { far, sizeof far });
	pdf_feed(&p, STR("\nendstream\nendobj\n%%EOF"));
	assert_string_equal(pdf_fault(&p), "must be a PDF and no ZIP in it");
	p = (struct pdf) { .n = 0 };
	pdf_feed(&p, STR(HEAD "PK\5\6"));
	pdf_feed(&p, (struct str) { far, 65600 });
	pdf_feed(&p, STR(TAIL));
	assert_string_equal(pdf_fault(&p), "must be a PDF and no ZIP in it");
}

TEST(no_zip_ends_where_one_would_be_looked_for)
{
	static char far[140000];
	struct pdf p = { .n = 0 };

	REFUSED(HEAD "PK\5\6 and a comment that is the rest" TAIL, "must be a PDF and no ZIP in it");
	memset(far, 'x', sizeof far);
	memcpy(far, HEAD "PK\5\6", sizeof HEAD "PK\5\6" - 1);
	memcpy(far + sizeof far - 5, "%%EOF", 5);
	pdf_feed(&p, (struct str) { far, sizeof far });
	assert_null(pdf_fault(&p));
}

TEST(scripts_programs_and_files_within_are_refused)
{
	REFUSED(HEAD "<</S/JavaScript/JS(app.alert(1))>>" TAIL, "must be a PDF without scripts");
	REFUSED(HEAD "/JavaScript" TAIL, "must be a PDF without scripts");
	REFUSED(HEAD "<< /S /Rendition /JS (x) >>" TAIL, "must be a PDF without scripts");
	REFUSED(HEAD "<< /JS 5 0 R >>" TAIL, "must be a PDF without scripts");
	REFUSED(HEAD "<< /JS\r\n<6170> >>" TAIL, "must be a PDF without scripts");
	REFUSED(HEAD "<< /JS%\n(x) >>" TAIL, "must be a PDF without scripts");
	REFUSED(HEAD "<</S/Launch/F(cmd.exe)>>" TAIL, "must be a PDF that starts no program");
	REFUSED(HEAD "<</Type/EmbeddedFile>>" TAIL, "must be a PDF without files in it");
	REFUSED(HEAD "<</Names<</EmbeddedFiles 3 0 R>>>>" TAIL, "must be a PDF without files in it");
	REFUSED(HEAD "//Launch" TAIL, "must be a PDF that starts no program");
}

TEST(a_name_that_is_written_with_escapes_is_the_same_name)
{
	REFUSED(HEAD "/J#61vaScript" TAIL, "must be a PDF without scripts");
	REFUSED(HEAD "/#4A#61#76#61#53#63#72#69#70#74" TAIL, "must be a PDF without scripts");
	REFUSED(HEAD "/#4a#53(x)" TAIL, "must be a PDF without scripts");
	REFUSED(HEAD "/Launc#68]" TAIL, "must be a PDF that starts no program");
	TAKEN(HEAD "/J#6vaScript /J##61vaScript /J#61#vaScript /JavaScript#" TAIL);
	TAKEN(HEAD "/JavaScript2 /JavaScriptJavaScript" TAIL);
}

TEST(js_without_a_value_is_a_chance_of_compressed_bytes)
{
	TAKEN(HEAD "/JS/F /JS] /JS \200 /JSx" TAIL);
}
