/*
 * config.c - reads, checks and shows what can be set.  See config.h.
 *
 * Must not print or quote a secret, not even a wrong one, and must not read a key that is not
 * of the role: a gateway never opens the file of the signing key.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "broker/base/config.h"
#include "broker/base/nets.h"

#define PREFIX  "HEALTHMED_"
#define ZONES   "/usr/share/zoneinfo/"

enum { PREFIX_N = sizeof PREFIX - 1, NAME_MAX_N = 64, FILE_MAX_N = 1 << 16 };

static const struct row {
	const char      *name;
	enum config_kind kind;
	unsigned         who;
	const char      *dflt;
	int64_t          min, max;
	const char      *text;
} row[CONFIG_COUNT] = {
#define X(name, kind, who, dflt, min, max, text) { #name, C_##kind, who, dflt, min, max, text },
	CONFIG_TABLE(X)
#undef X
};

static unsigned char storage[1 << 18];
static struct arena  mem;			/* what the values lie in */
static const char   *value[CONFIG_COUNT];	/* NULL: not set */
static unsigned      loaded;			/* the role; 0 before any */
static char          why[512];

static bool wrong(const char *fmt, ...) PRINTF(1, 2) MUST_CHECK;
static bool wrong(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void) vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	for (char *p = why; *p != '\0'; p++)	/* one line, whatever was quoted */
		if ((unsigned char) *p < ' ')
			*p = '?';
	return false;
}

static bool bad(enum config_key k, const char *problem)
{
	if (row[k].kind == C_SECRET || value[k] == NULL)
		return wrong(PREFIX "%s %s", row[k].name, problem);
	return wrong(PREFIX "%s is '%.100s': %s", row[k].name, value[k], problem);
}

static bool begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

static bool ends(const char *s, const char *with)
{
	const size_t n = strlen(s), m = strlen(with);

	return n >= m && strcmp(s + n - m, with) == 0;
}

/* ---- what a value must be, by kind ---- */

static bool is_listen(const char *s)
{
	const char *colon = strrchr(s, ':');
	char host[INET6_ADDRSTRLEN + 2] = "";
	unsigned char addr[16];
	int64_t port;
	size_t n;

	if (colon == NULL || (n = (size_t) (colon - s)) >= sizeof host || strlen(colon + 1) > 5)
		return false;
	memcpy(host, s, n);
	if (!str_int(str_of(colon + 1), &port) || port < 0 || port > 65535)
		return false;
	if (host[0] != '[')
		return inet_pton(AF_INET, host, addr) == 1;
	if (host[n - 1] != ']')
		return false;
	host[n - 1] = '\0';
	return inet_pton(AF_INET6, host + 1, addr) == 1;
}

static bool check_int(enum config_key k)
{
	char problem[100];
	int64_t n;

	if (str_int(str_of(value[k]), &n) && n >= row[k].min && n <= row[k].max)
		return true;
	(void) snprintf(problem, sizeof problem, "must be a whole number from %lld to %lld",
			(long long) row[k].min, (long long) row[k].max);
	return bad(k, problem);
}

/* ---- what a value must be, by key ---- */

/* Each part of a list separated by commas begins with one of the schemes and goes on. */
static bool is_urls(const char *list, const char *const *schemes)
{
	for (const char *p = list;; p++) {
		const size_t n = strcspn(p, ",");
		bool known = false;

		for (const char *const *s = schemes; *s != NULL; s++)
			known |= begins(p, *s) && n > strlen(*s);
		if (!known || strcspn(p, " \t\r\n") < n)
			return false;
		p += n;
		if (*p == '\0')
			return true;
	}
}

static bool check_nats(enum config_key k)
{
	static const char *const schemes[] = { "nats://", "tls://", NULL };

	return is_urls(value[k], schemes) ||
	       bad(k, "must be nats://[user:password@]host:port, several separated by commas");
}

static bool check_redis(enum config_key k)
{
	return *value[k] == '\0' || begins(value[k], "redis://") ||
	       bad(k, "must be redis://[:password@]host:port, or empty");
}

static bool check_postgres(enum config_key k)
{
	return *value[k] == '\0' || begins(value[k], "postgresql://") ||
	       begins(value[k], "postgres://") || strchr(value[k], '=') != NULL ||
	       bad(k, "must be postgresql://user:password@host:port/database");
}

static bool check_zone(enum config_key k)
{
	char path[256], magic[4] = "";

	if (*value[k] == '\0' || *value[k] == '/' || strstr(value[k], "..") != NULL ||
	    snprintf(path, sizeof path, ZONES "%s", value[k]) >= (int) sizeof path)
		return bad(k, "must be the name of a time zone, as America/Sao_Paulo");

	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, magic, sizeof magic);

	if (fd >= 0)
		(void) close(fd);
	return (n == sizeof magic && memcmp(magic, "TZif", sizeof magic) == 0) ||
	       bad(k, "no such time zone in " ZONES " (is tzdata installed?)");
}

static bool check_level(enum config_key k)
{
	static const char *const names[] = { "debug", "info", "warning", "error" };

	for (size_t i = 0; i < COUNT(names); i++)
		if (strcmp(value[k], names[i]) == 0)
			return true;
	return bad(k, "must be debug, info, warning or error");
}

static bool check_store(enum config_key k)
{
	return strcmp(value[k], "postgres") == 0 || strcmp(value[k], "s3") == 0 || bad(k, "must be postgres or s3");
}

/* One server, without a path: what follows is bucket and object. */
static bool check_s3(enum config_key k)
{
	static const char *const schemes[] = { "https://", "http://", NULL };
	const char *host = strstr(value[k], "://");

	return *value[k] == '\0' ||
	       (is_urls(value[k], schemes) && strpbrk(host + 3, "/?#@,") == NULL) ||
	       bad(k, "must be https://host[:port]");
}

static bool check_bucket(enum config_key k)
{
	return strspn(value[k], "abcdefghijklmnopqrstuvwxyz0123456789.-") == strlen(value[k]) ||
	       bad(k, "must be the name of a bucket: small letters, digits, dots and dashes");
}

static bool check_claim(enum config_key k)
{
	return *value[k] != '\0' || bad(k, "must not be empty");
}

/* It becomes the name of a file. */
static bool check_kid(enum config_key k)
{
	const size_t n = strspn(value[k], "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
					  "0123456789._-");

	return (value[k][n] == '\0' && n <= NAME_MAX_N && value[k][0] != '.') ||
	       bad(k, "must be at most 64 letters, digits, dots, dashes and underscores");
}

static bool check_signing_key(enum config_key k)
{
	if (*value[k] == '\0')
		return true;
	if (strstr(value[k], "-----BEGIN ") == NULL || strstr(value[k], "PRIVATE KEY-----") == NULL)
		return bad(k, "holds no private key in PEM (-----BEGIN PRIVATE KEY-----)");
	return true;
}

static bool check_public_keys(enum config_key k)
{
	DIR *d = *value[k] == '\0' ? NULL : opendir(value[k]);
	bool found = false;

	if (*value[k] == '\0')
		return true;
	if (d == NULL)
		return bad(k, strerror(errno));
	for (struct dirent *e; !found && (e = readdir(d)) != NULL;)
		found = e->d_name[0] != '.' && ends(e->d_name, ".pem");
	(void) closedir(d);
	return found || bad(k, "holds no <kid>.pem");
}

static bool check_request_key(enum config_key k)
{
	return *value[k] == '\0' || strlen(value[k]) >= 32 || bad(k, "must have 32 characters or more");
}

static bool check_origins(enum config_key k)
{
	static const char *const schemes[] = { "https://", "http://", NULL };
	bool well = *value[k] == '\0' || is_urls(value[k], schemes);

	/* An origin ends before the path: after the scheme there is no slash. */
	for (const char *p = value[k]; well && (p = strstr(p, "://")) != NULL;) {
		p += 3;
		well = strcspn(p, "/*") >= strcspn(p, ",");
	}
	return well || bad(k, "must be origins as https://example.org, separated by commas");
}

static bool check_proxies(enum config_key k)
{
	struct nets nets;

	return nets_read(&nets, value[k]) ||
	       bad(k, "must be addresses or networks as 10.0.0.0/8, separated by commas, 32 at most");
}

static bool (*const check[CONFIG_COUNT])(enum config_key) = {
	[CONFIG_NATS_URL]            = check_nats,
	[CONFIG_REDIS_URL]           = check_redis,
	[CONFIG_USERS_DATABASE_URL]  = check_postgres,
	[CONFIG_AGENDA_DATABASE_URL] = check_postgres,
	[CONFIG_CLINICAL_DATABASE_URL] = check_postgres,
	[CONFIG_DATABASE_URL]        = check_postgres,
	[CONFIG_TIMEZONE]            = check_zone,
	[CONFIG_JWT_PUBLIC_KEYS]     = check_public_keys,
	[CONFIG_JWT_SIGNING_KEY]     = check_signing_key,
	[CONFIG_JWT_KEY_ID]          = check_kid,
	[CONFIG_JWT_ISSUER]          = check_claim,
	[CONFIG_JWT_AUDIENCE]        = check_claim,
	[CONFIG_REQUEST_KEY]         = check_request_key,
	[CONFIG_TRUSTED_PROXIES]     = check_proxies,
	[CONFIG_CORS_ORIGINS]        = check_origins,
	[CONFIG_LOG_LEVEL]           = check_level,
	[CONFIG_FILES_STORE]         = check_store,
	[CONFIG_S3_ENDPOINT]         = check_s3,
	[CONFIG_S3_BUCKET]           = check_bucket,
};

/* What no process of the role can do without; what only some domain needs, that domain asks for. */
static const struct { enum config_key key; unsigned who; } required[] = {
	{ CONFIG_REQUEST_KEY,     C_GATEWAY | C_ACTOR },
	{ CONFIG_JWT_PUBLIC_KEYS, C_GATEWAY },
};

/* ---- names ---- */

static enum config_key key_named(const char *name, size_t n)
{
	enum config_key k = 0;

	while (k < CONFIG_COUNT && (strlen(row[k].name) != n || memcmp(row[k].name, name, n) != 0))
		k++;
	return k;
}

/* How many letters must be added, taken away or replaced (Levenshtein). */
static size_t distance(const char *a, size_t n, const char *b)
{
	size_t line[NAME_MAX_N + 1];
	const size_t m = strlen(b);

	for (size_t j = 0; j <= m; j++)
		line[j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t corner = line[0];

		line[0] = i;
		for (size_t j = 1; j <= m; j++) {
			const size_t keep = corner + (a[i - 1] != b[j - 1]);

			corner = line[j];
			line[j] = line[j] < line[j - 1] ? line[j] + 1 : line[j - 1] + 1;
			if (keep < line[j])
				line[j] = keep;
		}
	}
	return line[m];
}

static bool unknown(const char *name, size_t n, const char *suffix)
{
	size_t best = 4;		/* farther than that it is no slip of a finger */
	const char *near = NULL;

	for (int k = 0; k < CONFIG_COUNT && n <= NAME_MAX_N; k++) {
		const size_t d = distance(name, n, row[k].name);

		if (d < best && d * 3 <= n) {
			best = d;
			near = row[k].name;
		}
	}
	if (near == NULL)
		return wrong(PREFIX "%.*s%s is not a name of the configuration; "
			     "`healthmed config` lists them", (int) n, name, suffix);
	return wrong(PREFIX "%.*s%s is not a name of the configuration; is " PREFIX "%s%s meant?",
		     (int) n, name, suffix, near, suffix);
}

/* Every name in the environment that claims to be ours is one. */
static bool names_are_known(enum config_role role)
{
	for (char **e = environ; *e != NULL; e++) {
		if (!begins(*e, PREFIX))
			continue;

		const char *name = *e + PREFIX_N;
		size_t n = strcspn(name, "=");
		const bool file = n > 5 && memcmp(name + n - 5, "_FILE", 5) == 0;

		n -= file ? 5 : 0;
		if (key_named(name, n) == CONFIG_COUNT)
			return unknown(name, n, file ? "_FILE" : "");
		if (role == C_GATEWAY && n >= 12 && memcmp(name + n - 12, "DATABASE_URL", 12) == 0)
			return wrong("a gateway has no database: take " PREFIX "%.*s%s out of its "
				     "environment", (int) n, name, file ? "_FILE" : "");
	}
	return true;
}

/* ---- values ---- */

static bool keep(enum config_key k, const char *text, size_t n)
{
	char *p = arena_alloc(&mem, n + 1);

	if (p == NULL)
		return wrong(PREFIX "%s is too long", row[k].name);
	memcpy(p, text, n);
	value[k] = p;
	return true;
}

static bool read_file(enum config_key k, const char *path)
{
	static char text[FILE_MAX_N];
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t got = 0;

	if (fd < 0)
		return wrong(PREFIX "%s_FILE is '%.200s': %s", row[k].name, path, strerror(errno));
	while (n < sizeof text && (got = read(fd, text + n, sizeof text - n)) > 0)
		n += (size_t) got;

	const int err = errno;

	(void) close(fd);
	if (got < 0)
		return wrong(PREFIX "%s_FILE is '%.200s': %s", row[k].name, path, strerror(err));
	if (n == sizeof text || memchr(text, '\0', n) != NULL)
		return wrong(PREFIX "%s_FILE is '%.200s': not a text of less than %d bytes",
			     row[k].name, path, FILE_MAX_N);
	if (n > 0 && text[n - 1] == '\n')
		n--;

	const bool well = keep(k, text, n);

	explicit_bzero(text, sizeof text);
	return well;
}

static bool read_key(enum config_key k)
{
	char name[NAME_MAX_N];

	(void) snprintf(name, sizeof name, PREFIX "%s", row[k].name);
	const char *text = getenv(name);

	(void) snprintf(name, sizeof name, PREFIX "%s_FILE", row[k].name);
	const char *path = getenv(name);

	if (text != NULL && path != NULL)
		return wrong(PREFIX "%s and " PREFIX "%s_FILE are both set; one must go",
			     row[k].name, row[k].name);
	if (text == NULL && path == NULL)
		return true;
	if (!(text != NULL ? keep(k, text, strlen(text)) : read_file(k, path)))
		return false;
	if (row[k].kind == C_INT && !check_int(k))
		return false;
	if (row[k].kind == C_LISTEN && !is_listen(value[k]))
		return bad(k, "must be address:port, as 127.0.0.1:8080 or [::1]:8080");
	return check[k] == NULL || check[k](k);
}

static bool load(enum config_role role)
{
	if (!names_are_known(role))
		return false;
	for (enum config_key k = 0; k < CONFIG_COUNT; k++)
		if ((role == C_ALL || (row[k].who & role) != 0) && !read_key(k))
			return false;
	for (size_t i = 0; i < COUNT(required) && role != C_ALL; i++) {
		const enum config_key k = required[i].key;

		if ((required[i].who & role) != 0 && (value[k] == NULL || *value[k] == '\0'))
			return wrong(PREFIX "%s must be set: %s", row[k].name, row[k].text);
	}
	/* The default is held to it, too: without tzdata every hour would silently be UTC. */
	value[CONFIG_TIMEZONE] = config_text(CONFIG_TIMEZONE);
	return check_zone(CONFIG_TIMEZONE);
}

const char *config_load(enum config_role role)
{
	if (mem.base == NULL)
		arena_init(&mem, storage, sizeof storage);
	arena_reset(&mem);
	memset(value, 0, sizeof value);
	loaded = role;
	if (!load(role)) {
		memset(value, 0, sizeof value);
		return why;
	}
	(void) setenv("TZ", value[CONFIG_TIMEZONE], 1);
	tzset();
	return NULL;
}

const char *config_text(enum config_key k)
{
	assert(loaded == 0 || loaded == C_ALL || (row[k].who & loaded) != 0);
	return value[k] != NULL ? value[k] : row[k].dflt;
}

int64_t config_int(enum config_key k)
{
	int64_t n = 0;

	assert(row[k].kind == C_INT);
	(void) str_int(str_of(config_text(k)), &n);	/* checked when it was read */
	return n;
}

/* ---- for people ---- */

static const char *shown(enum config_key k)
{
	if (row[k].kind == C_SECRET)
		return value[k] != NULL && *value[k] != '\0' ? "(set)" : "(not set)";
	return value[k] != NULL ? value[k] : row[k].dflt;
}

static const char *roles(unsigned who)
{
	static const char *const name[] = { "-", "gateway", "actor", "gateway, actor", "admin",
		"gateway, admin", "actor, admin", "all" };

	return name[who & C_ALL];
}

static const char *or_dash(const char *s)
{
	return *s == '\0' ? "-" : s;
}

static int wider(int width, const char *s)
{
	const int n = (int) strlen(s);

	return n > width ? n : width;
}

void config_print(void)
{
	int name = 0, val = 0, dflt = 0, who = 0;

	for (enum config_key k = 0; k < CONFIG_COUNT; k++) {
		name = wider(name, row[k].name);
		val  = wider(val, shown(k));
		dflt = wider(dflt, row[k].dflt);
		who  = wider(who, roles(row[k].who));
	}
	name += PREFIX_N;
	(void) printf("%-*s  %-*s  %-*s  %-*s  %s\n", name, "name", val, "value", dflt, "default",
		      who, "read by", "what it is");
	for (enum config_key k = 0; k < CONFIG_COUNT; k++)
		(void) printf(PREFIX "%-*s  %-*s  %-*s  %-*s  %s\n", name - PREFIX_N, row[k].name,
			      val, or_dash(shown(k)), dflt, or_dash(row[k].dflt), who,
			      roles(row[k].who), row[k].text);
}
