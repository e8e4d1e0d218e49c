/*
 * metrics.c - counts, and writes the counts as Prometheus reads them.
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 *
 * Must not lock or allocate where it counts: every thread of a process does, at every message.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "broker/base/clock.h"
#include "broker/base/version.h"
#include "broker/metrics.h"

enum kind { COUNTER, GAUGE, HISTOGRAM };

static const struct row { const char *name; enum kind kind; const char *label, *help; } row[] = {
#define X(name, kind, label, help) { #name, kind, label, help },
	METRIC_TABLE(X)
#undef X
};

/* The upper bounds of the buckets, in microseconds and as Prometheus wants them. */
static const struct { int64_t us; const char *le; } bucket[] = {
	{     250, "0.00025" }, {     500, "0.0005" }, {    1000, "0.001" }, {    2500, "0.0025" },
	{    5000, "0.005"   }, {   10000, "0.01"   }, {   25000, "0.025" }, {   50000, "0.05"   },
	{  100000, "0.1"     }, {  250000, "0.25"   }, {  500000, "0.5"   }, { 1000000, "1"      },
	{ 2500000, "2.5"     }, { 5000000, "5"      }, { 10000000, "10"   }, { 30000000, "30"    },
	{ INT64_MAX, "+Inf"  },
};

enum { LABELS = 64 };

/* Of a counter or a gauge: a value for each label, or [0] alone.  Of a histogram: the buckets,
 * each without those below it, and the sum in microseconds. */
static struct {
	_Atomic(const char *) label[LABELS];
	_Atomic int64_t       value[LABELS];
	_Atomic int64_t       sum;
} metric[METRIC_COUNT];

_Static_assert(COUNT(bucket) <= LABELS, "buckets and labels share their place");

/* The place of a label; taken at its first use.  Beyond the last, the last is shared. */
static int place(enum metric m, const char *label)
{
	for (int i = 0; i < LABELS - 1; i++) {
		const char *have = atomic_load_explicit(&metric[m].label[i], memory_order_acquire);

		if (have == NULL &&
		    atomic_compare_exchange_strong(&metric[m].label[i], &have, label))
			return i;
		if (have == label || strcmp(have, label) == 0)
			return i;
	}
	atomic_store(&metric[m].label[LABELS - 1], "other");
	return LABELS - 1;
}

void metric_add(enum metric m, const char *label, int64_t n)
{
	const int at = label == NULL || *row[m].label == '\0' ? 0 : place(m, label);

	(void) atomic_fetch_add_explicit(&metric[m].value[at], n, memory_order_relaxed);
}

void metric_set(enum metric m, int64_t value)
{
	atomic_store_explicit(&metric[m].value[0], value, memory_order_relaxed);
}

void metric_time(enum metric m, int64_t us)
{
	size_t i = 0;

	if (us < 0)
		us = 0;
	while (us > bucket[i].us)
		i++;
	(void) atomic_fetch_add_explicit(&metric[m].value[i], 1, memory_order_relaxed);
	(void) atomic_fetch_add_explicit(&metric[m].sum, us, memory_order_relaxed);
}

/* ---- writing ---- */

static void put(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

/* The value of a label: backslash, quote and line feed are escaped, nothing else. */
static void put_label(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '\n') {
			put(b, "\\n");
			continue;
		}
		if (*s == '"' || *s == '\\')
			put(b, "\\");
		buf_put(b, s, 1);
	}
}

static void put_head(struct buf *b, const char *name, const char *end, const char *type,
		     const char *help)
{
	buf_fmt(b, "# HELP healthmed_%s%s %s\n", name, end, help);
	buf_fmt(b, "# TYPE healthmed_%s%s %s\n", name, end, type);
}

static void put_seconds(struct buf *b, int64_t us)
{
	buf_fmt(b, "%" PRId64 ".%06" PRId64 "\n", us / SECOND, us % SECOND);
}

static void put_values(struct buf *b, enum metric m, const char *end)
{
	const struct row *r = &row[m];

	for (int i = 0; i < (*r->label == '\0' ? 1 : LABELS); i++) {
		const char *label = atomic_load(&metric[m].label[i]);
		const int64_t n = atomic_load_explicit(&metric[m].value[i], memory_order_relaxed);

		if (*r->label != '\0' && label == NULL)
			continue;
		buf_fmt(b, "healthmed_%s%s", r->name, end);
		if (*r->label != '\0') {
			buf_fmt(b, "{%s=\"", r->label);
			put_label(b, label);
			put(b, "\"}");
		}
		buf_fmt(b, " %" PRId64 "\n", n);
	}
}

/* _count is the last bucket, so that a sample that comes in between does not tear the two. */
static void put_histogram(struct buf *b, enum metric m)
{
	int64_t below = 0;

	for (size_t i = 0; i < COUNT(bucket); i++) {
		below += atomic_load_explicit(&metric[m].value[i], memory_order_relaxed);
		buf_fmt(b, "healthmed_%s_bucket{le=\"%s\"} %" PRId64 "\n", row[m].name,
			bucket[i].le, below);
	}
	buf_fmt(b, "healthmed_%s_sum ", row[m].name);
	put_seconds(b, atomic_load_explicit(&metric[m].sum, memory_order_relaxed));
	buf_fmt(b, "healthmed_%s_count %" PRId64 "\n", row[m].name, below);
}

/* ---- the process ---- */

/* One value of a file of /proc: the word after `key`, or the n-th word; 0 when there is none. */
static long long proc_value(const char *path, const char *key, int n)
{
	char text[4096], *rest = NULL, *word;
	FILE *f = fopen(path, "re");
	size_t got;

	if (f == NULL)
		return 0;
	got = fread(text, 1, sizeof text - 1, f);
	(void) fclose(f);
	text[got] = '\0';
	word = key == NULL ? text : strstr(text, key);
	if (word != NULL && key != NULL)
		word += strlen(key);
	word = word == NULL ? NULL : strtok_r(word, " \n", &rest);
	while (word != NULL && n-- > 0)
		word = strtok_r(NULL, " \n", &rest);
	return word == NULL ? 0 : strtoll(word, NULL, 10);
}

/* When the kernel says that we began: boot time and the 22nd field of stat, in ticks since.  The
 * second field is the program's name, in parentheses; the count goes on behind it. */
static int64_t start_time_us(void)
{
	struct timespec boot;
	const long long ticks = proc_value("/proc/self/stat", ") ", 22 - 3);

	(void) clock_gettime(CLOCK_BOOTTIME, &boot);
	return clock_wall() - (boot.tv_sec * SECOND + boot.tv_nsec / 1000) +
	       ticks * SECOND / sysconf(_SC_CLK_TCK);
}

static int open_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = -3;			/* neither ".", ".." nor the folder itself */

	if (d == NULL)
		return 0;
	while (readdir(d) != NULL)
		n++;
	(void) closedir(d);
	return n;
}

static void put_process(struct buf *b)
{
	static _Atomic int64_t started;		/* once: it must not wander with the wall clock */
	int64_t none = 0;
	struct timespec cpu;
	struct rlimit fds;

	(void) atomic_compare_exchange_strong(&started, &none, start_time_us());
	(void) clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	(void) getrlimit(RLIMIT_NOFILE, &fds);
	put(b, "# HELP process_cpu_seconds_total user and system time spent\n"
	       "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total ");
	put_seconds(b, cpu.tv_sec * SECOND + cpu.tv_nsec / 1000);
	put(b, "# HELP process_start_time_seconds when the process began, since 1970\n"
	       "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds ");
	put_seconds(b, atomic_load(&started));
	put(b, "# HELP process_resident_memory_bytes memory in RAM\n"
	       "# TYPE process_resident_memory_bytes gauge\n");
	buf_fmt(b, "process_resident_memory_bytes %lld\n",
		proc_value("/proc/self/statm", NULL, 1) * sysconf(_SC_PAGESIZE));
	put(b, "# HELP process_open_fds open files and sockets\n# TYPE process_open_fds gauge\n");
	buf_fmt(b, "process_open_fds %d\n", open_fds());
	put(b, "# HELP process_max_fds how many may be open\n# TYPE process_max_fds gauge\n");
	buf_fmt(b, "process_max_fds %llu\n", (unsigned long long) fds.rlim_cur);
}

void metrics_write(struct buf *b)
{
	for (enum metric m = 0; m < METRIC_COUNT; m++) {
		switch (row[m].kind) {
		case COUNTER:
			put_head(b, row[m].name, "_total", "counter", row[m].help);
			put_values(b, m, "_total");
			break;
		case GAUGE:
			put_head(b, row[m].name, "", "gauge", row[m].help);
			put_values(b, m, "");
			break;
		case HISTOGRAM:
			put_head(b, row[m].name, "", "histogram", row[m].help);
			put_histogram(b, m);
			break;
		}
	}
	put_head(b, "build_info", "", "gauge", "the release, as a label");
	put(b, "healthmed_build_info{version=\"" VERSION "\"} 1\n");
	put_process(b);
}
