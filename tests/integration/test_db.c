/*
 * test_db.c - db.c against a real server: every type there and back, NULLs, arrays, errors by
 * name, transactions, pipelines, lost and silent servers.
 *
 * The queries are this test's own, so db.c is compiled in with a table of them; many are wrong,
 * and must fail the start.
 */
#define QUERY_H
#include <stddef.h>
#define QUERIES(Q)                                                                              \
	Q(echo,    "test", "SELECT $1::int8 AS big, $2::int4 AS mid, $3::int2 AS small, $4::bool AS ok," \
	  " $5::numeric AS price, $6::timestamptz AS at, $7::date AS day, $8::text AS name,"    \
	  " $9::bytea AS raw, $10::uuid AS tag, $11::color AS color, $12::varchar AS word,"     \
	  " $13::text AS \"box.note\", $14::numeric(12,2) AS \"box.price\"", &test_all_msg, &test_all_msg, \
	  "big", "mid", "small", "ok", "price", "at", "day", "name", "raw", "tag", "color", "word", \
	  "box.note", "box.price")                                                              \
	Q(unnest,  "test", "SELECT * FROM unnest($1::int8[], $2::timestamptz[], $3::text[], $4::uuid[]," \
	  " $5::numeric[], $6::color[], $7::bool[], $8::date[]) AS"                             \
	  " t(id, at, name, tag, price, color, ok, day)", &test_all_msg, &test_item_msg,        \
	  "items.id", "items.at", "items.name", "items.tag", "items.price", "items.color", "items.ok", \
	  "items.day")                                                                          \
	Q(insert,  "test", "INSERT INTO thing (id, name) VALUES ($1, $2)", &test_item_msg, NULL, "id", "name") \
	Q(count,   "test", "SELECT count(*) AS id FROM thing", NULL, &test_item_msg, NULL)      \
	Q(all,     "test", "SELECT id, name FROM thing ORDER BY id", NULL, &test_item_msg, NULL) \
	Q(get,     "test", "SELECT id, name FROM thing WHERE id = $1", &test_item_msg, &test_item_msg, "id") \
	Q(email,   "test", "INSERT INTO account (email) VALUES ($1)", &test_item_msg, NULL, "name") \
	Q(divide,  "test", "SELECT 1 / $1::int8 AS id", &test_item_msg, &test_item_msg, "id")   \
	Q(forbidden, "test", "SELECT rolname::text AS name FROM pg_authid LIMIT 1", NULL, &test_item_msg, NULL) \
	Q(sleep,   "test", "SELECT pg_sleep($1::int8)", &test_item_msg, NULL, "id")             \
	Q(backend, "test", "SELECT pg_backend_pid()::int8 AS id", NULL, &test_item_msg, NULL)   \
	Q(timeout, "test", "SELECT current_setting('statement_timeout') AS name", NULL, &test_item_msg, NULL) \
	Q(cancel,  "test", "SELECT pg_cancel_backend($1::int4) AS ok FROM pg_sleep(0.7)", &test_item_msg, NULL, "id") \
	Q(reloaded, "test", "SELECT current_setting('synchronous_standby_names') AS name", NULL, &test_item_msg, NULL) \
	Q(warn,    "test", "SELECT warn() AS name", NULL, &test_item_msg, NULL)                 \
	Q(serial,  "test", "SELECT serial_failure() AS name", NULL, &test_item_msg, NULL)       \
	Q(cents,   "test", "SELECT unnest(ARRAY[0, 1, 0.01, -0.05, 10000, 99999999.99, -10000.10, 0.5," \
	  " 92233720368547758.07, -92233720368547758.08, 1e8, 10000.000]::numeric[]) AS price", NULL, &test_item_msg, NULL) \
	Q(mill,    "test", "SELECT 0.001::numeric AS price", NULL, &test_item_msg, NULL)        \
	Q(nan,     "test", "SELECT 'NaN'::numeric AS price", NULL, &test_item_msg, NULL)        \
	Q(vast,    "test", "SELECT 1e20::numeric AS price", NULL, &test_item_msg, NULL)         \
	Q(odd_word, "test", "SELECT 'mauve'::text AS word", NULL, &test_all_msg, NULL)          \
	Q(w_kind,   "w_kind",   "SELECT $1::text AS name", &test_item_msg, &test_item_msg, "id") \
	Q(w_column, "w_column", "SELECT 1::int8 AS name", NULL, &test_item_msg, NULL)           \
	Q(w_name,   "w_name",   "SELECT 1::int8 AS idd", NULL, &test_item_msg, NULL)            \
	Q(w_param,  "w_param",  "SELECT $1::int8 AS id", &test_item_msg, &test_item_msg, "idd") \
	Q(w_twice,  "w_twice",  "SELECT 1::int8 AS id, 2::int8 AS id", NULL, &test_item_msg, NULL) \
	Q(w_array,  "w_array",  "SELECT $1::int8 AS id", &test_all_msg, &test_item_msg, "items.id") \
	Q(w_scalar, "w_scalar", "SELECT $1::int8[] AS id", &test_item_msg, &test_item_msg, "id") \
	Q(w_many,   "w_many",   "SELECT 1::int8 AS id", &test_item_msg, &test_item_msg, "id")   \
	Q(w_table,  "w_table",  "SELECT 1::int8 AS id FROM nowhere", NULL, &test_item_msg, NULL) \
	Q(w_object, "w_object", "SELECT $1::text AS name", &test_all_msg, &test_item_msg, "box") \
	Q(core_begin_write, "core", "BEGIN", NULL, NULL, NULL)                                  \
	Q(core_begin_read,  "core", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", NULL, NULL, NULL) \
	Q(core_commit,      "core", "COMMIT", NULL, NULL, NULL)                                 \
	Q(core_rollback,    "core", "ROLLBACK", NULL, NULL, NULL)                               \
	Q(core_ping,        "core", "SELECT 1", NULL, NULL, NULL)                               \
	Q(core_timeout,     "core", "SELECT set_config('statement_timeout', $1::int8::text, false)", \
	  &core_timeout_msg, NULL, "ms")                                                        \
	Q(core_type,        "core", "SELECT format_type(oid, NULL) AS name, typtype = 'e' AS is_enum," \
	  " typelem::int8 AS element FROM pg_type WHERE oid = $1::int8::oid",                   \
	  &core_type_req_msg, &core_type_msg, "oid")
enum query {
#define Q(n, domain, text, in, out, ...) Q_##n,
	QUERIES(Q)
#undef Q
	Q_COUNT
};
struct msg;
struct query_text {
	const char *name, *domain, *text, *const *params;
	const struct msg *in, *out;
};
static const struct query_text query_text[Q_COUNT];
#include "actors/core/db.c"
#include "tests/unit/test.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum color { RED, GREEN };
static const char *const color_names[] = { "red", "green", NULL };

#define TEST_ITEM(F, T)                              \
	F(T, BODY, INT,   id,    REQ, 0, 0, -)       \
	F(T, BODY, TIME,  at,    OPT, 0, 0, -)       \
	F(T, BODY, TEXT,  name,  OPT, 0, 0, -)       \
	F(T, BODY, BYTES, tag,   OPT, 0, 0, -)       \
	F(T, BODY, MONEY, price, OPT, 0, 0, -)       \
	F(T, BODY, ENUM,  color, OPT, 0, 0, color)   \
	F(T, BODY, BOOL,  ok,    OPT, 0, 0, -)       \
	F(T, BODY, DATE,  day,   OPT, 0, 0, -)
#define TEST_BOX(F, T)                               \
	F(T, BODY, TEXT,  note,  OPT, 0, 0, -)       \
	F(T, BODY, MONEY, price, OPT, 0, 0, -)
#define TEST_ALL(F, T)                               \
	F(T, BODY, INT,   big,   REQ, 0, 0, -)       \
	F(T, BODY, INT,   mid,   REQ, 0, 0, -)       \
	F(T, BODY, INT,   small, REQ, 0, 0, -)       \
	F(T, BODY, BOOL,  ok,    REQ, 0, 0, -)       \
	F(T, BODY, MONEY, price, REQ, 0, 0, -)       \
	F(T, BODY, TIME,  at,    REQ, 0, 0, -)       \
	F(T, BODY, DATE,  day,   REQ, 0, 0, -)       \
	F(T, BODY, TEXT,  name,  REQ, 0, 0, -)       \
	F(T, BODY, BYTES, raw,   REQ, 0, 0, -)       \
	F(T, BODY, BYTES, tag,   REQ, 0, 0, -)       \
	F(T, BODY, ENUM,  color, REQ, 0, 0, color)   \
	F(T, BODY, ENUM,  word,  REQ, 0, 0, color)   \
	F(T, BODY, OBJECT, box,  OPT, 0, 0, test_box) \
	F(T, BODY, LIST,  items, OPT, 0, 0, test_item)
MSG_DECLARE(test_item, TEST_ITEM)
MSG_DECLARE(test_box,  TEST_BOX)
MSG_DECLARE(test_all,  TEST_ALL)
MSG_DEFINE(test_item,  TEST_ITEM)
MSG_DEFINE(test_box,   TEST_BOX)
MSG_DEFINE(test_all,   TEST_ALL)

static const struct query_text query_text[Q_COUNT] = {
#define Q(n, domain, text, in, out, ...) \
	[Q_##n] = { #n, domain, text, (const char *const[]) { __VA_ARGS__, NULL }, in, out },
	QUERIES(Q)
#undef Q
};

static const char schema[] =
	"CREATE ROLE healthmed_test LOGIN;"
	"CREATE ROLE healthmed_w_kind LOGIN; CREATE ROLE healthmed_w_column LOGIN; CREATE ROLE healthmed_w_name LOGIN;"
	"CREATE ROLE healthmed_w_param LOGIN; CREATE ROLE healthmed_w_twice LOGIN;"
	"CREATE ROLE healthmed_w_array LOGIN; CREATE ROLE healthmed_w_scalar LOGIN;"
	"CREATE ROLE healthmed_w_many LOGIN; CREATE ROLE healthmed_w_table LOGIN;"
	"CREATE ROLE healthmed_w_object LOGIN;"
	"CREATE TYPE color AS ENUM ('red', 'green');"
	"CREATE TABLE thing (id int4 PRIMARY KEY, name text);"
	"CREATE TABLE account (email text CONSTRAINT account_email UNIQUE,"
	" CONSTRAINT short CHECK (length(email) < 10));"
	"CREATE FUNCTION warn() RETURNS text LANGUAGE plpgsql AS $$ BEGIN"
	" RAISE WARNING 'canceling wait for synchronous replication due to user request'; RETURN 'x';"
	" END $$;"
	"CREATE FUNCTION serial_failure() RETURNS text LANGUAGE plpgsql AS $$ BEGIN"
	" RAISE EXCEPTION 'no' USING ERRCODE = '40001'; END $$;"
	"GRANT ALL ON thing, account TO healthmed_test";

/* ---- the server: in a folder of its own, reached by its socket alone, gone with this process ---- */

static char  folder[] = "/tmp/healthmed-db-XXXXXX";
static char  url[128];
static pid_t server;

static const char *bin(const char *program)
{
	static char path[128];
	static const char *const dirs[] = { "/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/16/bin",
		"/usr/lib/postgresql/17/bin", "/usr/bin", "/usr/local/bin" };

	for (size_t i = 0; i < COUNT(dirs); i++) {
		(void) snprintf(path, sizeof path, "%s/%s", dirs[i], program);
		if (access(path, X_OK) == 0)
			break;
	}
	return path;
}

/* As the user postgres when we are root: the server refuses anything else. */
static pid_t start(const char *program, const char *const *argv)
{
	const struct passwd *pw = getpwnam("postgres");
	const pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	if (getuid() == 0 && (pw == NULL || setgid(pw->pw_gid) || setuid(pw->pw_uid)))
		_exit(125);
	if (prctl(PR_SET_PDEATHSIG, SIGINT) != 0 || getppid() != parent || chdir("/") != 0)
		_exit(125);

	const int null = open("/dev/null", O_RDWR);
	const char *args[32] = { bin(program) };	/* in full: initdb looks there for its kin */

	for (size_t i = 1; i < sizeof args / sizeof args[0] - 1 && argv[i] != NULL; i++)
		args[i] = argv[i];
	(void) dup2(null, 0);
	(void) dup2(null, 1);
	(void) dup2(null, 2);
	(void) execv(args[0], (char *const *) (uintptr_t) args);
	_exit(127);
}

static void stop_server(void)
{
	char command[128];

	if (server > 0) {
		(void) kill(server, SIGINT);
		(void) waitpid(server, NULL, 0);
	}
	(void) snprintf(command, sizeof command, "rm -rf %s", folder);
	if (system(command) != 0)
		print_error("%s is left\n", folder);
}

static void pause_ms(int ms)
{
	(void) poll(NULL, 0, ms);
}

static void session_ctx(struct ctx *c, struct db *db)
{
	static unsigned char storage[8 << 20];
	static struct arena arena;

	arena_init(&arena, storage, sizeof storage);
	*c = (struct ctx) { .mem = &arena, .db = db };
}

static struct db *connect_as(const char *domain)
{
	struct db *db = NULL;
	char why[256] = "";

	if (db_open(url, domain, &db, why).code != ERR_none)
		print_error("%s\n", why);
	assert_non_null(db);
	return db;
}

/* Starts it at the first use. */
static void need_server(void)
{
	struct db *db = NULL;
	char data[64], why[256];
	struct ctx c;
	int status;

	if (server > 0)
		return;
	assert_non_null(mkdtemp(folder));
	if (getuid() == 0)
		assert_int_equal(chown(folder, getpwnam("postgres")->pw_uid, getpwnam("postgres")->pw_gid), 0);
	(void) snprintf(data, sizeof data, "%s/data", folder);
	(void) snprintf(url, sizeof url, "host=%s dbname=postgres user=postgres", folder);
	const pid_t init = start("initdb", (const char *const[]) { "initdb", "-D", data, "-U", "postgres",
		"-A", "trust", "-E", "UTF8", "--no-sync", NULL });

	assert_int_equal(waitpid(init, &status, 0), init);
	assert_int_equal(status, 0);
	server = start("postgres", (const char *const[]) { "postgres", "-D", data, "-k", folder,
		"-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=20", NULL });
	assert_true(server > 0);
	assert_int_equal(atexit(stop_server), 0);
	for (int i = 0; i < 300 && db_open(url, NULL, &db, why).code != ERR_none; i++)
		pause_ms(100);
	assert_non_null(db);
	session_ctx(&c, db);
	assert_err(db_script(&c, schema), none);
	db_close(db);
}

static void hang_up(struct ctx *c)
{
	db_close(c->db);
}

/* A test's own session, with empty tables. */
#define SESSION(c)                                     \
	CLEANUP(hang_up) struct ctx c;                 \
	need_server();                                 \
	session_ctx(&c, connect_as("test"));           \
	empty_tables()

static void empty_tables(void)
{
	CLEANUP(hang_up) struct ctx c;

	session_ctx(&c, connect_as(NULL));
	assert_err(db_script(&c, "TRUNCATE thing, account"), none);
}

static int64_t count(struct ctx *c)
{
	struct test_item n;

	if (db_one(c, Q_count, NULL, &n).code != ERR_none)
		fail_msg("%s", c->detail);
	return n.id;
}

static err_t insert(struct ctx *c, int64_t id)
{
	struct test_item in = { 0 };

	SET(&in, id, id);
	return db_exec(c, Q_insert, &in);
}

/* ---- values ---- */

TEST(every_type_comes_back_as_it_went)
{
	SESSION(c);
	static const char tag[16] = "\0\1\2\3\4\5\6\7\10\11\12\13\14\15\16";
	struct test_all in = { 0 }, out;

	SET(&in, big, INT64_MIN);
	SET(&in, mid, -2147483648);
	SET(&in, small, 32767);
	SET(&in, ok, true);
	SET(&in, price, 123456789012);
	SET(&in, at, INT64_C(1798761600123456));
	SET(&in, day, 20819);
	SET(&in, name, STR("José ' \" \\ {}"));
	SET(&in, raw, ((struct str) { "\0\xff\0", 3 }));
	SET(&in, tag, ((struct str) { tag, 16 }));
	SET(&in, color, GREEN);
	SET(&in, word, RED);
	in.has.box = 1;
	SET(&in.box, note, STR(""));
	SET(&in.box, price, -7);
	assert_err(db_one(&c, Q_echo, &in, &out), none);
	assert_int_equal(out.set.has, in.set.has);
	assert_int_equal(out.set.null, 0);
	assert_int_equal(out.big, in.big);
	assert_int_equal(out.mid, in.mid);
	assert_int_equal(out.small, in.small);
	assert_int_equal(out.price, in.price);
	assert_int_equal(out.at, in.at);
	assert_int_equal(out.day, in.day);
	assert_true(out.ok);
	assert_true(str_eq(out.name, in.name));
	assert_true(str_eq(out.raw, in.raw));
	assert_true(str_eq(out.tag, in.tag));
	assert_int_equal(out.color, GREEN);
	assert_int_equal(out.word, RED);
	assert_int_equal(out.box.set.has, 3);
	assert_int_equal(out.box.note.n, 0);
	assert_int_equal(out.box.price, -7);
}

TEST(absent_and_null_are_null_there_and_an_object_of_nulls_is_null)
{
	SESSION(c);
	struct test_all in = { 0 }, out;

	in.null.name = 1;
	in.null.box = 1;
	SET(&in, big, 1);
	assert_err(db_one(&c, Q_echo, &in, &out), none);
	assert_true(out.has.big && !out.null.big);
	assert_true(!out.has.name && out.null.name && out.null.mid && out.null.color);
	assert_true(!out.has.box && out.null.box);
	assert_int_equal(out.box.set.null, 0);

	in.null.box = 0;
	in.has.box = 1;
	SET(&in.box, note, STR("n"));
	assert_err(db_one(&c, Q_echo, &in, &out), none);
	assert_true(out.has.box && !out.null.box && out.box.has.note && out.box.null.price);
}

TEST(money_is_exact_both_ways_and_never_rounded)
{
	SESSION(c);
	static const int64_t expected[] = { 0, 100, 1, -5, 1000000, 9999999999, -1000010, 50, INT64_MAX,
		INT64_MIN, 10000000000, 1000000 };
	struct test_item *rows, one;
	struct test_all in = { 0 }, out;
	size_t n;

	assert_err(db_list(&c, Q_cents, NULL, &rows, &n), none);
	assert_int_equal(n, COUNT(expected));
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(rows[i].price, expected[i]);
		SET(&in, price, expected[i]);
		assert_err(db_one(&c, Q_echo, &in, &out), none);
		assert_int_equal(out.price, expected[i]);
	}
	assert_err(db_one(&c, Q_mill, NULL, &one), internal);
	assert_err(db_one(&c, Q_nan, NULL, &one), internal);
	assert_err(db_one(&c, Q_vast, NULL, &one), internal);
}

TEST(a_list_is_an_array_of_each_field_and_keeps_its_nulls)
{
	SESSION(c);
	enum { N = 5000 };
	static struct test_item items[N];
	struct test_all in = { 0 };
	struct test_item *rows;
	char tag[16] = "0123456789abcde";
	size_t n;

	memset(items, 0, sizeof items);
	for (int i = 0; i < N; i++) {
		SET(&items[i], id, i);
		SET(&items[i], at, i * INT64_C(1000000007));
		SET(&items[i], tag, ((struct str) { tag, 16 }));
		SET(&items[i], price, i * 99);
		SET(&items[i], color, i % 2 ? GREEN : RED);
		SET(&items[i], ok, i % 3 == 0);
		SET(&items[i], day, i - 100);
		if (i % 7)
			SET(&items[i], name, STR("a name, \"quoted\""));
	}
	in.items.items = items;
	in.items.n = N;
	in.has.items = 1;
	assert_err(db_list(&c, Q_unnest, &in, &rows, &n), none);
	assert_int_equal(n, N);
	for (int i = 0; i < N; i++) {
		assert_int_equal(rows[i].id, i);
		assert_int_equal(rows[i].at, items[i].at);
		assert_int_equal(rows[i].price, i * 99);
		assert_int_equal(rows[i].color, items[i].color);
		assert_int_equal(rows[i].ok, items[i].ok);
		assert_int_equal(rows[i].day, i - 100);
		assert_true(str_eq(rows[i].tag, items[i].tag));
		assert_true(rows[i].null.name == !(i % 7) && rows[i].has.name == !!(i % 7));
	}
	in.items.n = 0;
	assert_err(db_list(&c, Q_unnest, &in, &rows, &n), none);
	assert_int_equal(n, 0);
	in.has.items = 0;			/* an absent list is a NULL array */
	assert_err(db_list(&c, Q_unnest, &in, &rows, &n), none);
	assert_int_equal(n, 0);
}

TEST(a_value_that_does_not_fit_its_type_is_the_fault_of_the_data)
{
	SESSION(c);
	struct test_all in = { 0 }, out;

	SET(&in, small, 32768);
	assert_err(db_one(&c, Q_echo, &in, &out), invalid);
	assert_true(db_is_poison(c.db));
	assert_string_equal(db_sqlstate(c.db), "22003");
	in.has.small = 0;
	SET(&in, tag, STR("short"));
	assert_err(db_one(&c, Q_echo, &in, &out), invalid);
	in.has.tag = 0;
	SET(&in, name, STR("\xff not UTF-8"));
	assert_err(db_one(&c, Q_echo, &in, &out), invalid);
	assert_true(db_is_poison(c.db));
	in.has.name = 0;
	assert_err(db_one(&c, Q_echo, &in, &out), none);
	assert_false(db_is_poison(c.db));
	assert_err(db_one(&c, Q_odd_word, NULL, &out), internal);
	assert_true(db_is_up(c.db));
}

TEST(rows_that_do_not_fit_the_arena_are_refused_and_the_session_goes_on)
{
	SESSION(c);
	struct test_item *rows;
	size_t n;

	for (int i = 0; i < 100; i++)
		assert_err(insert(&c, i), none);
	static unsigned char little[4096];
	struct arena small, *large = c.mem;

	arena_init(&small, little, sizeof little);
	c.mem = &small;
	assert_err(db_list(&c, Q_all, NULL, &rows, &n), too_large);
	c.mem = large;
	assert_err(db_list(&c, Q_all, NULL, &rows, &n), none);
	assert_int_equal(n, 100);
}

/* ---- the start ---- */

TEST(a_query_that_does_not_fit_its_messages_fails_the_start_and_says_what)
{
	static const struct { const char *domain, *part[3]; } wrong[] = {
		{ "w_kind",   { "w_kind",   "id",   "text" } },
		{ "w_column", { "w_column", "name", "bigint" } },
		{ "w_name",   { "w_name",   "idd",  "no such field" } },
		{ "w_param",  { "w_param",  "idd",  "no such field" } },
		{ "w_twice",  { "w_twice",  "id",   "twice" } },
		{ "w_array",  { "w_array",  "items.id", "bigint" } },
		{ "w_scalar", { "w_scalar", "id",   "bigint[]" } },
		{ "w_many",   { "w_many",   "parameters", "fewer" } },
		{ "w_table",  { "w_table",  "42P01", "nowhere" } },
		{ "w_object", { "w_object", "box",  "OBJECT" } },
	};
	struct db *db = NULL;
	char why[256];

	need_server();
	for (size_t i = 0; i < COUNT(wrong); i++) {
		assert_err(db_open(url, wrong[i].domain, &db, why), internal);
		assert_null(db);
		for (size_t k = 0; k < 3; k++)
			if (strstr(why, wrong[i].part[k]) == NULL)
				fail_msg("`%s` does not say `%s`", why, wrong[i].part[k]);
	}
}

TEST(a_server_that_is_not_there_is_unavailable_with_a_reason)
{
	struct db *db = NULL;
	char why[256] = "";

	assert_err(db_open("host=/nonexistent dbname=x", "test", &db, why), unavailable);
	assert_null(db);
	assert_non_null(strstr(why, "nonexistent"));
	assert_null(strchr(why, '\n'));
}

TEST(a_session_knows_only_the_queries_of_its_domain_and_a_tool_any)
{
	SESSION(c);
	struct test_item in = { 0 }, out;

	SET(&in, id, 1);
	assert_err(db_exec(&c, Q_w_table, NULL), internal);
	db_close(c.db);
	c.db = connect_as(NULL);
	assert_err(db_begin(&c, true), none);
	assert_err(db_one(&c, Q_count, NULL, &out), none);
	assert_err(db_exec(&c, Q_insert, &in), none);
	assert_err(db_commit(&c), none);
	assert_int_equal(count(&c), 1);
}

/* ---- errors ---- */

TEST(a_constraint_of_the_table_has_its_own_error_and_any_other_is_invalid)
{
	SESSION(c);
	struct test_item in = { 0 }, out;

	SET(&in, name, STR("a@b"));
	assert_err(db_exec(&c, Q_email, &in), none);
	assert_err(db_exec(&c, Q_email, &in), identity_in_use);
	assert_true(db_is_poison(c.db));
	assert_string_equal(db_sqlstate(c.db), "23505");
	SET(&in, name, STR("much too long"));
	assert_err(db_exec(&c, Q_email, &in), invalid);
	assert_string_equal(db_sqlstate(c.db), "23514");
	SET(&in, id, 0);
	assert_err(db_one(&c, Q_divide, &in, &out), invalid);
	assert_string_equal(db_sqlstate(c.db), "22012");
}

TEST(what_says_nothing_about_the_data_is_unavailable_and_no_poison)
{
	SESSION(c);
	struct test_item out;

	assert_err(db_one(&c, Q_forbidden, NULL, &out), unavailable);
	assert_false(db_is_poison(c.db));
	assert_string_equal(db_sqlstate(c.db), "42501");
	assert_err(db_one(&c, Q_serial, NULL, &out), unavailable);
	assert_false(db_is_poison(c.db));
	assert_string_equal(db_sqlstate(c.db), "40001");
	assert_true(db_is_up(c.db));
}

TEST(no_row_is_not_found_and_two_are_our_bug)
{
	SESSION(c);
	struct test_item in = { 0 }, out;

	SET(&in, id, 1);
	assert_err(db_one(&c, Q_get, &in, &out), not_found);
	assert_err(insert(&c, 1), none);
	assert_err(db_one(&c, Q_get, &in, &out), none);
	assert_true(out.null.name && !out.has.name);
	assert_err(insert(&c, 2), none);
	assert_err(db_one(&c, Q_all, NULL, &out), internal);
}

TEST(the_log_never_quotes_a_value)
{
	SESSION(c);
	struct test_item in = { 0 };

	SET(&in, name, STR("secret"));
	assert_err(db_exec(&c, Q_email, &in), none);
	assert_err(db_exec(&c, Q_email, &in), identity_in_use);
	assert_null(strstr(c.detail, "secret"));
	assert_non_null(strstr(c.detail, "23505"));
}

/* ---- transactions ---- */

TEST(a_write_is_seen_after_its_commit_and_not_after_a_rollback)
{
	SESSION(c);
	assert_err(db_begin(&c, true), none);
	assert_err(insert(&c, 1), none);
	db_rollback(&c);
	assert_int_equal(count(&c), 0);
	assert_err(db_begin(&c, true), none);
	assert_err(insert(&c, 1), none);
	assert_err(insert(&c, 2), none);
	assert_err(db_commit(&c), none);
	assert_int_equal(count(&c), 2);
	assert_err(db_begin(&c, true), none);		/* nothing was asked: nothing is sent */
	assert_err(db_commit(&c), none);
	assert_err(db_begin(&c, false), none);
	assert_int_equal(count(&c), 2);
	assert_err(db_commit(&c), none);
	db_rollback(&c);
	db_rollback(&c);
}

TEST(a_failed_transaction_cannot_be_committed)
{
	SESSION(c);
	assert_err(db_begin(&c, true), none);
	assert_err(insert(&c, 1), none);
	assert_err(insert(&c, 1), invalid);
	assert_err(db_commit(&c), internal);
	db_rollback(&c);
	assert_int_equal(count(&c), 0);
}

TEST(a_first_query_that_fails_leaves_a_transaction_that_rolls_back)
{
	SESSION(c);
	struct test_item in = { 0 }, out;

	SET(&in, id, 0);
	assert_err(db_begin(&c, true), none);
	assert_err(db_one(&c, Q_divide, &in, &out), invalid);
	db_rollback(&c);
	assert_true(db_is_poison(c.db));		/* still says why */
	assert_string_equal(db_sqlstate(c.db), "22012");
	assert_err(insert(&c, 1), none);
	assert_int_equal(count(&c), 1);
}

TEST(a_commit_with_a_warning_has_an_unknown_outcome)
{
	SESSION(c);
	struct test_item out;

	assert_err(db_one(&c, Q_warn, NULL, &out), unavailable);	/* it commits by itself */
	assert_err(db_begin(&c, true), none);
	assert_err(db_one(&c, Q_warn, NULL, &out), none);		/* not the commit's */
	assert_err(db_commit(&c), none);
	assert_err(db_send(&c, Q_core_begin_write, NULL), none);
	assert_err(db_send(&c, Q_warn, NULL), none);
	assert_err(db_send(&c, Q_core_commit, NULL), none);
	assert_err(db_flush(&c), none);
	assert_err(db_take(&c, Q_core_begin_write, NULL, NULL), none);
	assert_err(db_take(&c, Q_warn, NULL, NULL), none);
	assert_err(db_take(&c, Q_core_commit, NULL, NULL), unavailable);
	assert_err(db_end(&c), unavailable);
	assert_false(db_is_poison(c.db));
}

TEST(a_snapshot_sees_what_was_there_when_it_began)
{
	SESSION(c);
	CLEANUP(hang_up) struct ctx other = { .mem = c.mem, .db = connect_as("test") };

	for (int i = 0; i < 2; i++) {
		c.deadline = clock_mono() + (3 + i) * SECOND;	/* another timeout goes along */
		assert_err(db_exec(&c, Q_core_begin_read, NULL), none);
		assert_int_equal(count(&c), i);
		assert_err(insert(&other, i), none);
		assert_int_equal(count(&c), i);
		assert_err(insert(&c, 7), unavailable);		/* it is READ ONLY */
		assert_string_equal(db_sqlstate(c.db), "25006");
		db_rollback(&c);
		assert_int_equal(count(&c), i + 1);
	}
}

TEST(a_transaction_that_somebody_left_open_is_rolled_back_by_the_next)
{
	SESSION(c);
	assert_err(db_begin(&c, true), none);
	assert_err(insert(&c, 1), none);
	assert_err(db_begin(&c, true), none);
	assert_err(insert(&c, 2), none);
	assert_err(db_commit(&c), none);
	assert_int_equal(count(&c), 1);
	assert_err(db_begin(&c, true), none);
	assert_err(insert(&c, 3), none);
	c.deadline = clock_mono() - 1;
	assert_err(db_commit(&c), timeout);		/* known: it is rolled back */
	c.deadline = 0;
	assert_int_equal(count(&c), 1);
}

/* Waits until commits wait for a standby that does not exist, or no longer do. */
static void await_standby(const char *name)
{
	CLEANUP(hang_up) struct ctx c;
	struct test_item out;
	char text[96];

	session_ctx(&c, connect_as(NULL));
	(void) snprintf(text, sizeof text, "ALTER SYSTEM SET synchronous_standby_names = '%s'", name);
	assert_err(db_script(&c, text), none);
	assert_err(db_script(&c, "SELECT pg_reload_conf()"), none);
	for (int i = 0; i < 200; i++) {
		assert_err(db_one(&c, Q_reloaded, NULL, &out), none);
		if (str_eq(out.name, str_of(name)))
			break;
		pause_ms(20);
	}
	for (int i = 0; i < 50; i++) {		/* the checkpointer reads it in its own time */
		c.deadline = clock_mono() + 200 * MS;
		const bool done = db_script(&c, "INSERT INTO thing VALUES ((random() * 1e9)::int)").code ==
				  ERR_none;

		if (done == (name[0] == '\0'))
			return;
		if (!done) {
			db_close(c.db);
			c.db = connect_as(NULL);
		}
		pause_ms(50);
	}
	fail_msg("synchronous_standby_names = '%s' has no effect", name);
}

TEST(a_commit_that_no_standby_confirms_has_an_unknown_outcome)
{
	SESSION(c);
	struct test_item in;

	assert_err(db_one(&c, Q_backend, NULL, &in), none);
	await_standby("none_such");

	/* Cancelled while it waits: the server warns, and says COMMIT. */
	assert_err(db_begin(&c, true), none);
	assert_err(insert(&c, 1), none);
	{
		CLEANUP(hang_up) struct ctx killer = { .mem = c.mem, .db = connect_as("test") };

		assert_err(db_send(&killer, Q_cancel, &in), none);
		assert_err(db_flush(&killer), none);
		const err_t e = db_commit(&c);

		await_standby("");
		assert_err(e, unavailable);
		assert_non_null(strstr(c.detail, "standby"));
		assert_true(db_is_up(c.db));
		assert_false(db_is_poison(c.db));
		assert_err(db_take(&killer, Q_cancel, NULL, NULL), none);
		assert_err(db_end(&killer), none);
	}
	await_standby("none_such");
	c.deadline = clock_mono() + 500 * MS;
	assert_err(db_begin(&c, true), none);
	assert_err(insert(&c, 2), none);

	const err_t silent = db_commit(&c);	/* statement_timeout does not end this wait */

	await_standby("");
	assert_err(silent, unavailable);
	assert_false(db_is_poison(c.db));
}

/* ---- pipelines ---- */

TEST(a_pipeline_takes_its_results_in_order)
{
	SESSION(c);
	struct test_item in = { 0 }, *rows;
	size_t n;

	assert_err(db_begin(&c, true), none);
	for (int i = 0; i < 3000; i++) {		/* more than the socket holds, both ways */
		SET(&in, id, i);
		SET(&in, name, STR("some text that makes the answers long enough to fill a buffer"));
		assert_err(db_send(&c, Q_insert, &in), none);
		if (i % 100 == 0)
			assert_err(db_send(&c, Q_all, NULL), none);
	}
	assert_err(db_flush(&c), none);
	for (int i = 0; i < 3000; i++) {
		assert_err(db_take(&c, Q_insert, NULL, NULL), none);
		if (i % 100 == 0) {
			arena_reset(c.mem);
			assert_err(db_take(&c, Q_all, &rows, &n), none);
			assert_int_equal(n, i + 1);
		}
	}
	assert_err(db_end(&c), none);
	assert_err(db_commit(&c), none);
	assert_int_equal(count(&c), 3000);
}

TEST(after_an_error_every_later_take_of_a_pipeline_says_so)
{
	SESSION(c);
	struct test_item in = { 0 }, *rows;
	size_t n;

	SET(&in, id, 1);
	assert_err(db_send(&c, Q_core_begin_write, NULL), none);
	assert_err(db_send(&c, Q_insert, &in), none);
	assert_err(db_send(&c, Q_insert, &in), none);
	assert_err(db_send(&c, Q_all, NULL), none);
	assert_err(db_send(&c, Q_core_commit, NULL), none);
	assert_err(db_flush(&c), none);
	assert_err(db_take(&c, Q_core_begin_write, NULL, NULL), none);
	assert_err(db_take(&c, Q_insert, NULL, NULL), none);
	assert_err(db_take(&c, Q_insert, NULL, NULL), invalid);
	assert_err(db_take(&c, Q_all, &rows, &n), invalid);
	assert_err(db_take(&c, Q_core_commit, NULL, NULL), invalid);
	assert_err(db_end(&c), invalid);
	assert_string_equal(db_sqlstate(c.db), "23505");
	db_rollback(&c);
	assert_int_equal(count(&c), 0);
}

TEST(a_pipeline_left_at_any_point_is_cleared_away_by_the_rollback)
{
	SESSION(c);
	struct test_item in = { 0 };

	SET(&in, id, 1);
	for (int stage = 0; stage < 4; stage++) {
		assert_err(db_begin(&c, true), none);
		assert_err(db_send(&c, Q_insert, &in), none);
		assert_err(db_send(&c, Q_insert, &in), none);
		if (stage >= 1)
			assert_err(db_flush(&c), none);
		if (stage >= 2)
			assert_err(db_take(&c, Q_insert, NULL, NULL), none);
		if (stage >= 3)
			assert_err(db_take(&c, Q_insert, NULL, NULL), invalid);
		db_rollback(&c);
		assert_int_equal(count(&c), 0);
		if (stage >= 3)
			assert_true(db_is_up(c.db));
	}
}

/* ---- time and loss ---- */

TEST(a_statement_that_takes_too_long_is_a_timeout_and_the_session_goes_on)
{
	SESSION(c);
	struct test_item in = { 0 }, out;

	SET(&in, id, 5);
	c.deadline = clock_mono() + 300 * MS;
	assert_err(db_exec(&c, Q_sleep, &in), timeout);
	assert_string_equal(db_sqlstate(c.db), "57014");
	assert_false(db_is_poison(c.db));
	assert_true(db_is_up(c.db));
	assert_err(db_exec(&c, Q_sleep, &in), timeout);	/* no time is left: nothing is sent */
	c.deadline = 0;
	assert_err(db_one(&c, Q_timeout, NULL, &out), none);
	assert_str(out.name, "0");
	c.deadline = clock_mono() + 5 * SECOND - MS;
	assert_err(db_begin(&c, true), none);
	assert_err(db_one(&c, Q_timeout, NULL, &out), none);
	assert_str(out.name, "5s");
	db_rollback(&c);			/* which unsets it */
	assert_err(db_one(&c, Q_timeout, NULL, &out), none);
	assert_str(out.name, "5s");
}

static pid_t backend(struct ctx *c)
{
	struct test_item out;

	assert_err(db_one(c, Q_backend, NULL, &out), none);
	return (pid_t) out.id;
}

TEST(a_silent_server_is_left_a_second_after_the_deadline)
{
	SESSION(c);
	const pid_t pid = backend(&c);
	const int64_t began = clock_mono();

	assert_int_equal(kill(pid, SIGSTOP), 0);
	c.deadline = began + 200 * MS;
	const err_t e = db_exec(&c, Q_core_ping, NULL);

	assert_int_equal(kill(pid, SIGCONT), 0);
	assert_err(e, unavailable);
	assert_in_range(clock_mono() - began, 1100 * MS, 3 * SECOND);
	assert_false(db_is_up(c.db));
	assert_false(db_is_poison(c.db));
	assert_string_equal(db_sqlstate(c.db), "");
	assert_err(db_begin(&c, true), unavailable);
	assert_err(db_exec(&c, Q_core_ping, NULL), unavailable);
	assert_err(db_flush(&c), unavailable);
	assert_err(db_commit(&c), unavailable);
	db_rollback(&c);
}

/* A port that takes connections and never says a word. */
static int silent_port(int fd)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof at;

	assert_int_equal(bind(fd, (struct sockaddr *) &at, sizeof at), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *) &at, &n), 0);
	return ntohs(at.sin_port);
}

TEST(of_several_hosts_one_that_is_dead_costs_nothing_and_one_that_is_silent_two_seconds)
{
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int port = silent_port(fd);
	char list[256], why[256] = "";
	struct db *db = NULL;
	int64_t began;

	need_server();
	(void) snprintf(list, sizeof list, "host=/nowhere,%s port=5432 dbname=postgres user=postgres "
			"target_session_attrs=read-write", folder);
	began = clock_mono();
	assert_err(db_open(list, NULL, &db, why), none);
	assert_in_range(clock_mono() - began, 0, SECOND);
	db_close(db);
	(void) snprintf(list, sizeof list, "host=127.0.0.1,%s port=%d,5432 dbname=postgres user=postgres", folder, port);
	began = clock_mono();
	assert_err(db_open(list, NULL, &db, why), none);
	assert_in_range(clock_mono() - began, SECOND, 4 * SECOND);
	db_close(db);
	(void) snprintf(list, sizeof list, "host=127.0.0.1,127.0.0.1,127.0.0.1 port=%d dbname=postgres", port);
	began = clock_mono();
	assert_err(db_open(list, NULL, &db, why), unavailable);
	assert_in_range(clock_mono() - began, SECOND, 8 * SECOND);
	(void) close(fd);
}

TEST(a_session_that_was_killed_is_lost_and_says_so)
{
	SESSION(c);
	CLEANUP(hang_up) struct ctx other = { .mem = c.mem, .db = connect_as(NULL) };
	const pid_t pid = backend(&c);
	char text[64];

	assert_err(db_begin(&c, true), none);
	assert_err(insert(&c, 1), none);
	(void) snprintf(text, sizeof text, "SELECT pg_terminate_backend(%d, 5000)", (int) pid);
	assert_err(db_script(&other, text), none);
	assert_err(db_commit(&c), unavailable);
	assert_false(db_is_up(c.db));
	assert_string_equal(db_sqlstate(c.db), "");
	db_rollback(&c);
	assert_int_equal(count(&other), 0);
}

TEST(a_session_that_dies_within_a_pipeline_is_lost)
{
	SESSION(c);
	const pid_t pid = backend(&c);
	struct test_item in = { 0 }, *rows;
	size_t n;

	SET(&in, id, 30);
	assert_err(db_send(&c, Q_sleep, &in), none);
	assert_err(db_send(&c, Q_all, NULL), none);
	assert_err(db_flush(&c), none);
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_err(db_take(&c, Q_sleep, NULL, NULL), unavailable);
	assert_false(db_is_up(c.db));
	assert_err(db_take(&c, Q_all, &rows, &n), unavailable);
	assert_err(db_end(&c), unavailable);
}

TEST(a_script_runs_within_the_transaction_that_was_begun)
{
	SESSION(c);
	db_close(c.db);
	c.db = connect_as(NULL);
	assert_err(db_begin(&c, true), none);
	assert_err(db_script(&c, "INSERT INTO thing VALUES (1); INSERT INTO thing VALUES (2)"), none);
	db_rollback(&c);
	assert_int_equal(count(&c), 0);
	assert_err(db_begin(&c, true), none);
	assert_err(db_script(&c, "INSERT INTO thing VALUES (1); SELECT nonsense"), unavailable);
	assert_non_null(strstr(c.detail, "nonsense"));
	db_rollback(&c);
	assert_int_equal(count(&c), 0);
}
