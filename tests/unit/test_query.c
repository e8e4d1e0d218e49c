/*
 * test_query.c - the table of queries fits its messages as far as that is seen without a server;
 * db_open sees the rest.  And what embed.awk and migrations.awk refuse.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "actors/core/migration.h"
#include "query.h"
#include "tests/unit/test.h"

static bool leads_to_a_value(const struct msg *m, const char *path)
{
	for (;;) {
		const size_t n = strcspn(path, ".");
		const struct field *f = m->fields, *end = f + m->nfields;

		while (f < end && (strncmp(f->name, path, n) != 0 || f->name[n] != '\0'))
			f++;
		if (f == end)
			return false;
		if (path[n] == '\0')
			return f->kind != K_OBJECT && f->kind != K_LIST;
		if (f->kind != K_OBJECT && f->kind != K_LIST)
			return false;
		m = f->of.msg;
		path += n + 1;
	}
}

TEST(every_query_has_the_name_of_its_domain_and_every_parameter_is_a_field)
{
	for (int q = 0; q < Q_COUNT; q++) {
		const struct query_text *t = &query_text[q];
		const size_t n = strlen(t->domain);

		if (strncmp(t->name, t->domain, n) != 0 || t->name[n] != '_')
			fail_msg("%s is not named after %s", t->name, t->domain);
		for (size_t i = 0; t->params[i] != NULL; i++)
			if (t->in == NULL || !leads_to_a_value(t->in, t->params[i]))
				fail_msg("%s: %s is no field", t->name, t->params[i]);
	}
}

TEST(the_migrations_count_from_one)
{
	assert_true(migration_count > 0);
	for (size_t i = 0; i < migration_count; i++) {
		assert_int_equal(migration[i].number, i + 1);
		assert_true(strlen(migration[i].name) > 0 && strlen(migration[i].text) > 0);
	}
}

/* Runs a maker on one file; the text it prints, its complaints too, and its status. */
static const char *made(const char *how, const char *file, const char *text, int *status)
{
	static char out[8192];
	char folder[] = "/tmp/healthmed-query-XXXXXX", command[512], path[128];

	assert_non_null(mkdtemp(folder));
	(void) snprintf(path, sizeof path, "%s/%s", folder, file);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	(void) snprintf(command, sizeof command, "awk %s %s 2>&1", how, path);
	f = popen(command, "r");
	assert_non_null(f);
	out[fread(out, 1, sizeof out - 1, f)] = '\0';
	*status = WEXITSTATUS(pclose(f));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
	return out;
}

TEST(embed_puts_a_query_into_the_table)
{
	int status;
	const char *out = made("-v part=c -f sql/embed.awk", "pets.sql",
		"-- Of pets.\n"
		"-- name: pets_get\n"
		"-- one pet\n"
		"-- in: pets_req\n"
		"-- out: pets_pet\n"
		"SELECT \"box.note\"::text FROM pet\n"
		" WHERE id = :id AND age > :box.age AND :id::int8 > 0;\n"
		"-- name: pets_all\n"
		"-- in: -\n"
		"-- out: pets_pet\n"
		"SELECT 1;\n", &status);

	assert_int_equal(status, 0);
	assert_non_null(strstr(out, "{ \"pets_get\", \"pets\","));
	assert_non_null(strstr(out, "id = $1 AND age > $2 AND $1::int8 > 0\""));
	assert_non_null(strstr(out, "SELECT \\\"box.note\\\"::text"));
	assert_non_null(strstr(out, "{ \"id\", \"box.age\", NULL }, &pets_req_msg, &pets_pet_msg }"));
	assert_non_null(strstr(out, "{ NULL }, NULL, &pets_pet_msg }"));
	assert_ptr_equal(strstr(strstr(out, "extern const struct msg pets_pet_msg;") + 1,
				"extern const struct msg pets_pet_msg;"), NULL);
}

TEST(embed_refuses_what_is_wrong_and_says_where)
{
	static const struct { const char *text, *complaint; } wrong[] = {
		{ "SELECT 1;\n",                                             "p.sql:1: a query without a name" },
		{ "-- name: p_a\n-- out: -\nSELECT 1;\n",                    "p.sql:1: p_a does not say `-- in:`" },
		{ "-- name: p_a\n-- in: -\nSELECT 1;\n",                     "p.sql:1: p_a does not say `-- out:`" },
		{ "-- name: p_a\n-- in: -\n-- out: -\n",                     "p.sql:1: p_a is empty" },
		{ "-- name: p_a\n-- in: -\n-- out: -\nSELECT :x;\n",         "p.sql:4: p_a has a parameter x and no message" },
		{ "-- name: P\n",                                            "p.sql:1: this is no name of a query: P" },
		{ "-- name: p_a\n-- in: X y\n",                              "p.sql:2: this is no name of a message: X" },
		{ "-- in: x\n",                                              "p.sql:1: `in:` without a query" },
		{ "-- name: p_a\n-- in: x\n-- in: x\n",                      "p.sql:3: p_a says `in:` twice" },
		{ "-- name: p_a\n-- in: -\nSELECT 1\n-- out: -\n",           "p.sql:4: `out:` belongs above" },
		{ "-- name: p_a\n-- in: -\n-- out: -\nSELECT 1;\n-- name: p_a\n", "p.sql:5: p_a is there twice" },
	};
	int status;

	for (size_t i = 0; i < COUNT(wrong); i++) {
		const char *out = made("-v part=h -f sql/embed.awk", "p.sql", wrong[i].text, &status);

		if (strstr(out, wrong[i].complaint) == NULL)
			fail_msg("`%s` instead of `%s`", out, wrong[i].complaint);
		assert_int_equal(status, 1);
	}
}

TEST(migrations_are_taken_to_the_letter_and_by_their_number)
{
	int status;
	const char *out = made("-f sql/migrations.awk", "0001_first.sql", "-- a \\ and a \"b\"\nSELECT '?" "?=';\n",
			       &status);

	assert_int_equal(status, 0);
	assert_non_null(strstr(out, "{ 1, \"first\","));
	assert_non_null(strstr(out, "\"-- a \\\\ and a \\\"b\\\"\\n\""));
	assert_non_null(strstr(out, "\\?\\?="));
	(void) made("-f sql/migrations.awk", "0002_second.sql", "SELECT 1;\n", &status);
	assert_int_equal(status, 1);
	(void) made("-f sql/migrations.awk", "first.sql", "SELECT 1;\n", &status);
	assert_int_equal(status, 1);
}
