/* reports.h - what a doctor writes about a visit: read by its two sides, every time on the record. */
#ifndef BROKER_MSG_REPORTS_H
#define BROKER_MSG_REPORTS_H
#include "broker/msg.h"

/*             from   kind   name            need min  max  of */
#define REPORTS_REPORT(F, T)                                                     \
	F(T,   BODY,  INT,   id,             REQ, 1, INT64_MAX, -)               \
	F(T,   BODY,  INT,   appointment_id, REQ, 1, INT64_MAX, -)               \
	F(T,   BODY,  INT,   doctor_id,      REQ, 1, INT64_MAX, -)               \
	F(T,   BODY,  INT,   patient_id,     REQ, 1, INT64_MAX, -)               \
	F(T,   BODY,  INT,   version,        REQ, 1, INT64_MAX, -)               \
	F(T,   BODY,  TEXT,  comment,        OPT, 1, 20000,     -)               \
	F(T,   BODY,  TIME,  created_at,     REQ, 0, TIME_MAX,  -)               \
	F(T,   BODY,  TIME,  updated_at,     REQ, 0, TIME_MAX,  -)
#define REPORTS_PAGE(F, T)                                                       \
	F(T,   BODY,  LIST,  items,          REQ, 0, 100, reports_report)        \
	F(T,   BODY,  TEXT,  next,           OPT, 1, 64,        -)
#define REPORTS_WRITE_REQ(F, T)                                                  \
	F(T,   PATH,  INT,   appointment_id, REQ, 1, INT64_MAX, -)               \
	F(T,   BODY,  FORM,  comment,        REQ, 5, 20000,     said)            \
	F(T,   OURS,  INT,   doctor_id,      REQ, 1, INT64_MAX, -)               \
	F(T,   OURS,  INT,   patient_id,     REQ, 1, INT64_MAX, -)
/* One's own: of one appointment, or all. */
#define REPORTS_MINE_REQ(F, T)                                                   \
	F(T,   PATH,  INT,   appointment_id, OPT, 1, INT64_MAX, -)               \
	F(T,   QUERY, INT,   limit,          OPT, 1, 100,       -)               \
	F(T,   QUERY, TEXT,  cursor,         OPT, 1, 64,        -)
/* All that a report ever said, the first version first; for the export. */
#define REPORTS_VERSIONS_REQ(F, T)                                               \
	F(T,   OURS,  INT,   report_id,      REQ, 1, INT64_MAX, -)               \
	F(T,   QUERY, INT,   limit,          OPT, 1, 100,       -)               \
	F(T,   QUERY, TEXT,  cursor,         OPT, 1, 64,        -)
/* Who saw or changed what of a patient's clinical data, or whose a doctor did; for the export. */
#define REPORTS_TRACE(F, T)                                                      \
	F(T,   BODY,  INT,   id,             REQ, 1, INT64_MAX, -)               \
	F(T,   BODY,  INT,   user_id,        REQ, 0, INT64_MAX, -)               \
	F(T,   BODY,  TEXT,  role,           REQ, 1, 16,        -)               \
	F(T,   BODY,  TEXT,  action,         REQ, 1, 32,        -)               \
	F(T,   BODY,  INT,   patient_id,     OPT, 1, INT64_MAX, -)               \
	F(T,   BODY,  INT,   appointment_id, OPT, 1, INT64_MAX, -)               \
	F(T,   BODY,  INT,   report_id,      OPT, 1, INT64_MAX, -)               \
	F(T,   BODY,  INT,   file_id,        OPT, 1, INT64_MAX, -)               \
	F(T,   BODY,  TIME,  at,             REQ, 0, TIME_MAX,  -)
#define REPORTS_ACCESSES_REQ(F, T)                                               \
	F(T,   QUERY, INT,   limit,          OPT, 1, 100,       -)               \
	F(T,   QUERY, TEXT,  cursor,         OPT, 1, 64,        -)
#define REPORTS_ACCESSES_REP(F, T)                                               \
	F(T,   BODY,  LIST,  items,          REQ, 0, 100, reports_trace)         \
	F(T,   BODY,  TEXT,  next,           OPT, 1, 64,        -)
#define REPORTS_GET_REQ(F, T)                                                    \
	F(T,   PATH,  INT,   appointment_id, REQ, 1, INT64_MAX, -)               \
	F(T,   PATH,  INT,   report_id,      REQ, 1, INT64_MAX, -)               \
	F(T,   QUERY, INT,   version,        OPT, 1, INT64_MAX, -)
#define REPORTS_REWRITE_REQ(F, T)                                                \
	F(T,   PATH,  INT,   appointment_id, REQ, 1, INT64_MAX, -)               \
	F(T,   PATH,  INT,   report_id,      REQ, 1, INT64_MAX, -)               \
	F(T,   BODY,  FORM,  comment,        REQ, 5, 20000,     said)

MSG_DECLARE(reports_report,      REPORTS_REPORT)
MSG_DECLARE(reports_page,        REPORTS_PAGE)
MSG_DECLARE(reports_write_req,   REPORTS_WRITE_REQ)
MSG_DECLARE(reports_mine_req,    REPORTS_MINE_REQ)
MSG_DECLARE(reports_versions_req, REPORTS_VERSIONS_REQ)
MSG_DECLARE(reports_trace,        REPORTS_TRACE)
MSG_DECLARE(reports_accesses_req, REPORTS_ACCESSES_REQ)
MSG_DECLARE(reports_accesses_rep, REPORTS_ACCESSES_REP)
MSG_DECLARE(reports_get_req,     REPORTS_GET_REQ)
MSG_DECLARE(reports_rewrite_req, REPORTS_REWRITE_REQ)

/* Reads are written down: that is why they are TX_WRITE too. */
/*        domain   verb     answer          who may                     transaction via       key */
#define REPORTS_CALLS(X)                                                                         \
	X(reports, write,   reports_report, ROLE_DOCTOR,                TX_WRITE,   ATTESTED, -) \
	X(reports, mine,    reports_page,   ROLE_PATIENT | ROLE_DOCTOR, TX_WRITE,   LOCATED,  -) \
	X(reports, get,     reports_report, ROLE_PATIENT | ROLE_DOCTOR, TX_WRITE,   LOCATED,  -) \
	X(reports, rewrite, reports_report, ROLE_DOCTOR,                TX_WRITE,   LOCATED,  -) \
	X(reports, versions, reports_page,  ROLE_PATIENT | ROLE_DOCTOR, TX_WRITE,   REQUEST,  -) \
	X(reports, accesses, reports_accesses_rep, ROLE_PATIENT | ROLE_DOCTOR, TX_READ,    REQUEST,  -)
#endif
