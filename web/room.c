/* room.c - see room.h.  Must not know what lies in a room. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include "web/room.h"

static char *house;		/* all rooms, side by side */
static atomic_bool taken[ROOMS];

static void build(void)
{
	void *p = mmap(NULL, (size_t) ROOMS * ROOM_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	house = p == MAP_FAILED ? NULL : p;
}

char *room_take(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void) pthread_once(&once, build);
	for (size_t i = 0; i < ROOMS && house != NULL; i++)
		if (!atomic_exchange(&taken[i], true))
			return house + i * ROOM_SIZE;
	return NULL;
}

void room_give(char *room)
{
	if (room == NULL)
		return;
	/* Nobody finds what was here, and the memory goes back. */
	(void) madvise(room, ROOM_SIZE, MADV_DONTNEED);
	atomic_store(&taken[(size_t) (room - house) / ROOM_SIZE], false);
}

void room_givep(char **room) { room_give(*room); }
