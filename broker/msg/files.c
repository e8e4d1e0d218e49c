/* files.c - the descriptions that files.h declares. */
#include "broker/msg/files.h"

const char *const files_action_names[] = { "see", "read", NULL };

MSG_DEFINE(files_file,        FILES_FILE)
MSG_DEFINE(files_page,        FILES_PAGE)
MSG_DEFINE(files_done,        FILES_DONE)
MSG_DEFINE(files_begin_req,   FILES_BEGIN_REQ)
MSG_DEFINE(files_put_req,     FILES_PUT_REQ)
MSG_DEFINE(files_commit_req,  FILES_COMMIT_REQ)
MSG_DEFINE(files_discard_req, FILES_DISCARD_REQ)
MSG_DEFINE(files_list_req,    FILES_LIST_REQ)
MSG_DEFINE(files_get_req,     FILES_GET_REQ)
MSG_DEFINE(files_remove_req,  FILES_REMOVE_REQ)
MSG_DEFINE(files_open_req,    FILES_OPEN_REQ)
MSG_DEFINE(files_opened,      FILES_OPENED)
MSG_DEFINE(files_chunk_req,   FILES_CHUNK_REQ)
MSG_DEFINE(files_piece,       FILES_PIECE)
MSG_DEFINE(files_access,      FILES_ACCESS)
MSG_DEFINE(files_granted,     FILES_GRANTED)
MSG_DEFINE(files_term,        FILES_TERM)
MSG_DEFINE(files_grant_req,   FILES_GRANT_REQ)
MSG_DEFINE(files_replace_req, FILES_REPLACE_REQ)
MSG_DEFINE(files_grants_req,  FILES_GRANTS_REQ)
MSG_DEFINE(files_revoke_req,  FILES_REVOKE_REQ)
MSG_DEFINE(files_seen,        FILES_SEEN)
MSG_DEFINE(files_readers,     FILES_READERS)
MSG_DEFINE(files_reads_req,   FILES_READS_REQ)
