/* partition.c - see partition.h. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "broker/partition.h"

#define PREFIX "healthmed.v1.booking."

int partition_of(int64_t doctor_id)
{
	uint64_t h = (uint64_t) doctor_id;

	h ^= h >> 33;
	h *= UINT64_C(0xff51afd7ed558ccd);
	h ^= h >> 33;
	h *= UINT64_C(0xc4ceb9fe1a85ec53);
	h ^= h >> 33;
	return (int) (h % PARTITIONS);
}

void partition_subject(int64_t doctor_id, char out[PARTITION_SUBJECT])
{
	(void) snprintf(out, PARTITION_SUBJECT, PREFIX "%d.%" PRId64, partition_of(doctor_id),
			doctor_id);
}

bool partition_read(struct str s, int *partition, int64_t *doctor_id)
{
	const size_t n = sizeof PREFIX - 1;
	const char *dot;
	int64_t p;

	if (s.n <= n || memcmp(s.p, PREFIX, n) != 0 || (dot = memchr(s.p + n, '.', s.n - n)) == NULL)
		return false;
	if (!str_int((struct str) { s.p + n, (size_t) (dot - s.p) - n }, &p) ||
	    !str_int((struct str) { dot + 1, s.n - (size_t) (dot + 1 - s.p) }, doctor_id))
		return false;
	*partition = (int) p;
	return *doctor_id > 0 && p == partition_of(*doctor_id);
}

void partition_filter(int partition, char out[PARTITION_SUBJECT])
{
	(void) snprintf(out, PARTITION_SUBJECT, PREFIX "%d.*", partition);
}
