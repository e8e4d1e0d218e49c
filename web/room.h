/*
 * room.h - a few large rooms for what is larger than a request's arena: files on their way.
 *
 * Their number is the limit of what a gateway carries at the same time; who finds none comes again, and
 * nobody has so many that others find none.  They are mapped once, and a room that is given back costs no
 * memory.
 */
#ifndef WEB_ROOM_H
#define WEB_ROOM_H
#include "broker/base/str.h"

enum { ROOMS = 16, ROOMS_OF_ONE = 5, ROOM_SIZE = 32 << 20 };

/* For c->user.  unavailable: all are taken; too_many_requests: he has his share. */
err_t room_take(struct ctx *, char **room) MUST_CHECK;
void  room_give(char *);	/* NULL: nothing */
#endif
