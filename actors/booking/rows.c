/* rows.c - the descriptions that rows.h declares. */
#include "actors/booking/rows.h"

MSG_DEFINE(booking_slot,        BOOKING_SLOT)
MSG_DEFINE(booking_appointment, BOOKING_APPOINTMENT)
MSG_DEFINE(booking_request,     BOOKING_REQUEST)
MSG_DEFINE(booking_cursor,      BOOKING_CURSOR)
MSG_DEFINE(booking_dead,        BOOKING_DEAD)
MSG_DEFINE(booking_id,          BOOKING_ID)
MSG_DEFINE(booking_key,         BOOKING_KEY)
MSG_DEFINE(booking_span,        BOOKING_SPAN)
MSG_DEFINE(booking_visit,       BOOKING_VISIT)
MSG_DEFINE(booking_keys,        BOOKING_KEYS)
MSG_DEFINE(booking_moment,      BOOKING_MOMENT)
MSG_DEFINE(booking_writes,      BOOKING_WRITES)
MSG_DEFINE(booking_flag,        BOOKING_FLAG)
MSG_DEFINE(booking_count,       BOOKING_COUNT)
