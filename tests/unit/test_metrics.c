/* test_metrics.c - counts, and the text that Prometheus reads. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "broker/metrics.h"
#include "tests/unit/test.h"

static const char *page(void)
{
	static unsigned char storage[1 << 18];
	struct arena mem;
	struct buf b = { .mem = &mem };

	arena_init(&mem, storage, sizeof storage);
	metrics_write(&b);
	buf_put(&b, "", 1);
	assert_false(b.full);
	return b.p;
}

static void assert_has(const char *line)
{
	const char *p = strstr(page(), line);

	if (p == NULL || (p[strlen(line)] != '\n' && line[strlen(line) - 1] != ' '))
		fail_msg("no line %s in\n%s", line, page());
}

TEST(counters_end_in_total_and_count_by_label)
{
	metric_add(METRIC_http_requests, "201", 2);
	metric_add(METRIC_http_requests, "409", 1);
	metric_add(METRIC_http_requests, "201", 3);
	assert_has("# TYPE healthmed_http_requests_total counter");
	assert_has("healthmed_http_requests_total{status=\"201\"} 5");
	assert_has("healthmed_http_requests_total{status=\"409\"} 1");
	assert_has("healthmed_booking_batches_total 0");
}

TEST(a_label_is_escaped)
{
	metric_add(METRIC_booking_rereads, "a\"b\\c\nd", 1);
	assert_has("healthmed_booking_rereads_total{reason=\"a\\\"b\\\\c\\nd\"} 1");
}

TEST(labels_beyond_the_last_place_share_it)
{
	static char label[100][8];

	for (int i = 0; i < 100; i++) {
		(void) snprintf(label[i], sizeof label[i], "c%d", i);
		metric_add(METRIC_call_errors, label[i], 1);
	}
	assert_has("healthmed_call_errors_total{code=\"c62\"} 1");
	assert_has("healthmed_call_errors_total{code=\"other\"} 37");
}

TEST(a_gauge_goes_up_and_down)
{
	metric_add(METRIC_http_waiting, NULL, 3);
	metric_add(METRIC_http_waiting, NULL, -1);
	assert_has("healthmed_http_waiting 2");
	metric_set(METRIC_booking_partitions_owned, 16);
	assert_has("healthmed_booking_partitions_owned 16");
}

TEST(a_histogram_is_cumulative_and_in_seconds)
{
	metric_time(METRIC_call_seconds, 500);		/* a bound belongs to its bucket */
	metric_time(METRIC_call_seconds, 501);
	metric_time(METRIC_call_seconds, 1500000);
	metric_time(METRIC_call_seconds, 99000000);
	metric_time(METRIC_call_seconds, -5);		/* a clock that went back is no time */
	assert_has("healthmed_call_seconds_bucket{le=\"0.00025\"} 1");
	assert_has("healthmed_call_seconds_bucket{le=\"0.0005\"} 2");
	assert_has("healthmed_call_seconds_bucket{le=\"0.001\"} 3");
	assert_has("healthmed_call_seconds_bucket{le=\"2.5\"} 4");
	assert_has("healthmed_call_seconds_bucket{le=\"30\"} 4");
	assert_has("healthmed_call_seconds_bucket{le=\"+Inf\"} 5");
	assert_has("healthmed_call_seconds_sum 100.501001");
	assert_has("healthmed_call_seconds_count 5");
}

static double value_of(const char *name)
{
	const char *p = strstr(page(), name);

	assert_non_null(p);
	return strtod(p + strlen(name), NULL);
}

TEST(a_process_says_what_it_uses)
{
	assert_true(value_of("\nprocess_resident_memory_bytes ") > 1e5);
	assert_true(value_of("\nprocess_open_fds ") >= 3);
	assert_true(value_of("\nprocess_max_fds ") >= 16);
	assert_true(value_of("\nprocess_cpu_seconds_total ") >= 0);
	const double age = (double) time(NULL) - value_of("\nprocess_start_time_seconds ");

	assert_true(age > -2 && age < 3600);

	const double fds = value_of("\nprocess_open_fds ");
	const int one = dup(STDIN_FILENO);

	assert_true(one >= 0);
	assert_true(value_of("\nprocess_open_fds ") == fds + 1);
	(void) close(one);
}

TEST(every_line_is_a_comment_or_a_name_and_a_number)
{
	char *text = strdup(page()), *rest = NULL;

	for (char *l = strtok_r(text, "\n", &rest); l != NULL; l = strtok_r(NULL, "\n", &rest)) {
		char *end;

		if (strncmp(l, "# HELP ", 7) == 0 || strncmp(l, "# TYPE ", 7) == 0)
			continue;
		assert_true(strncmp(l, "healthmed_", 10) == 0 || strncmp(l, "process_", 8) == 0);
		(void) strtod(strrchr(l, ' ') + 1, &end);
		assert_int_equal(*end, '\0');
	}
	free(text);
}
