/*
 * sim.c - runs simulated histories: `sim SEEDS` of them, or the one of a seed, step by step.
 *
 *	sim 20000          seeds 1 ... 20000, on all processors
 *	sim 20000 500      from seed 500 on
 *	sim seed 4711      that one, each step told
 */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tests/sim/sim.h"

static struct shared { _Atomic uint64_t next, done; _Atomic bool failed; } *shared;

static int replay(uint64_t seed)
{
	const char *why = sim_run(seed, true);

	(void) printf("seed %" PRIu64 ": %s\n", seed, why == NULL ? "every promise held" : why);
	return why != NULL;
}

static int work(uint64_t last, bool tells)
{
	for (uint64_t seed; (seed = atomic_fetch_add(&shared->next, 1)) <= last && !shared->failed;) {
		const char *why = sim_run(seed, false);

		if (why != NULL && !atomic_exchange(&shared->failed, true)) {
			(void) printf("seed %" PRIu64 ": %s\nreplay: make sim SEED=%" PRIu64 "\n", seed, why, seed);
			return 1;
		}
		if ((atomic_fetch_add(&shared->done, 1) + 1) % 1000 == 0 && tells) {
			(void) printf("%" PRIu64 " histories\n", shared->done);
			(void) fflush(stdout);
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	const long processors = sysconf(_SC_NPROCESSORS_ONLN);
	const uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
	const uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	int status, failed = 0;

	if (argc == 3 && strcmp(argv[1], "seed") == 0)
		return replay(first);
	if (n == 0) {
		(void) fputs("sim HISTORIES [FIRST SEED], or sim seed SEED\n", stderr);
		return 2;
	}
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 2;
	shared->next = first;
	for (long i = 0; i < processors; i++)
		if (fork() == 0)
			exit(work(first + n - 1, true));
	while (wait(&status) > 0)
		failed |= status != 0;
	(void) printf("%" PRIu64 " histories with faults, %s\n", shared->done,
		      failed ? "one broke a promise" : "every promise held");
	return failed;
}
