/* test_sim.c - histories of the mailbox in a world of faults: what they promise, and that it can break. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include "broker/base/rule.h"
#include "tests/sim/sim.h"
#include "tests/unit/test.h"

#ifdef __SANITIZE_ADDRESS__
enum { HISTORIES = 60 };	/* each start of an owner has it poison an arena of 64 MiB */
#else
enum { HISTORIES = 2000 };
#endif

static void hold(uint64_t seed)
{
	const char *why = sim_run(seed, false);

	if (why != NULL) {
		print_error("seed %" PRIu64 ": %s\nreplay: make sim SEED=%" PRIu64 "\n", seed, why, seed);
		fail();
	}
}

TEST(histories_with_faults_keep_every_promise)
{
	for (uint64_t seed = 1; seed <= HISTORIES; seed++)
		hold(seed);
}

TEST(histories_that_once_broke_a_promise_hold)
{
	hold(147);	/* messages were purged whose outcome no standby had */
	hold(184);	/* an agenda was closed while the stream's clock was ahead */
	hold(416);	/* the stream had lost the remembered message, and nothing came after it */
	hold(6258);	/* a slot was edited and granted in one batch, to a patient who was busy then */
	hold(15983);	/* one of two owners gave up a place that was still there */
}

TEST(a_seed_is_a_history_to_the_last_step)
{
	for (uint64_t seed = 1; seed <= 5; seed++) {
		hold(seed);

		const uint64_t once = sim_print();

		hold(seed + 1000);
		hold(seed);
		assert_int_equal(sim_print(), once);
	}
}

#ifdef HEALTHMED_MUTANTS
/* What the simulation cannot notice the want of; all other rules, some of the histories must. */
static const char *const beyond[RULE_COUNT] = {
#define GATEWAY "no gateway of ours is there, its clients send what they like"
#define OTHERS  "it is of another domain than booking"
	[RULE_role_in_gateway]    = GATEWAY,
	[RULE_token_signature]    = GATEWAY,
	[RULE_token_expiry]       = GATEWAY,
	[RULE_session_ended]      = GATEWAY,
	[RULE_room_share]         = GATEWAY,
	[RULE_own_change]         = GATEWAY,
	[RULE_owner_of_request]   = GATEWAY,
	[RULE_share_of_threads]   = GATEWAY,
	[RULE_behind]             = GATEWAY,
	[RULE_idle_give_way]      = GATEWAY,
	[RULE_silence]            = GATEWAY,
	[RULE_refresh_reuse]      = OTHERS,
	[RULE_current_password]   = OTHERS,
	[RULE_guesses_by_account] = OTHERS,
	[RULE_content_check]      = OTHERS,
	[RULE_link_signature]     = OTHERS,
	[RULE_link_expiry]        = OTHERS,
	[RULE_grant_at_download]  = OTHERS,
	[RULE_grant_doctor]       = OTHERS,
	[RULE_owner_of_review]    = OTHERS,
	[RULE_review_concluded]   = OTHERS,
	[RULE_owner_of_report]    = OTHERS,
	[RULE_audited]            = OTHERS,
	[RULE_follow_once]        = OTHERS,
	[RULE_cache_key]          = OTHERS,
	[RULE_cache_fence]        = OTHERS,
	[RULE_retry_outage]       = "db.c says what is an outage, and another database is bound here",
	[RULE_outbox_ack]         = "letters are written, and relayed by nobody",
};

enum { PATIENCE = 10000 };	/* histories; most rules take few */

/* In a process of its own, which dies with the first promise. */
static bool breaks_without(const char *rule)
{
	int status;
	const pid_t child = fork();

	if (child == 0) {
		uint64_t seed = 1;

		(void) setenv("MUTANT", rule, 1);
		while (seed <= PATIENCE && sim_run(seed, false) == NULL)
			seed++;
		_exit(seed <= PATIENCE);
	}
	return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 1;
}

TEST(without_any_rule_of_booking_some_history_breaks_a_promise)
{
	static const char *const name[] = {
#define X(name, text) #name,
		RULE_TABLE(X)
#undef X
	};
	int unnoticed = 0;

	for (size_t i = 0; i < RULE_COUNT; i++)
		if (beyond[i] == NULL && !breaks_without(name[i])) {
			print_error("no history breaks without %s\n", name[i]);
			unnoticed++;
		}
	assert_int_equal(unnoticed, 0);
}
#endif
