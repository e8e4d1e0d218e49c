/* appointments.h - what of the appointments domain is set up at the start. */
#ifndef ACTORS_APPOINTMENTS_APPOINTMENTS_H
#define ACTORS_APPOINTMENTS_APPOINTMENTS_H
#include <stdbool.h>

/* Always true: nothing of the configuration can be wrong for it. */
bool appointments_start(char *why);
#endif
