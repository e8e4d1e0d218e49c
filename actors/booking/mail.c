/* mail.c - see mail.h.  Whatever a message holds, it is never a reason to stop. */
#include <string.h>
#include "actors/booking/mail.h"
#include "broker/partition.h"
#include "broker/wire.h"

enum { ROOM_A_BYTE = 16, ROOM_TO_READ = 16 << 10 };	/* a number of one byte becomes one of eight */

static struct str text_of(const char *header)
{
	return header ? str_of(header) : STR("");
}

static void bury(struct mail *m, const char *why)
{
	m->dead = m->command.request_id.n > 0 ? DEAD_ANSWERED : DEAD_SILENT;
	m->why = why;
}

/* "<inbox> <token>"; anything else is nobody.  An answer goes to inboxes alone: to other subjects we
 * might be allowed to speak where the sender is not, and a malformed one costs the connection. */
static void read_inbox(struct mail *m)
{
	static const char prefix[] = "_INBOX.", letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
		"abcdefghijklmnopqrstuvwxyz-_.";
	const char *inbox = bus_header(m->msg, WIRE_INBOX);
	const size_t n = inbox ? strspn(inbox, letters) : 0;

	if (n < sizeof prefix || strncmp(inbox, prefix, sizeof prefix - 1) != 0 || inbox[n] != ' ' ||
	    inbox[n - 1] == '.' || strstr(inbox, "..") != NULL || !str_int(str_of(inbox + n + 1), &m->token))
		return;
	m->inbox = inbox;
	m->inbox_n = n;
}

static void read_message(struct ctx *c, struct mail *m)
{
	struct command *k = &m->command;
	const struct str verb = text_of(bus_header(m->msg, WIRE_CALL));
	const struct str body = bus_body(m->msg);
	struct str hashed[] = { verb, body };
	struct ctx sender = { .mem = c->mem };
	struct request_id id;
	int partition;

	*k = (struct command) { .call = call_named(verb), .seq = m->seq };
	read_inbox(m);

	const struct str name = text_of(bus_header(m->msg, WIRE_REQUEST));

	if (request_id_read(name, &id)) {
		k->request_id = name;
		k->id = id.nonce;
	}
	if (!partition_read(bus_subject(m->msg), &partition, &k->doctor_id)) {
		bury(m, "foreign subject");
		return;
	}
	if (k->request_id.n == 0 || id.doctor != k->doctor_id) {
		k->request_id.n = 0;
		bury(m, "no request id");
		return;
	}
	if (wire_get_ctx(&sender, bus_header(m->msg, WIRE_USER), bus_header(m->msg, WIRE_ROLE), NULL,
			 bus_header(m->msg, WIRE_TRACE)).code ||
	    (sender.user == 0 && sender.role != ROLE_SYSTEM)) {
		bury(m, "no user");
		return;
	}
	k->user = sender.user;
	k->role = sender.role;
	k->if_match = bus_header(m->msg, WIRE_IF_MATCH);
	k->body_hash = digest_of(str_of(c->secret), hashed, COUNT(hashed));
	if (k->call == CALL_COUNT || !CALL_IS_MAILBOX(&call[k->call])) {
		bury(m, "unknown call");
		return;
	}
	if (m->refused > 0) {
		bury(m, "not storable");
		return;
	}

	void *req = arena_alloc(c->mem, call[k->call].req->size);

	if (req == NULL || msg_from_pack(&sender, call[k->call].req, body, req).code)
		bury(m, "unreadable");
	k->req = req;
	/* Whose it was before, a copy finds otherwise. */
	if (!m->dead && call[k->call].via == MAILBOX_MOVES &&
	    msg_said(c, call[k->call].req, req, &hashed[1]).code == ERR_none)
		k->body_hash = digest_of(str_of(c->secret), hashed, COUNT(hashed));
}

err_t mail_read(struct ctx *c, struct mail *m)
{
	*m = (struct mail) { .partition = m->partition, .seq = m->seq, .time = m->time, .msg = m->msg,
		.refused = m->refused };
	if (c->mem->cap - c->mem->used < ROOM_TO_READ + ROOM_A_BYTE * bus_body(m->msg).n)
		return ERR(too_large);
	read_message(c, m);
	if (m->refused > 1)
		m->dead = DEAD_SILENT;	/* nor could the verdict be stored */
	return OK;
}
