/* test_sim.c - histories of the mailbox in a world of faults: what they promise, and that it can break. */
#include <inttypes.h>
#include <stdio.h>
#include "tests/sim/sim.h"
#include "tests/unit/test.h"

#ifdef __SANITIZE_ADDRESS__
enum { HISTORIES = 200 };	/* each start of an owner has it poison an arena of 64 MiB */
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

TEST(a_seed_is_a_history_to_the_last_step)
{
	for (uint64_t seed = 1; seed <= 20; seed++) {
		hold(seed);

		const uint64_t once = sim_print();

		hold(seed + 1000);
		hold(seed);
		assert_int_equal(sim_print(), once);
	}
}
