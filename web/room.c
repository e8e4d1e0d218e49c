/* room.c - see room.h.  Must not know what lies in a room. */
#include <pthread.h>
#include <sys/mman.h>
#include "broker/base/rule.h"
#include "web/room.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char   *house;			/* all rooms, side by side */
static int64_t owner[ROOMS];		/* 0: free */

static void build(void)
{
	void *p = mmap(NULL, (size_t) ROOMS * ROOM_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	house = p == MAP_FAILED ? NULL : p;
}

static err_t choose(struct ctx *c, char **room)
{
	int free_one = -1, of_one = 0;

	for (int i = 0; i < ROOMS; i++) {
		of_one += owner[i] == c->user;
		if (owner[i] == 0)
			free_one = i;
	}
	if (of_one >= ROOMS_OF_ONE && RULE(room_share))
		return refuse(c, ERR_too_many_requests, "%d rooms already", of_one);
	if (free_one < 0 || house == NULL)
		return refuse(c, ERR_unavailable, "all %d rooms are taken", ROOMS);
	owner[free_one] = c->user;
	*room = house + (size_t) free_one * ROOM_SIZE;
	return OK;
}

err_t room_take(struct ctx *c, char **room)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void) pthread_once(&once, build);
	*room = NULL;
	(void) pthread_mutex_lock(&lock);
	const err_t e = choose(c, room);

	(void) pthread_mutex_unlock(&lock);
	return e;
}

void room_give(char *room)
{
	if (room == NULL)
		return;
	/* Nobody finds what was here, and the memory goes back. */
	(void) madvise(room, ROOM_SIZE, MADV_DONTNEED);
	(void) pthread_mutex_lock(&lock);
	owner[(size_t) (room - house) / ROOM_SIZE] = 0;
	(void) pthread_mutex_unlock(&lock);
}
