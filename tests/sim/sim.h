/*
 * sim.h - a simulated history: doctors' mailboxes in a world of chance, and what its parts share.
 *
 * The owners of partitions are the product's own object files (mailbox, batch, owner, mail, decide ...);
 * what they know of the world they know by db.h, stream.h, bus.h and clock.h, and these are bound here
 * to a database, a stream and a clock that are simulated.  One thread: an owner runs until it asks the
 * world something, then chance says who goes on, and whether something breaks.  All chance comes from
 * the seed: the same seed is the same history, to the last step.
 *
 *	world.c    time, chance, steps, owners, faults        stream.c   the stream and the bus
 *	clients.c  who sends commands, and what it is told     database.c the database
 *	judge.c    what must be true, after each commit and in the end
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H
#include <stdio.h>
#include "actors/booking/batch.h"
#include "broker/base/clock.h"
#include "broker/partition.h"
#include "broker/stream.h"

#define NEVER INT64_MAX

/* Runs one history.  NULL: every promise held; else what broke (a text that lives until the next). */
const char *sim_run(uint64_t seed, bool loud);
uint64_t    sim_print(void);	/* of the last history: differs when anything went another way */

/* ---- world.c ---- */

enum { OWNERS = 3, SESSIONS = 32 };
enum task { T_OWNER, T_SESSION = T_OWNER + OWNERS, T_NETWORK = T_SESSION + SESSIONS, T_CLIENTS, T_STANDBY,
	T_FAULTS, TASKS };

extern struct world {
	struct arena mem;		/* lives as long as the history */
	int64_t now;			/* since it began */
	int64_t at[TASKS];		/* when each may go on */
	int64_t quiet_at;		/* from then on nothing breaks any more */
	int     nowners;
	int64_t patience;		/* how far apart, in microseconds, things usually happen */
	int64_t slowness;		/* what a statement takes, in microseconds, beside the usual */
	int     unreliable;		/* per mille: statements that fail for no reason of theirs */
	int     poisonous;		/* per mille of commands */
} world;

uint64_t draw(uint64_t n);		/* 0 ... n - 1 */
bool     chance(int per_mille);
int64_t  soon(void);			/* a moment from now, a little later than others or much */
void     trace(const char *fmt, ...) PRINTF(1, 2);
void     broken(const char *fmt, ...) PRINTF(1, 2);	/* the first one counts; the history ends */
bool     is_broken(void);
void    *keep(const void *, size_t);	/* a copy that lives as long as the history */
struct str keep_str(struct str);

void     step_until(int64_t at);	/* the owner that runs lets the world go on */
int      running(void);			/* which one that is; -1: none */
void     wake(int owner);		/* something came for it */
int64_t  wall(void);			/* the true one */

/* ---- stream.c: all that was ever stored ---- */

enum poison {
	POISON_NOT,
	POISON_BODY, POISON_CALL, POISON_NAMELESS,	/* as a message */
	POISON_READ,					/* the database cannot look for what it names */
	POISON_ROW,					/* nor store what became of it */
	POISON_VERDICT,					/* nor that it failed */
};
enum { MESSAGES = 1024, POISONOUS_SLOT = 666 };

struct message {
	int64_t        created, seq, time;	/* the stream's, and in it */
	int            partition;
	const char    *subject;
	struct headers headers;
	struct str     body;
	struct digest  id;			/* of the request; zero: none */
	enum poison    poison;
	enum { STAYS, PURGED, LOST } fate;
};
extern struct message message[MESSAGES];
extern size_t nmessages;

void  stream_begin(void);
void  network_step(void);		/* messages travel to readers */
/* The index of the message; -1: it was not stored. */
int   stream_store(const struct message *);
void  stream_recreate(void);
void  stream_truncate(void);
void  stream_forget_one(void);
void  stream_away(int owner, int64_t until);	/* -1: from everybody */
void  stream_break(int owner);		/* some part of its reader */
struct bus_msg *bus_msg_for(const struct message *);	/* lives as long as the history */
void  bus_release(int owner);		/* its process is gone: what it held goes with it */
struct bus *bus_of(int owner);

/* ---- database.c ---- */

enum { SLOTS = 1024, APPOINTMENTS = 512, REQUESTS = 1024, MOVES = 256, DEAD = 1024 };
struct decided { struct booking_request row; int64_t batch_id, decided_at; };
struct wrote { const struct booking_writes *w; };

struct tables {
	size_t nslots, nappointments, nrequests, nmoves, ndead, nwrote;
	bool                       has_cursor[PARTITIONS];
	struct booking_cursor      cursor[PARTITIONS];
	struct booking_slot        slot[SLOTS];
	struct booking_appointment appointment[APPOINTMENTS];
	struct decided             request[REQUESTS];
	struct booking_move        move[MOVES];
	struct booking_dead        dead[DEAD];
	struct wrote               wrote[REQUESTS];	/* what each transaction wrote, in their order */
};
extern struct tables committed;

/* Which accounts a batch found erased. */
enum { LOST_MAX = 4096 };
struct lost_account { int64_t batch_id, account; };
extern struct lost_account lost_account[LOST_MAX];
extern size_t nlost;

void  database_begin(void);
void  session_step(int session);
void  database_away(int64_t until);
void  standby_away(int64_t until);	/* then it is back, or takes over */
void  standby_step(void);
void  session_cut(int owner, bool by_server);
void  session_is_robbed(int owner);	/* of its locks of partitions: they save work, no more */
void  sessions_doomed_end(void);
void  session_orphan(int owner);	/* its process is gone */
unsigned owned_by(int owner);		/* partitions, as bits */
const struct decided *decided_of(struct digest);
bool  is_dead(int64_t created, int64_t seq);

/* ---- clients.c ---- */

enum { WISHES = 160, ATTEMPTS = 512 };
struct wish {				/* one request and its body */
	enum call_id  call;
	int64_t       user, doctor;
	enum role     role;
	struct str    body, other;	/* other: with which its key comes back wrongly; empty: never */
	char          id[64];
	bool          stale;		/* it relies on a state that never was */
	enum poison   poison;
};
struct attempt {			/* one copy of it, sent by some gateway */
	struct wish *wish;
	int          message;		/* -1: it was not stored */
	int          gateway;		/* -1: that is gone */
	struct str   told;
};
extern struct attempt attempt[ATTEMPTS];
extern size_t nattempts;

void  clients_begin(void);
void  clients_step(void);
bool  clients_are_done(void);
void  clients_told(struct str inbox, struct str answers);
void  gateway_dies(void);
bool  clients_erased(int64_t account);
const struct wish *wish_of(struct digest);

/* ---- judge.c ---- */

void  judge_commit(const struct tables *before, const struct booking_writes *);
void  judge_alarm(const struct booking_cursor *);
void  judge_told(const struct attempt *);
void  judge_purge(const struct message *);
const struct message *judge_waiting(void);	/* accepted, and not decided; NULL: all is */
bool  judge_is_even(void);		/* every partition is owned, by each as many, or one more */
void  judge_end(void);
#endif
