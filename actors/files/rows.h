/* rows.h - what the queries of files.sql take and give, beside the messages of broker/msg/files.h. */
#ifndef ACTORS_FILES_ROWS_H
#define ACTORS_FILES_ROWS_H
#include "actors/core/page.h"
#include "actors/files/store.h"
#include "actors/files/vault.h"
#include "broker/msg/files.h"

/*             from   kind   name            need min  max  of */
#define FILES_KEY(F, T)                                                               \
	F(T,   BODY,  INT,   id,             REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   user_id,        OPT, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   appointment_id, OPT, 1, INT64_MAX, -)
#define FILES_NEW(F, T)                                                               \
	F(T,   BODY,  INT,   id,             REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   patient_id,     REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   size,           REQ, 1, FILES_MAX, -)                    \
	F(T,   BODY,  ENUM,  store,          REQ, 0, 0, files_store)                  \
	F(T,   BODY,  TEXT,  master,         REQ, 1, VAULT_NAME,   -)                    \
	F(T,   BODY,  BYTES, wrapped_key,    REQ, 0, VAULT_WRAPPED, -)
#define FILES_ROW(F, T)                                                               \
	F(T,   BODY,  INT,   id,             REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   patient_id,     OPT, 1, INT64_MAX, -)                    \
	F(T,   BODY,  TEXT,  file_name,      OPT, 1, 255,       -)                    \
	F(T,   BODY,  INT,   size,           REQ, 1, FILES_MAX, -)                    \
	F(T,   BODY,  BYTES, sha256,         OPT, 32, 32,       -)                    \
	F(T,   BODY,  ENUM,  store,          REQ, 0, 0, files_store)                  \
	F(T,   BODY,  TEXT,  master,         OPT, 1, VAULT_NAME,   -)                    \
	F(T,   BODY,  BYTES, wrapped_key,    OPT, 0, VAULT_WRAPPED, -)                 \
	F(T,   BODY,  TIME,  created_at,     OPT, 0, TIME_MAX,  -)
#define FILES_BOX(F, T)                                                               \
	F(T,   BODY,  INT,   file_id,        OPT, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   index,          OPT, 0, INT32_MAX, -)                    \
	F(T,   BODY,  BYTES, sealed,         OPT, 0, VAULT_CHUNK + SEAL_MORE, -)
#define FILES_WHOLE(F, T)                                                             \
	F(T,   BODY,  INT,   id,             REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  TEXT,  file_name,      REQ, 1, 255,       -)                    \
	F(T,   BODY,  BYTES, sha256,         REQ, 32, 32,       -)                    \
	F(T,   BODY,  INT,   appointment_id, OPT, 1, INT64_MAX, -)
#define FILES_SPAN(F, T)                                                              \
	F(T,   BODY,  INT,   id,             OPT, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   user_id,        REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   appointment_id, OPT, 1, INT64_MAX, -)                    \
	F(T,   BODY,  TIME,  after_time,     REQ, 0, TIME_MAX,  -)                    \
	F(T,   BODY,  INT,   after_id,       REQ, 0, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   rows,           REQ, 1, PAGE_MAX + 1, -)
#define FILES_REASON(F, T)                                                            \
	F(T,   BODY,  INT,   appointment_id, REQ, 1, INT64_MAX, -)
#define FILES_NUMBER(F, T)                                                            \
	F(T,   BODY,  INT,   n,              REQ, 0, INT64_MAX, -)
#define FILES_GRANTING(F, T)                                                          \
	F(T,   BODY,  INT,   doctor_id,      REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   appointment_id, REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  TIME,  expires_at,     REQ, 0, TIME_MAX,  -)                    \
	F(T,   BODY,  TIME,  as_of,          REQ, 0, TIME_MAX,  -)
#define FILES_TERMS(F, T)                                                             \
	F(T,   BODY,  INT,   file_id,        REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  BOOL,  moves,          OPT, 0, 0,         -)                    \
	F(T,   BODY,  LIST,  items,          REQ, 0, FILES_GRANTS, files_granting)
#define FILES_REVOKED(F, T)                                                           \
	F(T,   BODY,  INT,   id,             REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   access_id,      REQ, 1, INT64_MAX, -)
#define FILES_NOTE(F, T)                                                              \
	F(T,   BODY,  INT,   user_id,        REQ, 0, INT64_MAX, -)                    \
	F(T,   BODY,  TEXT,  role,           REQ, 1, 16,        -)                    \
	F(T,   BODY,  TEXT,  action,         REQ, 1, 16,        -)                    \
	F(T,   BODY,  INT,   patient_id,     REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   appointment_id, OPT, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   file_id,        REQ, 1, INT64_MAX, -)
#define FILES_KNOWN(F, T)                                                             \
	F(T,   BODY,  INT,   appointment_id, OPT, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   doctor_id,      REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  BOOL,  live,           OPT, 0, 0,         -)                    \
	F(T,   BODY,  TIME,  expires_at,     OPT, 0, TIME_MAX,  -)                    \
	F(T,   BODY,  TIME,  as_of,          OPT, 0, TIME_MAX,  -)

MSG_DECLARE(files_key,      FILES_KEY)
MSG_DECLARE(files_new,      FILES_NEW)
MSG_DECLARE(files_row,      FILES_ROW)
MSG_DECLARE(files_box,      FILES_BOX)
MSG_DECLARE(files_whole,    FILES_WHOLE)
MSG_DECLARE(files_span,     FILES_SPAN)
MSG_DECLARE(files_reason,   FILES_REASON)
MSG_DECLARE(files_number,   FILES_NUMBER)
MSG_DECLARE(files_granting, FILES_GRANTING)
MSG_DECLARE(files_terms,    FILES_TERMS)
MSG_DECLARE(files_revoked,  FILES_REVOKED)
MSG_DECLARE(files_note,     FILES_NOTE)
MSG_DECLARE(files_known,    FILES_KNOWN)
#endif
