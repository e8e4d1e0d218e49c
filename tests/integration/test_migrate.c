/*
 * test_migrate.c - `healthmed migrate` and `healthmed seed` as somebody at a shell sees them: what
 * they print, their exit codes, what is in the database then; and that the roles which the
 * migrations make can prepare all that their domains ask.
 */
#include "actors/core/commands.h"
#include "broker/base/config.h"
#include "broker/base/exits.h"
#include "tests/integration/servers.h"

static char printed[8192];

typedef int command_fn(int argc, char **argv);

/* In a process of its own, as the program does; answers its exit code, its text in `printed`. */
static pid_t begin(command_fn *run, const char *url, int *text, const char *const *argv)
{
	int ends[2], argc = 0;

	assert_int_equal(pipe(ends), 0);
	(void) fflush(NULL);
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void) dup2(ends[1], 1);
		(void) dup2(ends[1], 2);
		(void) close(ends[0]);
		(void) close(ends[1]);
		(void) setenv("HEALTHMED_DATABASE_URL", url, 1);
		while (argv[argc] != NULL)
			argc++;
		const char *wrong = config_load(C_ADMIN);
		const int code = wrong != NULL ? EXIT_CONFIG : run(argc, (char **) (uintptr_t) argv);

		(void) fflush(NULL);
		_exit(code);
	}
	(void) close(ends[1]);
	*text = ends[0];
	return pid;
}

static int end(pid_t pid, int text)
{
	size_t n = 0;
	ssize_t got;
	int status;

	while ((got = read(text, printed + n, sizeof printed - 1 - n)) > 0)
		n += (size_t) got;
	printed[n] = '\0';
	(void) close(text);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int run_it(command_fn *run, const char *url, const char *const *argv)
{
	int text;
	const pid_t pid = begin(run, url, &text, argv);

	return end(pid, text);
}

#define MIGRATE(url, ...) run_it(migrate_main, url, (const char *const[]) { "migrate", ##__VA_ARGS__, NULL })
#define SEED(url, ...)    run_it(seed_main, url, (const char *const[]) { "seed", ##__VA_ARGS__, NULL })

/* An empty database of the server, and from here on the one that sql() asks. */
static const char *fresh_database(void)
{
	static int made;
	char text[64];

	need_postgres();
	(void) snprintf(text, sizeof text, "CREATE DATABASE fresh%d", ++made);
	(void) sql(text);
	(void) snprintf(postgres_url, sizeof postgres_url, "host=%s port=5432 dbname=fresh%d user=postgres", folder,
			made);
	return postgres_url;
}

static int lines(const char *of)
{
	int n = 0;

	for (; (of = strchr(of, '\n')) != NULL; of++)
		n++;
	return n;
}

TEST(migrate_applies_each_once_and_then_says_so)
{
	const char *url = fresh_database();

	assert_int_equal(MIGRATE(url, "--status"), 1);
	assert_non_null(strstr(printed, "0001 users                pending\n"));
	assert_string_equal(sql("SELECT to_regclass('public.migration') IS NULL"), "t");
	assert_int_equal(MIGRATE(url), 0);
	assert_int_equal(lines(printed), migration_count);
	assert_ptr_equal(strstr(printed, "0001 users\n0002 "), printed);
	assert_int_equal(MIGRATE(url), 0);
	assert_string_equal(printed, "already up to date\n");
	assert_int_equal(MIGRATE(url, "--status"), 0);
	assert_null(strstr(printed, "pending"));
	assert_int_equal(atoi(sql("SELECT count(*) FROM public.migration WHERE applied_at <= now()"
				  " AND length(checksum) = 64")), migration_count);
}

TEST(of_several_at_once_one_migrates_and_all_are_content)
{
	enum { N = 5 };
	const char *url = fresh_database();
	int text[N], applied = 0, content = 0;
	pid_t pid[N];

	for (int i = 0; i < N; i++)
		pid[i] = begin(migrate_main, url, &text[i], (const char *const[]) { "migrate", NULL });
	for (int i = 0; i < N; i++) {
		assert_int_equal(end(pid[i], text[i]), 0);
		applied += strstr(printed, "0001 users\n") != NULL;
		content += strcmp(printed, "already up to date\n") == 0;
	}
	assert_int_equal(applied, 1);
	assert_int_equal(content, N - 1);
}

TEST(a_migration_whose_text_has_changed_or_that_lacks_one_before_it_is_refused)
{
	const char *url = fresh_database();

	assert_int_equal(MIGRATE(url), 0);
	(void) sql("UPDATE public.migration SET checksum = 'other' WHERE number = 2");
	assert_int_equal(MIGRATE(url), 1);
	assert_non_null(strstr(printed, "0002 agenda was applied with another text"));
	assert_int_equal(lines(printed), 1);
	(void) sql("DELETE FROM public.migration WHERE number = 2");
	assert_int_equal(MIGRATE(url), 1);
	assert_non_null(strstr(printed, "0003 rights was applied before one that is missing"));
}

TEST(a_migration_that_fails_leaves_nothing_of_itself)
{
	const char *url = fresh_database();

	(void) sql("CREATE SCHEMA agenda; CREATE TABLE agenda.cursor (x int)");
	assert_int_equal(MIGRATE(url), 1);
	assert_non_null(strstr(printed, "0001 users\n"));
	assert_non_null(strstr(printed, "0002 agenda is not applied"));
	assert_string_equal(sql("SELECT count(*) FROM public.migration"), "1");
	assert_string_equal(sql("SELECT to_regclass('agenda.slot') IS NULL"), "t");
	(void) sql("DROP SCHEMA agenda CASCADE");
	assert_int_equal(MIGRATE(url), 0);
	assert_null(strstr(printed, "0001"));
}

TEST(what_a_newer_release_has_applied_is_not_our_business)
{
	const char *url = fresh_database();

	assert_int_equal(MIGRATE(url), 0);
	(void) sql("INSERT INTO public.migration VALUES (999, 'later', 'x')");
	assert_int_equal(MIGRATE(url), 0);
	assert_string_equal(printed, "already up to date\n");
}

TEST(migrate_and_seed_say_in_one_line_that_the_server_is_away)
{
	static command_fn *const both[] = { migrate_main, seed_main };
	static const char away[] = "host=/nonexistent dbname=x";

	for (size_t i = 0; i < COUNT(both); i++) {
		assert_int_equal(run_it(both[i], away,
					(const char *const[]) { "it", NULL }), EXIT_AWAY);
		assert_int_equal(lines(printed), 1);
		assert_non_null(strstr(printed, "/nonexistent"));
		assert_int_equal(run_it(both[i], "", (const char *const[]) { "it", NULL }), EXIT_CONFIG);
		assert_int_equal(run_it(both[i], away, (const char *const[]) { "it", "--wrong", "x", NULL }),
				 EXIT_USAGE);
		assert_int_equal(run_it(both[i], away, (const char *const[]) { "it", "--help", NULL }), 0);
		assert_non_null(strstr(printed, "Usage: healthmed "));
	}
}

TEST(every_domain_can_prepare_what_it_asks)
{
	static const char *const domain[] = { "users", "schedules", "appointments", "booking" };
	const char *url = fresh_database();
	char why[256] = "";
	struct db *db;

	assert_int_equal(MIGRATE(url), 0);
	for (size_t i = 0; i < COUNT(domain); i++) {
		if (db_open(url, domain[i], &db, why).code != ERR_none)
			fail_msg("%s: %s", domain[i], why);
		db_close(db);
	}
}

/* ---- seed ---- */

static bool is_cpf(const char *s)
{
	for (int n = 9; n <= 10; n++) {
		int sum = 0;

		for (int i = 0; i < n; i++)
			sum += (s[i] - '0') * (n + 1 - i);
		if (sum * 10 % 11 % 10 != s[n] - '0')
			return false;
	}
	return strlen(s) == 11 && strspn(s, (char[]) { s[0], '\0' }) < 11;
}

TEST(seed_numbers_without_gaps_and_doctor_by_doctor)
{
	const char *url = fresh_database();

	assert_int_equal(MIGRATE(url), 0);
	assert_int_equal(SEED(url, "--doctors", "3", "--patients", "5", "--slots", "4", "--minutes", "45",
			      "--starts", "2031-05-06 08:00"), 0);
	assert_string_equal(printed, "{\"first_doctor\":1,\"doctors\":3,\"first_patient\":4,\"patients\":5,"
			    "\"first_slot\":1,\"slots\":12}\n");
	assert_string_equal(sql("SELECT string_agg(id || role || email, ' ' ORDER BY id) FROM users.account"
				" WHERE id IN (1, 3, 4, 8)"),
			    "1doctordoctor1@example.org 3doctordoctor3@example.org "
			    "4patientpatient4@example.org 8patientpatient8@example.org");
	assert_string_equal(sql("SELECT count(*), min(id), max(id) FROM agenda.slot"), "12|1|12");
	assert_string_equal(sql("SELECT count(*) FROM agenda.slot WHERE doctor_id <> 1 + (id - 1) / 4"), "0");
	assert_string_equal(sql("SELECT starts AT TIME ZONE 'America/Sao_Paulo', ends - starts FROM agenda.slot"
				" WHERE id = 7"), "2031-05-06 09:30:00|00:45:00");
	assert_string_equal(sql("SELECT count(*) FROM users.doctor JOIN users.address USING (user_id)"
				" WHERE price BETWEEN 100 AND 999 AND length(zip) = 9 AND length(state) = 2"), "3");
	assert_string_equal(sql("SELECT bool_and(password_hash = '!') FROM users.account"), "t");

	/* Again: after those; whoever registers now comes after them all. */
	assert_int_equal(SEED(url, "--patients", "2", "--password", "a password"), 0);
	assert_non_null(strstr(printed, "\"first_patient\":9,\"patients\":2,\"first_slot\":13,\"slots\":0"));
	assert_string_equal(sql("SELECT count(DISTINCT password_hash) FROM users.account"
				" WHERE password_hash LIKE '\\$argon2id\\$%'"), "1");
	assert_string_equal(sql("INSERT INTO users.account (full_name, email, password_hash, document_id, phone, role)"
				" VALUES ('x', 'x', 'x', 'x', 'x', 'patient') RETURNING id"), "11");
}

TEST(seeded_documents_are_cpf_that_pass_every_check)
{
	const char *url = fresh_database();

	assert_int_equal(MIGRATE(url), 0);
	assert_int_equal(SEED(url, "--doctors", "100", "--patients", "200"), 0);
	assert_string_equal(sql("SELECT count(DISTINCT document_id) FROM users.account"), "300");
	assert_string_equal(sql("SELECT count(*) FROM users.account WHERE char_length(full_name) < 5"
				" OR char_length(phone) < 5"), "0");

	char *list = strdup(sql("SELECT string_agg(document_id, ' ') FROM users.account"));
	int n = 0;

	for (char *s = strtok(list, " "); s != NULL; s = strtok(NULL, " "), n++)
		if (!is_cpf(s))
			fail_msg("%s is no CPF", s);
	assert_int_equal(n, 300);
	free(list);
}

TEST(seed_refuses_what_cannot_be)
{
	const char *url = fresh_database();

	assert_int_equal(MIGRATE(url), 0);
	assert_int_equal(SEED(url, "--doctors", "-1"), EXIT_USAGE);
	assert_int_equal(SEED(url, "--doctors", "many"), EXIT_USAGE);
	assert_int_equal(SEED(url, "--doctors"), EXIT_USAGE);
	assert_int_equal(SEED(url, "--starts", "2027-02-30 08:00"), EXIT_USAGE);
	assert_int_equal(SEED(url, "--password", "short"), EXIT_USAGE);
	assert_int_equal(SEED(url, "--doctors", "1", "--slots", "10000000", "--minutes", "1440"), EXIT_USAGE);
	assert_string_equal(sql("SELECT count(*) FROM users.account"), "0");
}
