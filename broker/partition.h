/*
 * partition.h - which part of the mailbox stream a doctor's commands are in.
 *
 * A stable hash of the doctor's number (the finalizer of MurmurHash3, Austin Appleby) modulo
 * 16, fixed for the life of the stream.
 */
#ifndef BROKER_PARTITION_H
#define BROKER_PARTITION_H
#include "broker/base/str.h"

enum { PARTITIONS = 16, PARTITION_SUBJECT = 64 };

int  partition_of(int64_t doctor_id);
/* healthmed.v1.booking.<partition>.<doctor_id> */
void partition_subject(int64_t doctor_id, char out[PARTITION_SUBJECT]);
/* Reads such a subject; false when it is none, or the partition is not the doctor's. */
bool partition_read(struct str subject, int *partition, int64_t *doctor_id);
/* healthmed.v1.booking.<partition>.*, what an owner reads. */
void partition_filter(int partition, char out[PARTITION_SUBJECT]);
#endif
