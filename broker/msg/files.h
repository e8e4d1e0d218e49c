/*
 * files.h - exams: what one can ask of files and of who may read them.
 *
 * A file comes in three steps, of which clients see none: `begin` makes its place, `put` brings each
 * chunk, `commit` looks at what lies there and makes it a file, or refuses it; `discard` gives up.  It
 * goes in two: `open` says what it is and notes who reads it, `chunk` brings a piece.  Bytes are
 * plaintext on this way, which is the loopback or TLS, and nowhere else.
 *
 * The same calls serve /files and /appointments/{appointment_id}/files: with an appointment they are
 * about those files that were uploaded there or granted for it.  Doctors have only that second door.
 */
#ifndef BROKER_MSG_FILES_H
#define BROKER_MSG_FILES_H
#include "broker/msg/appointments.h"
#include "broker/msg/users.h"

enum {
	FILES_MAX = 10 << 20,		/* bytes of one */
	FILES_CHUNK = 64 << 10,		/* of it in one message */
	FILES_GRANTS = 100,		/* of one file */
};
enum files_action { FILES_SEE, FILES_READ };
extern const char *const files_action_names[];

/*             from   kind   name            need min  max  of */
#define FILES_FILE(F, T)                                                              \
	F(T,   BODY,  INT,   id,             REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  TEXT,  file_name,      REQ, 1, 255,       -)                    \
	F(T,   BODY,  INT,   size,           REQ, 1, FILES_MAX, -)                    \
	F(T,   BODY,  TEXT,  sha256,         REQ, 64, 64,       -)                    \
	F(T,   BODY,  INT,   appointment_id, OPT, 1, INT64_MAX, -)                    \
	F(T,   BODY,  TIME,  created_at,     REQ, 0, TIME_MAX,  -)                    \
	F(T,   OURS,  TEXT,  path,           OPT, 1, 255,       -)  /* a download link of the reader's own */
#define FILES_PAGE(F, T)                                                              \
	F(T,   BODY,  LIST,  items,          REQ, 0, 100, files_file)                 \
	F(T,   BODY,  TEXT,  next,           OPT, 1, 64,        -)
#define FILES_DONE(F, T)                                                              \
	F(T,   BODY,  INT,   id,             REQ, 1, INT64_MAX, -)
#define FILES_BEGIN_REQ(F, T)                                                         \
	F(T,   OURS,  INT,   size,           REQ, 1, FILES_MAX, -)
#define FILES_PUT_REQ(F, T)                                                           \
	F(T,   OURS,  INT,   id,             REQ, 1, INT64_MAX, -)                    \
	F(T,   OURS,  INT,   index,          REQ, 0, FILES_MAX / FILES_CHUNK, -)      \
	F(T,   OURS,  BYTES, bytes,          REQ, 1, FILES_CHUNK, -)
/* What the form said is the client's; copies of a request may bring it under another id. */
#define FILES_COMMIT_REQ(F, T)                                                        \
	F(T,   PATH,  INT,   appointment_id, OPT, 1, INT64_MAX, -)                    \
	F(T,   BODY,  TEXT,  file_name,      OPT, 0, 255,       -)                    \
	F(T,   BODY,  TEXT,  content_type,   OPT, 0, 255,       -)                    \
	F(T,   BODY,  BYTES, sha256,         OPT, 32, 32,       -)                    \
	F(T,   OURS,  INT,   id,             OPT, 1, INT64_MAX, -)                    \
	F(T,   OURS,  INT,   doctor_id,      OPT, 1, INT64_MAX, -)                    \
	F(T,   OURS,  ENUM,  status,         OPT, 0, 0, appointment_status)           \
	F(T,   OURS,  TIME,  ends,           OPT, 0, TIME_MAX,  -)                    \
	F(T,   OURS,  TIME,  updated_at,     OPT, 0, TIME_MAX,  -)
#define FILES_DISCARD_REQ(F, T)                                                       \
	F(T,   OURS,  INT,   id,             REQ, 1, INT64_MAX, -)
#define FILES_LIST_REQ(F, T)                                                          \
	F(T,   PATH,  INT,   appointment_id, OPT, 1, INT64_MAX, -)                    \
	F(T,   QUERY, INT,   limit,          OPT, 1, 100,       -)                    \
	F(T,   QUERY, TEXT,  cursor,         OPT, 1, 64,        -)
#define FILES_GET_REQ(F, T)                                                           \
	F(T,   PATH,  INT,   appointment_id, OPT, 1, INT64_MAX, -)                    \
	F(T,   PATH,  INT,   file_id,        REQ, 1, INT64_MAX, -)
#define FILES_REMOVE_REQ(F, T)                                                        \
	F(T,   PATH,  INT,   appointment_id, OPT, 1, INT64_MAX, -)                    \
	F(T,   PATH,  INT,   file_id,        REQ, 1, INT64_MAX, -)
/* A link, see broker/link.h; the gateway has verified it. */
#define FILES_OPEN_REQ(F, T)                                                          \
	F(T,   PATH,  INT,   file_id,        REQ, 1, INT64_MAX, -)                    \
	F(T,   QUERY, INT,   reader,         REQ, 1, INT64_MAX, -)                    \
	F(T,   QUERY, ENUM,  role,           REQ, 0, 0, users_role)                   \
	F(T,   QUERY, INT,   session,        REQ, 0, INT64_MAX, -)                    \
	F(T,   QUERY, INT,   expires,        REQ, 0, INT64_MAX, -)                    \
	F(T,   QUERY, TEXT,  signature,      REQ, 1, 64,        -)
#define FILES_OPENED(F, T)                                                            \
	F(T,   BODY,  TEXT,  file_name,      REQ, 1, 255,       -)                    \
	F(T,   BODY,  INT,   size,           REQ, 1, FILES_MAX, -)                    \
	F(T,   BODY,  BYTES, sha256,         REQ, 32, 32,       -)
#define FILES_CHUNK_REQ(F, T)                                                         \
	F(T,   OURS,  INT,   file_id,        REQ, 1, INT64_MAX, -)                    \
	F(T,   OURS,  INT,   index,          REQ, 0, FILES_MAX / FILES_CHUNK, -)
#define FILES_PIECE(F, T)                                                             \
	F(T,   BODY,  BYTES, bytes,          REQ, 1, FILES_CHUNK, -)

/* ---- who may read ---- */

#define FILES_ACCESS(F, T)                                                            \
	F(T,   BODY,  INT,   id,             REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   doctor_id,      REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   appointment_id, REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  TIME,  expires_at,     REQ, 0, TIME_MAX,  -)                    \
	F(T,   BODY,  TIME,  created_at,     REQ, 0, TIME_MAX,  -)
#define FILES_GRANTED(F, T)                                                           \
	F(T,   BODY,  LIST,  items,          REQ, 0, FILES_GRANTS, files_access)      \
	F(T,   OURS,  TEXT,  next,           OPT, 1, 64,        -)
/* What a patient wants of an appointment's doctor, and what the gateway found out about that. */
#define FILES_TERM(F, T)                                                              \
	F(T,   BODY,  INT,   doctor_id,      REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   appointment_id, REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  TIME,  expires_at,     REQ, 0, TIME_MAX,  -)                    \
	F(T,   OURS,  INT,   appointment_doctor_id, OPT, 1, INT64_MAX, -)             \
	F(T,   OURS,  ENUM,  status,         OPT, 0, 0, appointment_status)           \
	F(T,   OURS,  TIME,  updated_at,     OPT, 0, TIME_MAX,  -)
#define FILES_GRANT_REQ(F, T)                                                         \
	F(T,   PATH,  INT,   file_id,        REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   doctor_id,      REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   appointment_id, REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  TIME,  expires_at,     REQ, 0, TIME_MAX,  -)                    \
	F(T,   OURS,  INT,   appointment_doctor_id, OPT, 1, INT64_MAX, -)             \
	F(T,   OURS,  ENUM,  status,         OPT, 0, 0, appointment_status)           \
	F(T,   OURS,  TIME,  updated_at,     OPT, 0, TIME_MAX,  -)
#define FILES_REPLACE_REQ(F, T)                                                       \
	F(T,   PATH,  INT,   appointment_id, OPT, 1, INT64_MAX, -)                    \
	F(T,   PATH,  INT,   file_id,        REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  LIST,  items,          REQ, 0, FILES_GRANTS, files_term)
#define FILES_GRANTS_REQ(F, T)                                                        \
	F(T,   PATH,  INT,   appointment_id, OPT, 1, INT64_MAX, -)                    \
	F(T,   PATH,  INT,   file_id,        REQ, 1, INT64_MAX, -)                    \
	F(T,   QUERY, INT,   limit,          OPT, 1, 100,       -)                    \
	F(T,   QUERY, TEXT,  cursor,         OPT, 1, 64,        -)
/* What a doctor may read, or might until lately; for the export. */
#define FILES_HOLDING(F, T)                                                           \
	F(T,   BODY,  INT,   id,             REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   file_id,        REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   patient_id,     REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   appointment_id, REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  TIME,  expires_at,     REQ, 0, TIME_MAX,  -)                    \
	F(T,   BODY,  TIME,  created_at,     REQ, 0, TIME_MAX,  -)
#define FILES_HELD_REQ(F, T)                                                          \
	F(T,   QUERY, INT,   limit,          OPT, 1, 100,       -)                    \
	F(T,   QUERY, TEXT,  cursor,         OPT, 1, 64,        -)
#define FILES_HELD_REP(F, T)                                                          \
	F(T,   BODY,  LIST,  items,          REQ, 0, 100, files_holding)              \
	F(T,   BODY,  TEXT,  next,           OPT, 1, 64,        -)
#define FILES_REVOKE_REQ(F, T)                                                        \
	F(T,   PATH,  INT,   file_id,        REQ, 1, INT64_MAX, -)                    \
	F(T,   PATH,  INT,   access_id,      REQ, 1, INT64_MAX, -)

/* ---- who did ---- */

#define FILES_SEEN(F, T)                                                              \
	F(T,   BODY,  INT,   id,             REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  INT,   reader_id,      REQ, 1, INT64_MAX, -)                    \
	F(T,   BODY,  ENUM,  role,           REQ, 0, 0, users_role)                   \
	F(T,   BODY,  ENUM,  action,         REQ, 0, 0, files_action)                 \
	F(T,   BODY,  INT,   appointment_id, OPT, 1, INT64_MAX, -)                    \
	F(T,   BODY,  TIME,  at,             REQ, 0, TIME_MAX,  -)
#define FILES_READERS(F, T)                                                           \
	F(T,   BODY,  LIST,  items,          REQ, 0, 100, files_seen)                 \
	F(T,   BODY,  TEXT,  next,           OPT, 1, 64,        -)
#define FILES_READS_REQ(F, T)                                                         \
	F(T,   PATH,  INT,   file_id,        REQ, 1, INT64_MAX, -)                    \
	F(T,   QUERY, INT,   limit,          OPT, 1, 100,       -)                    \
	F(T,   QUERY, TEXT,  cursor,         OPT, 1, 64,        -)

MSG_DECLARE(files_file,        FILES_FILE)
MSG_DECLARE(files_page,        FILES_PAGE)
MSG_DECLARE(files_done,        FILES_DONE)
MSG_DECLARE(files_begin_req,   FILES_BEGIN_REQ)
MSG_DECLARE(files_put_req,     FILES_PUT_REQ)
MSG_DECLARE(files_commit_req,  FILES_COMMIT_REQ)
MSG_DECLARE(files_discard_req, FILES_DISCARD_REQ)
MSG_DECLARE(files_list_req,    FILES_LIST_REQ)
MSG_DECLARE(files_get_req,     FILES_GET_REQ)
MSG_DECLARE(files_remove_req,  FILES_REMOVE_REQ)
MSG_DECLARE(files_open_req,    FILES_OPEN_REQ)
MSG_DECLARE(files_opened,      FILES_OPENED)
MSG_DECLARE(files_chunk_req,   FILES_CHUNK_REQ)
MSG_DECLARE(files_piece,       FILES_PIECE)
MSG_DECLARE(files_access,      FILES_ACCESS)
MSG_DECLARE(files_granted,     FILES_GRANTED)
MSG_DECLARE(files_term,        FILES_TERM)
MSG_DECLARE(files_grant_req,   FILES_GRANT_REQ)
MSG_DECLARE(files_replace_req, FILES_REPLACE_REQ)
MSG_DECLARE(files_grants_req,  FILES_GRANTS_REQ)
MSG_DECLARE(files_holding,     FILES_HOLDING)
MSG_DECLARE(files_held_req,    FILES_HELD_REQ)
MSG_DECLARE(files_held_rep,    FILES_HELD_REP)
MSG_DECLARE(files_revoke_req,  FILES_REVOKE_REQ)
MSG_DECLARE(files_seen,        FILES_SEEN)
MSG_DECLARE(files_readers,     FILES_READERS)
MSG_DECLARE(files_reads_req,   FILES_READS_REQ)

/*        domain verb     answer         who may                     transaction via      key */
#define FILES_CALLS(X)                                                                        \
	X(files, begin,   files_done,    ROLE_PATIENT,               TX_WRITE,   REQUEST,  -) \
	X(files, put,     files_done,    ROLE_PATIENT,               TX_WRITE,   REQUEST,  -) \
	X(files, commit,  files_file,    ROLE_PATIENT,               TX_WRITE,   UPLOAD,   -) \
	X(files, discard, files_done,    ROLE_PATIENT,               TX_WRITE,   REQUEST,  -) \
	X(files, list,    files_page,    ROLE_PATIENT | ROLE_DOCTOR, TX_WRITE,   LOCATED,  -) \
	X(files, get,     files_file,    ROLE_PATIENT | ROLE_DOCTOR, TX_WRITE,   LOCATED,  -) \
	X(files, remove,  files_done,    ROLE_PATIENT,               TX_WRITE,   LOCATED,  -) \
	X(files, open,    files_opened,  ROLE_PATIENT | ROLE_DOCTOR, TX_WRITE,   DOWNLOAD, -) \
	X(files, chunk,   files_piece,   ROLE_PATIENT | ROLE_DOCTOR, TX_READ,    REQUEST,  -) \
	X(files, grant,   files_access,  ROLE_PATIENT,               TX_WRITE,   LOCATED,  -) \
	X(files, replace, files_granted, ROLE_PATIENT,               TX_WRITE,   LOCATED,  -) \
	X(files, grants,  files_granted, ROLE_PATIENT,               TX_READ,    LOCATED,  -) \
	X(files, held,    files_held_rep, ROLE_DOCTOR,               TX_READ,    REQUEST,  -) \
	X(files, revoke,  files_done,    ROLE_PATIENT,               TX_WRITE,   REQUEST,  -) \
	X(files, reads,   files_readers, ROLE_PATIENT,               TX_READ,    REQUEST,  -)
#endif
