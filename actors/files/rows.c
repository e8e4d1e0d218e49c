/* rows.c - the descriptions that rows.h declares. */
#include "actors/files/rows.h"

MSG_DEFINE(files_key,      FILES_KEY)
MSG_DEFINE(files_new,      FILES_NEW)
MSG_DEFINE(files_row,      FILES_ROW)
MSG_DEFINE(files_box,      FILES_BOX)
MSG_DEFINE(files_whole,    FILES_WHOLE)
MSG_DEFINE(files_span,     FILES_SPAN)
MSG_DEFINE(files_reason,   FILES_REASON)
MSG_DEFINE(files_number,   FILES_NUMBER)
MSG_DEFINE(files_granting, FILES_GRANTING)
MSG_DEFINE(files_terms,    FILES_TERMS)
MSG_DEFINE(files_revoked,  FILES_REVOKED)
MSG_DEFINE(files_note,     FILES_NOTE)
MSG_DEFINE(files_known,    FILES_KNOWN)
