/*
 * log.c - see log.h.  Must not wait for anybody: a line that cannot be written is lost, and one
 * that is too long loses its members, never its closing brace.
 */
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "broker/base/clock.h"
#include "broker/base/log.h"
#include "broker/base/str.h"

enum { LINE = 4096 };		/* what a pipe takes whole (PIPE_BUF) */

static const char *const name[] = { "debug", "info", "warning", "error" };
static _Atomic int least = LOG_INFO;

void log_level_set(const char *level)
{
	for (int i = 0; i < (int) COUNT(name); i++)
		if (strcmp(level, name[i]) == 0)
			atomic_store(&least, i);
}

/* A whole character of UTF-8 at s, or 0. */
static size_t character(const char *s)
{
	const unsigned char c = (unsigned char) *s;
	const size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	return strnlen(s, n) == n && str_points((struct str) { s, n }) == 1 ? n : 0;
}

const char *log_text(const char *text, char *out, size_t size)
{
	size_t n = 0;

	while (*text != '\0') {
		const size_t took = character(text);
		char part[8];

		if (took == 0)		/* U+FFFD stands for what is no character */
			(void) snprintf(part, sizeof part, "\\ufffd");
		else if (took == 1 && (*text == '"' || *text == '\\'))
			(void) snprintf(part, sizeof part, "\\%c", *text);
		else if (took == 1 && (unsigned char) *text < ' ')
			(void) snprintf(part, sizeof part, "\\u%04x", (unsigned) *text);
		else
			(void) snprintf(part, sizeof part, "%.*s", (int) took, text);

		const size_t k = strlen(part);

		if (n + k >= size)
			break;
		memcpy(out + n, part, k);
		n += k;
		text += took == 0 ? 1 : took;
	}
	if (size > 0)
		out[n] = '\0';
	return out;
}

void log_line(enum log_level level, const char *event, const char *trace, const char *members, ...)
{
	const int64_t now = clock_wall();
	const time_t second = now / SECOND;
	char line[LINE], quoted[80];
	struct tm tm;
	va_list ap;
	int head, more;

	if ((int) level < atomic_load_explicit(&least, memory_order_relaxed))
		return;
	(void) gmtime_r(&second, &tm);
	head = (int) strftime(line, sizeof line, "{\"time\":\"%Y-%m-%dT%H:%M:%S", &tm);
	head += snprintf(line + head, sizeof line - (size_t) head,
			 ".%03dZ\",\"level\":\"%s\",\"event\":\"%.100s\"",
			 (int) (now % SECOND / MS), name[level], event);
	if (trace != NULL && *trace != '\0')
		head += snprintf(line + head, sizeof line - (size_t) head, ",\"trace\":\"%s\"",
				 log_text(trace, quoted, sizeof quoted));
	if (*members != '\0') {
		line[head] = ',';
		va_start(ap, members);
		more = vsnprintf(line + head + 1, sizeof line - (size_t) head - 3, members, ap);
		va_end(ap);
		if (more < 0 || (size_t) more >= sizeof line - (size_t) head - 3)
			head += snprintf(line + head, sizeof line - (size_t) head, ",\"cut\":true");
		else if (more > 0)
			head += more + 1;
	}
	line[head++] = '}';
	line[head++] = '\n';
	if (write(STDERR_FILENO, line, (size_t) head) < 0)
		return;			/* nowhere to say it */
}
