/* test_log.c - a line is one JSON object whatever goes into it. */
#include <fcntl.h>
#include <unistd.h>
#include "broker/base/log.h"
#include "tests/unit/test.h"

/* What `log` writes to standard error. */
static const char *written(void (*log)(void))
{
	static char text[1 << 14];
	const int err = dup(STDERR_FILENO);
	int end[2];
	ssize_t n;

	assert_int_equal(pipe2(end, O_NONBLOCK), 0);
	(void) dup2(end[1], STDERR_FILENO);
	(void) close(end[1]);
	log();
	(void) dup2(err, STDERR_FILENO);
	(void) close(err);
	n = read(end[0], text, sizeof text - 1);
	(void) close(end[0]);
	text[n < 0 ? 0 : n] = '\0';
	return text;
}

static void plain(void)  { log_line(LOG_INFO, "started", NULL, ""); }
static void none(void)   { log_line(LOG_INFO, "started", NULL, "%s", ""); }
static void quiet(void)  { log_line(LOG_DEBUG, "started", NULL, ""); }
static void traced(void) { log_line(LOG_ERROR, "request", "0af7", "\"status\":%d", 500); }

static void hostile(void)
{
	char text[64];

	log_line(LOG_WARNING, "odd", "\"}\n", "\"text\":\"%s\"", log_text("a\"b\n", text, sizeof text));
}

static void endless(void)
{
	static char text[9000];

	memset(text, 'x', sizeof text - 1);
	log_line(LOG_INFO, "long", "0af7", "\"text\":\"%s\"", text);
}

TEST(a_line_has_time_level_and_event_and_ends)
{
	const char *line = written(plain);

	assert_int_equal(strncmp(line, "{\"time\":\"20", 11), 0);
	assert_string_equal(line + 9 + 24, "\",\"level\":\"info\",\"event\":\"started\"}\n");
}

TEST(no_members_leave_no_comma)
{
	assert_non_null(strstr(written(none), "\"event\":\"started\"}\n"));
}

TEST(trace_and_members_follow)
{
	assert_non_null(strstr(written(traced),
		"\"level\":\"error\",\"event\":\"request\",\"trace\":\"0af7\",\"status\":500}\n"));
}

TEST(what_is_below_the_level_is_not_written)
{
	assert_string_equal(written(quiet), "");
	log_level_set("debug");
	assert_string_not_equal(written(quiet), "");
	log_level_set("error");
	assert_string_equal(written(hostile), "");
	log_level_set("nonsense");		/* changes nothing */
	assert_string_equal(written(hostile), "");
	log_level_set("info");
}

TEST(foreign_text_cannot_end_a_string_or_a_line)
{
	assert_non_null(strstr(written(hostile),
		"\"trace\":\"\\\"}\\u000a\",\"text\":\"a\\\"b\\u000a\"}\n"));
}

TEST(a_line_too_long_loses_its_members_and_nothing_else)
{
	const char *line = written(endless);

	assert_non_null(strstr(line, "\"trace\":\"0af7\",\"cut\":true}\n"));
	assert_true(strlen(line) < 300);
}

TEST(text_is_cut_between_characters)
{
	char out[8];

	assert_string_equal(log_text("João", out, 4), "Jo");	/* no half letter */
	assert_string_equal(log_text("João", out, sizeof out), "João");
	assert_string_equal(log_text("abc\"", out, 5), "abc");
	assert_string_equal(log_text("\xff", out, sizeof out), "\\ufffd");
	assert_string_equal(log_text("\xe2\x82", out, sizeof out), "\\ufffd");
	assert_string_equal(log_text("x", out, 1), "");
}
