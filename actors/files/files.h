/*
 * files.h - exams: stored sealed, read by whom their patient lets, each reader noted.
 *
 * A patient's file is his.  A doctor reads it only through a grant, which names an appointment of the
 * two and ends at a time; it is asked for anew with each piece of a download, so that an issued link
 * is worth nothing once the grant has ended.  A grant also ends
 *	when its appointment is cancelled, or moves to another doctor (facts of booking): the reason
 *	for which it was given is gone;
 *	when the doctor's account is erased (users.erased): nobody is there any more.
 * When a patient's account is erased his files and their keys stay: they are clinical records, under
 * legal hold; nobody can ask for them over HTTP any more but doctors whose grants have not ended.
 *
 * Whoever grants, and whoever follows the facts, meet at the row of the appointment: the newer
 * knowledge wins, so that no grant slips in between.
 */
#ifndef ACTORS_FILES_FILES_H
#define ACTORS_FILES_FILES_H
#include "actors/core/follower.h"

bool  files_start(char *why);	/* keys and stores; false, with one line in why (256 bytes) */
extern const struct followed files_follows[];
/* Files that were removed or never finished, their objects first; and old keys of requests. */
err_t files_sweep(struct ctx *) MUST_CHECK;
#endif
