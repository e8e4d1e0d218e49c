/* options.h - what the load generator is told on its command line: one row an option. */
#ifndef LOADTEST_OPTIONS_H
#define LOADTEST_OPTIONS_H
#include <stdint.h>

/* clang-format off */
/*        name          kind  default                  min max          what it is */
#define OPTION_TABLE(X)                                                                              \
	X(url,          TEXT, "http://127.0.0.1:8080", 0,  0,           "http://host:port, or nats://user:password@host:port") \
	X(base,         TEXT, "/api/v1",               0,  0,           "base path of the API")       \
	X(mix,          TEXT, "book",                  0,  0,           "what is asked, with weights: search:35,slots:35,…") \
	X(expect,       TEXT, "",                      0,  0,           "good answers, where they are others than usual: book:201:409,…") \
	X(requests,     TEXT, "",                      0,  0,           "of file: a line each, METHOD PATH [BODY], in turn") \
	X(filters,      TEXT, "",                      0,  0,           "of search: a query each, by how much they are wanted") \
	X(zipf,         TEXT, "1",                     0,  0,           "the k-th filter, or doctor, is wanted 1/k^zipf as often as the first") \
	X(logins,       TEXT, "",                      0,  0,           "of login: a JSON object each, in turn") \
	X(sessions,     TEXT, "",                      0,  0,           "of refresh: a refresh token each, which rotate") \
	X(tokens,       TEXT, "",                      0,  0,           "the token of a patient each, in turn") \
	X(first_patient, INT, "1",                     1,  INT64_MAX,   "over NATS, instead of tokens: the patients' numbers …") \
	X(patients,     INT,  "1",                     1,  100000000,   "… and how many they are")    \
	X(connections,  INT,  "64",                    1,  1000000,     "kept open all the time")     \
	X(processes,    INT,  "1",                     1,  64,          "that share the connections and the rate") \
	X(seconds,      INT,  "10",                    1,  86400,       "requests start for that long") \
	X(count,        INT,  "0",                     0,  INT64_MAX,   "no more requests than that; 0: as many as time allows") \
	X(rate,         INT,  "0",                     0,  10000000,    "requests a second, planned; 0: closed loop") \
	X(steps,        TEXT, "",                      0,  0,           "instead of both: RATE:SECONDS,RATE:SECONDS,…") \
	X(give_up_ms,   INT,  "0",                     0,  60000,       "no more steps after one whose p99 passed that; 0: all") \
	X(first_doctor, INT,  "1",                     1,  INT64_MAX,   "booking i is at doctor first + i modulo doctors, …") \
	X(doctors,      INT,  "1",                     1,  10000000,    "… of so many …")             \
	X(first_slot,   INT,  "1",                     1,  INT64_MAX,   "… whose slots begin here, doctor after doctor, …") \
	X(slots,        INT,  "1",                     1,  1000000000,  "… so many each; the one taken is i / doctors") \
	X(start,        INT,  "0",                     0,  INT64_MAX,   "the first i")                \
	X(again,        FLAG, "",                      0,  0,           "after the last slot the first one is asked for again") \
	X(keys,         TEXT, "",                      0,  0,           "Idempotency-Key of request i is <keys>-<i>; empty: none") \
	X(retry,        FLAG, "",                      0,  0,           "what was cut in flight is sent again, with its key") \
	X(timeout,      INT,  "30",                    1,  3600,        "seconds to wait for an answer") \
	X(name,         TEXT, "load",                  0,  0,           "before each line of progress") \
	X(quiet,        FLAG, "",                      0,  0,           "no progress on stderr")      \
	X(allow_remote, FLAG, "",                      0,  0,           "with --yes-really: load a machine that is not this one") \
	X(yes_really,   FLAG, "",                      0,  0,           "see --allow-remote")         \
	X(help,         FLAG, "",                      0,  0,           "prints this")
/* clang-format on */

struct value { const char *text; int64_t n; };

struct options {
#define X(name, kind, dflt, min, max, text) struct value name;
	OPTION_TABLE(X)
#undef X
};
extern struct options opt;

void           options_read(int argc, char **argv);	/* ends the process when they are wrong */
_Noreturn void usage(const char *why, const char *what);
#endif
