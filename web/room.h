/*
 * room.h - a few large rooms for what is larger than a request's arena: a file on its way, an export.
 *
 * Their number is the limit of what a gateway carries at the same time; who finds none comes again.
 * They are mapped once, and a room that is given back costs no memory.
 */
#ifndef WEB_ROOM_H
#define WEB_ROOM_H
#include "broker/base/str.h"

enum { ROOMS = 8, ROOM_SIZE = 32 << 20 };

char *room_take(void);		/* NULL: all are taken (or, at the first time, there is no memory) */
void  room_give(char *);	/* NULL: nothing */
void  room_givep(char **);	/* for CLEANUP */
#endif
