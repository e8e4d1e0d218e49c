/* reports.c - the descriptions that reports.h declares. */
#include "broker/msg/reports.h"

MSG_DEFINE(reports_report,      REPORTS_REPORT)
MSG_DEFINE(reports_page,        REPORTS_PAGE)
MSG_DEFINE(reports_write_req,   REPORTS_WRITE_REQ)
MSG_DEFINE(reports_mine_req,    REPORTS_MINE_REQ)
MSG_DEFINE(reports_versions_req, REPORTS_VERSIONS_REQ)
MSG_DEFINE(reports_trace,        REPORTS_TRACE)
MSG_DEFINE(reports_accesses_req, REPORTS_ACCESSES_REQ)
MSG_DEFINE(reports_accesses_rep, REPORTS_ACCESSES_REP)
MSG_DEFINE(reports_get_req,     REPORTS_GET_REQ)
MSG_DEFINE(reports_rewrite_req, REPORTS_REWRITE_REQ)
