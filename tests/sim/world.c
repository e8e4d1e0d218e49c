/* world.c - see sim.h: time, chance, steps, owners and what happens to them. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include "actors/booking/mailbox.h"
#include "broker/base/config.h"
#include "broker/base/log.h"
#include "tests/sim/sim.h"

/* ASan wants to know which stack is in use. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define DEPART(save, stack, size)  __sanitizer_start_switch_fiber(save, stack, size)
#define ARRIVE(saved, stack, size) __sanitizer_finish_switch_fiber(saved, stack, size)
#define CLEAN(stack, size)         __asan_unpoison_memory_region(stack, size)
#else
#define DEPART(save, stack, size)  ((void) (save), (void) (stack), (void) (size))
#define ARRIVE(saved, stack, size) ((void) (saved), (void) (stack), (void) (size))
#define CLEAN(stack, size)         ((void) (stack), (void) (size))
#endif

enum { ANY = 1000000, STACK = 512 << 10, ROOM = 96 << 20, STEPS_MAX = 400000 };
#define BEGAN (INT64_C(1735700400) * SECOND)	/* what the clocks show when a history begins */
#define BOUND (8 * SECOND)			/* within which all is owned evenly, once nothing breaks */
#define DRAIN (20 * SECOND)			/* within which all that was accepted is decided */

struct world world;

static struct owner_process {
	enum { DOWN, UP } state;
	struct mailbox *mailbox;
	ucontext_t      context;
	void           *stack, *shadow;
	int64_t         back_at;		/* when a process that is down is started */
	int64_t         frozen_until;
	int64_t         skew;			/* of its wall clock */
	bool            ended;			/* its loop returned */
} owner[OWNERS];

static ucontext_t outside;
static void      *outside_shadow;
static const void *outside_stack;
static size_t     outside_size;
static int        runs = -1;
static uint64_t   state[4], print;
static bool       loud;
static char       why[512];

/* ---- chance and time ---- */

static uint64_t splitmix(uint64_t *x)
{
	uint64_t z = *x += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* xoshiro256**, of Blackman and Vigna. */
uint64_t draw(uint64_t n)
{
	const uint64_t m = state[1] * 5, result = (m << 7 | m >> 57) * 9, t = state[1] << 17;

	state[2] ^= state[0];
	state[3] ^= state[1];
	state[1] ^= state[2];
	state[0] ^= state[3];
	state[2] ^= t;
	state[3] = state[3] << 45 | state[3] >> 19;
	return n == 0 ? 0 : result % n;
}

bool chance(int per_mille)
{
	return (int64_t) draw(1000) < per_mille;
}

int64_t soon(void)
{
	const uint64_t far = draw(100);

	return world.now + 10 + (int64_t) draw(far == 0 ? 40 * MS : far < 10 ? 5 * MS : 300);
}

int64_t wall(void)       { return BEGAN + world.now; }
int64_t clock_mono(void) { return SECOND + world.now; }
int64_t clock_wall(void) { return wall() + (runs < 0 ? 0 : owner[runs].skew); }

void clock_rest(int64_t us)
{
	step_until(world.now + us);
}

int64_t clock_left(int64_t deadline)
{
	const int64_t left = deadline - clock_mono();

	return deadline == 0 ? INT64_MAX : left > 0 ? left : 0;
}

/* ---- what is said ---- */

static void note(const char *fmt, va_list ap)
{
	(void) printf("%10.6f  ", (double) world.now / 1e6);
	if (runs >= 0)
		(void) printf("owner %d  ", runs);
	(void) vprintf(fmt, ap);
	(void) putchar('\n');
}

void trace(const char *fmt, ...)
{
	va_list ap;

	if (!loud)
		return;
	va_start(ap, fmt);
	note(fmt, ap);
	va_end(ap);
}

void broken(const char *fmt, ...)
{
	va_list ap;

	if (why[0] != '\0')
		return;
	va_start(ap, fmt);
	(void) vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	trace("BROKEN: %s", why);
}

bool is_broken(void)
{
	return why[0] != '\0';
}

void log_line(enum log_level level, const char *event, const char *id, const char *members, ...)
{
	char text[512];
	va_list ap;

	(void) level, (void) id;
	if (!loud)
		return;
	va_start(ap, members);
	(void) vsnprintf(text, sizeof text, members, ap);
	va_end(ap);
	trace("log: %s %s", event, text);
}

const char *log_text(const char *text, char *out, size_t size)
{
	(void) snprintf(out, size, "%s", text);
	return out;
}

void *keep(const void *p, size_t n)
{
	void *copy = arena_alloc(&world.mem, n + 1);

	if (copy == NULL) {
		(void) fputs("sim: a history does not fit into its room\n", stderr);
		abort();
	}
	if (n > 0 && p != NULL)
		memcpy(copy, p, n);
	return copy;
}

struct str keep_str(struct str s)
{
	return (struct str) { s.p == NULL ? NULL : keep(s.p, s.n), s.n };
}

/* ---- owners: each has a stack of its own, and leaves it whenever it asks the world something ---- */

static void leave(struct owner_process *o, bool for_good)
{
	const int was = runs;

	runs = -1;
	DEPART(for_good ? NULL : &o->shadow, outside_stack, outside_size);
	(void) swapcontext(&o->context, &outside);
	ARRIVE(o->shadow, &outside_stack, &outside_size);
	runs = was;
}

static void enter(int i)
{
	runs = i;
	DEPART(&outside_shadow, owner[i].stack, STACK);
	(void) swapcontext(&outside, &owner[i].context);
	ARRIVE(outside_shadow, NULL, NULL);
	runs = -1;
}

static void live(int i)
{
	struct owner_process *o = &owner[i];

	ARRIVE(NULL, &outside_stack, &outside_size);
	mailbox_run(o->mailbox);
	o->ended = true;
	leave(o, true);
}

void step_until(int64_t at)
{
	if (runs < 0)
		return;
	world.at[T_OWNER + runs] = at;
	leave(&owner[runs], false);
}

int running(void)
{
	return runs;
}

void wake(int i)
{
	const int64_t at = soon();

	if (i >= 0 && owner[i].state == UP && world.at[T_OWNER + i] > at)
		world.at[T_OWNER + i] = at;
}

static void start_owner(int i)
{
	struct owner_process *o = &owner[i];

	trace("owner %d starts", i);
	if (mailbox_open(bus_of(i), "", &o->mailbox).code)
		abort();
	if (o->stack == NULL)
		o->stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CLEAN(o->stack, STACK);
	(void) getcontext(&o->context);
	o->context.uc_stack.ss_sp = o->stack;
	o->context.uc_stack.ss_size = STACK;
	o->context.uc_link = NULL;
	makecontext(&o->context, (void (*)(void)) (uintptr_t) live, 1, i);
	o->state = UP;
	o->ended = false;
	o->frozen_until = 0;
	world.at[T_OWNER + i] = soon();
}

/* The process is gone, wherever it was: its session and its messages are left to the world. */
static void stop_owner(int i, int64_t back_at)
{
	struct owner_process *o = &owner[i];

	if (o->state == DOWN)
		return;
	session_orphan(i);
	mailbox_close(o->mailbox);
	bus_release(i);
	o->state = DOWN;
	o->back_at = world.at[T_OWNER + i] = back_at;
}

static void owner_step(int i)
{
	struct owner_process *o = &owner[i];

	if (o->state == DOWN) {
		start_owner(i);
		return;
	}
	if (o->frozen_until > world.now) {
		world.at[T_OWNER + i] = o->frozen_until;
		return;
	}
	enter(i);
	if (o->ended)
		stop_owner(i, o->back_at);
}

/* ---- what breaks ---- */

static int64_t while_(int64_t from_ms, int64_t to_ms)
{
	return world.now + (from_ms + (int64_t) draw((uint64_t) (to_ms - from_ms))) * MS;
}

static int some_owner(void)
{
	return (int) draw((uint64_t) world.nowners);
}

static void kill_owner(void)
{
	const int i = some_owner();

	trace("owner %d is killed", i);
	stop_owner(i, while_(50, 3000));
}

static void kill_all(void)
{
	trace("all owners are killed");
	for (int i = 0; i < world.nowners; i++)
		stop_owner(i, while_(50, 3000));
}

static void end_owner(void)
{
	const int i = some_owner();

	if (owner[i].state == DOWN)
		return;
	trace("owner %d is to end", i);
	owner[i].back_at = while_(50, 2000);
	mailbox_end(owner[i].mailbox);
}

static void freeze_owner(void)
{
	const int i = some_owner();

	owner[i].frozen_until = chance(300) ? while_(2000, 6000) : while_(5, 1500);
	trace("owner %d is frozen until %.3f", i, (double) owner[i].frozen_until / 1e6);
}

static void freeze_all(void)
{
	const int64_t until = while_(2000, 60000);

	trace("all stands still until %.3f", (double) until / 1e6);
	for (int i = 0; i < world.nowners; i++)
		owner[i].frozen_until = until;
	if (world.at[T_CLIENTS] < until)
		world.at[T_CLIENTS] = until;
	if (world.quiet_at < until)
		world.quiet_at = until;
}

/* What is there grows older than is kept; what waits, too. */
static void pass_hours(void)
{
	trace("two hours pass");
	world.now += 7200 * SECOND;
	world.quiet_at += 7200 * SECOND;
}

static void set_clock(void)
{
	const int i = some_owner();

	owner[i].skew = ((int64_t) draw(1200) - 600) * SECOND;
	trace("the clock of owner %d is off by %d s", i, (int) (owner[i].skew / SECOND));
}

static void cut_session(void)   { session_cut(some_owner(), false); }
static void end_session(void)   { session_cut(some_owner(), true); }
static void rob_session(void)   { session_is_robbed(some_owner()); }
static void lose_database(void) { database_away(while_(20, 3000)); }
static void lose_standby(void)  { standby_away(while_(20, 2500)); }
static void lose_nats(void)     { stream_away(-1, while_(20, 3000)); }
static void lose_way(void)      { stream_away(some_owner(), while_(20, 3000)); }
static void break_reader(void)  { stream_break(some_owner()); }

/* `most`: in one history; too much of what loses messages leaves nothing to decide. */
static const struct { const char *name; void (*happens)(void); int weight, most; } fault_table[] = {
	{ "kill",        kill_owner,        20, ANY },
	{ "kill all",    kill_all,           3, 3 },
	{ "end",         end_owner,         10, ANY },
	{ "freeze",      freeze_owner,      30, ANY },
	{ "standstill",  freeze_all,         2, 1 },
	{ "clock",       set_clock,          5, ANY },
	{ "hours",       pass_hours,         6, 1 },
	{ "cut",         cut_session,       25, ANY },
	{ "ended",       end_session,       10, ANY },
	{ "robbed",      rob_session,        6, 4 },
	{ "database",    lose_database,      8, 6 },
	{ "standby",     lose_standby,       8, 6 },
	{ "nats",        lose_nats,          6, 5 },
	{ "way",         lose_way,           8, ANY },
	{ "reader",      break_reader,      20, ANY },
	{ "recreate",    stream_recreate,    4, 2 },
	{ "truncate",    stream_truncate,    5, 3 },
	{ "bit flip",    stream_forget_one,  5, 5 },
	{ "gateway",     gateway_dies,       8, ANY },
};

static int      happened[COUNT(fault_table)];
static unsigned swarm;		/* which of them this history knows: none at all is one, too */
static int64_t  apart;		/* how far apart they are, at most */
static uint64_t steps_apart;	/* and how many steps, for those that strike where something goes on */

static void something_breaks(void)
{
	int total = 0, which;

	for (size_t i = 0; i < COUNT(fault_table); i++)
		total += swarm >> i & 1 ? fault_table[i].weight : 0;
	if (total == 0)
		return;
	which = (int) draw((uint64_t) total);
	for (size_t i = 0; i < COUNT(fault_table); i++)
		if (swarm >> i & 1 && (which -= fault_table[i].weight) < 0) {
			if (++happened[i] <= fault_table[i].most) {
				trace("fault: %s", fault_table[i].name);
				fault_table[i].happens();
			}
			return;
		}
}

static void faults_step(void)
{
	world.at[T_FAULTS] = NEVER;
	if (world.now >= world.quiet_at)
		return;
	something_breaks();
	world.at[T_FAULTS] = world.now + (int64_t) draw((uint64_t) apart) + 1;
}

/* From now on nothing breaks: what is broken is mended. */
static void calm_down(void)
{
	trace("from now on nothing breaks");
	world.unreliable = 0;
	for (int i = 0; i < world.nowners; i++) {
		if (owner[i].frozen_until > world.now)
			owner[i].frozen_until = world.now;
		if (owner[i].state == DOWN || owner[i].frozen_until > 0)
			world.at[T_OWNER + i] = soon();
	}
	sessions_doomed_end();
	stream_away(-1, world.now);
	database_away(world.now);
	standby_away(world.now);
}

/* ---- a history ---- */

static void go(int task)
{
	if (task < T_SESSION)
		owner_step(task - T_OWNER);
	else if (task < T_NETWORK)
		session_step(task - T_SESSION);
	else if (task == T_NETWORK)
		network_step();
	else if (task == T_CLIENTS)
		clients_step();
	else if (task == T_STANDBY)
		standby_step();
	else
		faults_step();
}

/* Of all that may go on now, one; if nothing may, time passes until something may. */
static void step(void)
{
	int ready[TASKS], n = 0;
	int64_t first = NEVER;

	for (int t = 0; t < TASKS; t++) {
		if (world.at[t] <= world.now)
			ready[n++] = t;
		else if (world.at[t] < first)
			first = world.at[t];
	}
	if (n == 0) {
		world.now = first;
		return;
	}

	const int t = ready[draw((uint64_t) n)];

	print = (print ^ (uint64_t) t ^ (uint64_t) world.now << 8) * UINT64_C(0x100000001b3);
	world.now += (int64_t) draw(20);
	go(t);
	if (draw(steps_apart) == 0 && world.now < world.quiet_at)
		something_breaks();
}

static void begin(uint64_t seed)
{
	static void *room;

	for (int i = 0; i < 4; i++)
		state[i] = splitmix(&seed);
	if (room == NULL) {
		(void) setenv("HEALTHMED_BOOKING_KEEP_S", "3600", 1)	/* more than a clock is off */;
		if ((room = malloc(ROOM)) == NULL || config_load(C_ALL) != NULL)
			abort();
		arena_init(&world.mem, room, ROOM);
	}

	const struct arena mem = world.mem;

	world = (struct world) { .mem = mem, .nowners = (int[]) { 1, 2, 2, OWNERS, OWNERS }[draw(5)] };
	arena_reset(&world.mem);
	print = 0;
	memset(happened, 0, sizeof happened);
	why[0] = '\0';
	world.quiet_at = (3 + (int64_t) draw(8)) * SECOND;
	world.slowness = (int64_t[]) { 1, 2000, 10000 }[draw(3)];
	world.unreliable = (int[]) { 0, 0, 5, 30 }[draw(4)];
	world.poisonous = (int[]) { 0, 0, 20, 150 }[draw(4)];
	swarm = (unsigned) (draw(1u << COUNT(fault_table)) | (chance(500) ? draw(1u << COUNT(fault_table)) : 0));
	if (chance(50))
		swarm = 0;
	apart = world.quiet_at / (int64_t[]) { 1, 3, 10, 40 }[draw(4)];
	steps_apart = (uint64_t[]) { 40, 300, 1500, 6000 }[draw(4)];
	for (int t = 0; t < TASKS; t++)
		world.at[t] = NEVER;
	for (int i = 0; i < OWNERS; i++) {
		owner[i] = (struct owner_process) { .stack = owner[i].stack };
		if (i < world.nowners)
			world.at[T_OWNER + i] = (int64_t) draw((uint64_t) SECOND);
	}
	stream_begin();
	database_begin();
	clients_begin();
	world.at[T_FAULTS] = (int64_t) draw((uint64_t) apart);
}

static void finish(void)
{
	for (int i = 0; i < world.nowners; i++)
		stop_owner(i, NEVER);
}

const char *sim_run(uint64_t seed, bool trace_it)
{
	bool calm = false;
	int64_t even_since = NEVER;

	loud = trace_it;
	begin(seed);
	trace("seed %llu: %d owners", (unsigned long long) seed, world.nowners);
	for (int steps = 0; !is_broken(); steps++) {
		step();
		if (!calm && world.now >= world.quiet_at) {
			calm = true;
			calm_down();
		}
		if (!calm)
			continue;
		if (!judge_is_even())
			even_since = NEVER;
		else if (even_since == NEVER)
			even_since = world.now;
		if (even_since == NEVER && world.now > world.quiet_at + BOUND)
			broken("partitions are not evened out within the bound");

		const struct message *m = judge_waiting();

		if (steps > STEPS_MAX || world.now > world.quiet_at + DRAIN)
			broken("message %" PRId64 " of partition %d is not decided within the bound",
			       m == NULL ? 0 : m->seq, m == NULL ? -1 : m->partition);
		if (even_since < world.now - SECOND && clients_are_done() && m == NULL)
			break;
	}
	if (!is_broken())
		judge_end();
	finish();
	return why[0] == '\0' ? NULL : why;
}

uint64_t sim_print(void)
{
	return print;
}
