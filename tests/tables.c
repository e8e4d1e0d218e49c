/*
 * tables.c - prints the tables of routes, calls, messages and errors as JSON, for the tests that hold
 * the outside face against them.
 *
 * Must not know a route or a field: whatever the tables have, is printed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "broker/call.h"
#include "web/routes.h"

enum { MESSAGES = 256 };

static const char *const kind_name[] = {
	[K_BOOL] = "BOOL", [K_INT] = "INT", [K_REAL] = "REAL", [K_MONEY] = "MONEY",
	[K_RATING] = "RATING", [K_TIME] = "TIME", [K_DATE] = "DATE", [K_CLOCK] = "CLOCK",
	[K_TEXT] = "TEXT", [K_BYTES] = "BYTES", [K_ENUM] = "ENUM", [K_OBJECT] = "OBJECT",
	[K_LIST] = "LIST", [K_INTS] = "INTS", [K_TIMES] = "TIMES",
};
static const char *const from_name[] = { [FROM_PATH] = "PATH", [FROM_QUERY] = "QUERY",
	[FROM_BODY] = "BODY", [FROM_OURS] = "OURS" };
static const char *const auth_name[] = { [AUTH_DENY] = "DENY", [AUTH_PUBLIC] = "PUBLIC",
	[AUTH_TOKEN] = "TOKEN", [AUTH_PATIENT] = "TOKEN", [AUTH_LINK] = "LINK" };
static const char *const via_name[] = { [REQUEST] = "REQUEST", [SCOPED] = "SCOPED", [HASHED] = "HASHED", [SHARED] = "SHARED", [KNOWN] = "KNOWN",
	[LOCATED] = "LOCATED", [ATTESTED] = "ATTESTED", [CONCLUDED] = "CONCLUDED",
	[UPLOAD] = "UPLOAD", [DOWNLOAD] = "DOWNLOAD", [EXPORT] = "EXPORT",
	[MAILBOX_NAMED] = "MAILBOX_NAMED", [MAILBOX_OWN] = "MAILBOX_OWN",
	[MAILBOX_LOCATED] = "MAILBOX_LOCATED", [MAILBOX_MOVES] = "MAILBOX_MOVES" };
static const char *const tx_name[] = { [TX_NONE] = "NONE", [TX_READ] = "READ", [TX_WRITE] = "WRITE" };
static const struct { enum role role; const char *name; } roles[] = {
	{ ROLE_PUBLIC, "public" }, { ROLE_PATIENT, "patient" }, { ROLE_DOCTOR, "doctor" },
};

/* Of the messages, those that were named so far; each is printed once. */
static const struct msg *named[MESSAGES];
static size_t nnamed;

static const char *name_of(const struct msg *m)
{
	size_t i = 0;

	while (i < nnamed && named[i] != m)
		i++;
	if (i == nnamed && nnamed < MESSAGES)
		named[nnamed++] = m;
	return m->name;
}

static void comma(size_t i) { (void) fputs(i > 0 ? ",\n" : "\n", stdout); }

static void put_field(const struct field *f)
{
	printf("{\"name\":\"%s\",\"from\":\"%s\",\"kind\":\"%s\",\"required\":%s,\"min\":%" PRId64
	       ",\"max\":%" PRId64, f->name, from_name[f->from], kind_name[f->kind],
	       f->need == NEED_REQ ? "true" : "false", f->min, f->max);
	if (f->kind == K_OBJECT || f->kind == K_LIST)
		printf(",\"of\":\"%s\"", name_of(f->of.msg));
	if (f->kind == K_ENUM) {
		printf(",\"words\":[");
		for (size_t i = 0; f->of.names[i] != NULL; i++)
			printf("%s\"%s\"", i > 0 ? "," : "", f->of.names[i]);
		printf("]");
	}
	printf("}");
}

static void put_roles(unsigned who)
{
	size_t n = 0;

	for (size_t i = 0; i < COUNT(roles); i++)
		if (who & roles[i].role)
			printf("%s\"%s\"", n++ > 0 ? "," : "", roles[i].name);
}

static void put_call(const struct call *k)
{
	printf("\"%s\":{\"who\":[", k->name);
	put_roles(k->who);
	printf("],\"tx\":\"%s\",\"via\":\"%s\",\"mailbox\":%s,\"req\":\"%s\",\"answer\":\"%s\"}",
	       tx_name[k->tx], via_name[k->via], CALL_IS_MAILBOX(k) ? "true" : "false",
	       name_of(k->req), name_of(k->answer));
}

int main(void)
{
	printf("{\"routes\":[");
	for (size_t i = 0; i < nroute; i++) {
		const struct route *r = &route[i];

		comma(i);
		printf("{\"method\":\"%s\",\"path\":\"%s\",\"auth\":\"%s\",\"ok\":%d,\"call\":\"%s\",\"only\":[",
		       r->method, r->path, auth_name[r->auth], r->ok, call[r->call].name);
		put_roles(r->auth == AUTH_PATIENT ? ROLE_PATIENT : call[r->call].who);
		printf("]}");
	}
	printf("],\n\"calls\":{");
	for (size_t i = 0; i < CALL_COUNT; i++) {
		comma(i);
		put_call(&call[i]);
	}
	printf("},\n\"messages\":{");
	for (size_t i = 0; i < nnamed; i++) {		/* fields may name more */
		comma(i);
		printf("\"%s\":[", named[i]->name);
		for (size_t k = 0; k < named[i]->nfields; k++) {
			comma(k);
			put_field(&named[i]->fields[k]);
		}
		printf("]");
	}
	printf("},\n\"errors\":{");
	for (size_t i = 1; i < ERR_COUNT; i++) {
		comma(i - 1);
		printf("\"%s\":%d", err_info[i].code, err_info[i].http);
	}
	printf("}}\n");
	return 0;
}
