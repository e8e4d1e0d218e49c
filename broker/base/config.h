/*
 * config.h - everything that can be set, one row a key: HEALTHMED_<NAME> in the environment,
 * or the name of a file that holds it in HEALTHMED_<NAME>_FILE.
 *
 * Read once, before any thread exists; a wrong value or an unknown HEALTHMED_ name refuses to
 * start and is named.  `who` says which roles of a process read a key; a secret is never printed.
 */
#ifndef BROKER_BASE_CONFIG_H
#define BROKER_BASE_CONFIG_H
#include "broker/base/str.h"

enum config_kind { C_TEXT, C_INT, C_PATH, C_LISTEN, C_SECRET };
enum config_role {
	C_GATEWAY = 1, C_ACTOR = 2, C_ADMIN = 4,	/* C_ADMIN: migrate, verify, seed … */
	C_ALL = C_GATEWAY | C_ACTOR | C_ADMIN,		/* `healthmed config`: reads all, requires none */
};

/*        name                 kind    who                    default        min max   what it is */
#define CONFIG_TABLE(X)                                                                                      \
	X(HTTP_LISTEN,            LISTEN, C_GATEWAY,                 "127.0.0.1:8080", 0, 0, "address of the API") \
	X(ADMIN_LISTEN,           LISTEN, C_GATEWAY | C_ACTOR,       "127.0.0.1:0", 0, 0, "address of /metrics, /livez and /readyz of this process; port 0 picks a free one") \
	X(NATS_URL,               SECRET, C_GATEWAY | C_ACTOR | C_ADMIN, "nats://127.0.0.1:4222", 0, 0, "NATS servers, separated by commas") \
	X(USERS_DATABASE_URL,     SECRET, C_ACTOR,                   "", 0, 0, "PostgreSQL of the users; actors log in as healthmed_<domain>") \
	X(AGENDA_DATABASE_URL,    SECRET, C_ACTOR,                   "", 0, 0, "PostgreSQL of the agendas") \
	X(CLINICAL_DATABASE_URL,  SECRET, C_ACTOR,                   "", 0, 0, "PostgreSQL of reports and files") \
	X(DATABASE_URL,           SECRET, C_ADMIN,                   "", 0, 0, "PostgreSQL as its owner: migrate, verify, seed") \
	X(FILES_MASTER_KEYS,      SECRET, C_ACTOR,                   "", 0, 0, "keys of stored files, name:base64url of 32 bytes, separated by commas; the first wraps, all unwrap") \
	X(FILES_STORE,            TEXT,   C_ACTOR,                   "postgres", 0, 0, "where new files go: postgres or s3") \
	X(S3_ENDPOINT,            TEXT,   C_ACTOR,                   "", 0, 0, "https://host[:port] of an S3 for files") \
	X(S3_REGION,              TEXT,   C_ACTOR,                   "us-east-1", 0, 0, "its region") \
	X(S3_BUCKET,              TEXT,   C_ACTOR,                   "", 0, 0, "the bucket for files in it") \
	X(S3_ACCESS_KEY,          TEXT,   C_ACTOR,                   "", 0, 0, "who signs there") \
	X(S3_SECRET_KEY,          SECRET, C_ACTOR,                   "", 0, 0, "with what") \
	X(REDIS_URL,              SECRET, C_ACTOR,                   "", 0, 0, "cache, redis://[:password@]host:port; empty: none") \
	X(TIMEZONE,               TEXT,   C_GATEWAY | C_ACTOR | C_ADMIN, "America/Sao_Paulo", 0, 0, "zone of the clinic") \
	X(JWT_PUBLIC_KEYS,        PATH,   C_GATEWAY,                 "", 0, 0, "folder of public keys, <kid>.pem each") \
	X(JWT_SIGNING_KEY,        SECRET, C_ACTOR | C_ADMIN,         "", 0, 0, "private key (PEM, P-256) of the users actor") \
	X(JWT_KEY_ID,             TEXT,   C_ACTOR | C_ADMIN,         "", 0, 0, "kid of that key; one that begins with dev- is for development") \
	X(JWT_ISSUER,             TEXT,   C_GATEWAY | C_ACTOR | C_ADMIN, "healthmed", 0, 0, "iss of tokens") \
	X(JWT_AUDIENCE,           TEXT,   C_GATEWAY | C_ACTOR | C_ADMIN, "healthmed", 0, 0, "aud of tokens") \
	X(JWT_LIFETIME_S,         INT,    C_ACTOR | C_ADMIN,         "3600", 60, 86400, "how long a token lives") \
	X(SESSIONS_PER_USER,      INT,    C_ACTOR,                   "20", 1, 1000, "how many sessions a user has at most: one more, and the oldest ends") \
	X(REFRESH_LIFETIME_S,     INT,    C_ACTOR,                   "2592000", 60, 31536000, "how long a session lives that is not refreshed") \
	X(REQUEST_KEY,            SECRET, C_GATEWAY | C_ACTOR | C_ADMIN, "", 0, 0, "secret of request ids and body hashes, 32 characters or more, the same everywhere") \
	X(GATEWAY_THREADS,        INT,    C_GATEWAY,                 "512", 8, 20000, "connections served at the same time, a thread each") \
	X(GATEWAY_KEEP_MS,        INT,    C_GATEWAY,                 "250", 0, 10000, "milliseconds that answers which are the same for all, of doctors and free slots, are kept; 0: not at all") \
	X(WORKERS,                INT,    C_ACTOR,                   "4", 1, 256, "threads of each pool, a database session each") \
	X(STREAM_REPLICAS,        INT,    C_ACTOR,                   "1", 1, 5, "replicas of each stream") \
	X(BOOKING_MAX_BYTES,      INT,    C_ACTOR,                   "1073741824", 1048576, INT64_C(1) << 50, "size of the stream BOOKING; a full one answers 503") \
	X(BOOKING_KEEP_S,         INT,    C_ACTOR,                   "259200", 1, 31536000, "seconds that a decided command stays in the stream BOOKING, while there is room") \
	X(LIMIT_REGISTRATIONS,    INT,    C_GATEWAY,                 "60", 1, 1000000000, "POST /users of one address in a minute") \
	X(LIMIT_LOGINS,           INT,    C_GATEWAY,                 "120", 1, 1000000000, "POST /users/login and /users/token of one address in a minute") \
	X(LIMIT_REQUESTS,         INT,    C_GATEWAY,                 "600000", 1, 1000000000, "requests of one address in a minute") \
	X(TRUSTED_PROXIES,        TEXT,   C_GATEWAY,                 "", 0, 0, "addresses or networks of proxies whose X-Forwarded-For is believed, separated by commas") \
	X(CORS_ORIGINS,           TEXT,   C_GATEWAY,                 "", 0, 0, "origins that browsers may call from, separated by commas") \
	X(LOG_LEVEL,              TEXT,   C_GATEWAY | C_ACTOR | C_ADMIN, "info", 0, 0, "debug, info, warning or error") \
	X(BIN,                    PATH,   0,                         "", 0, 0, "this program, for scripts; not read")

enum config_key {
#define X(name, kind, who, dflt, min, max, text) CONFIG_##name,
	CONFIG_TABLE(X)
#undef X
	CONFIG_COUNT
};

/* Reads the environment for a process of that role, and sets TZ.  NULL, or one line that says
 * what is wrong: a static text, good until the next call.  Only the role's own keys are read, but
 * every name must be known.  A gateway that finds a database URL is refused: all it can do is send
 * messages. */
const char *config_load(enum config_role);

/* Of a key that the role does not read: our bug, asserted.  Before config_load: the default. */
const char *config_text(enum config_key);	/* never NULL; lives until the next config_load */
int64_t     config_int(enum config_key);	/* of a C_INT */
void        config_print(void);			/* `healthmed config`: every key, its value and meaning */
#endif
