/* schedules.c - the descriptions that schedules.h declares. */
#include "broker/msg/schedules.h"

MSG_DEFINE(schedules_slot,     SCHEDULES_SLOT)
MSG_DEFINE(schedules_page,     SCHEDULES_PAGE)
MSG_DEFINE(schedules_get_req,  SCHEDULES_GET_REQ)
MSG_DEFINE(schedules_list_req, SCHEDULES_LIST_REQ)
MSG_DEFINE(schedules_free_req, SCHEDULES_FREE_REQ)
