/*
 * form.h - forms that a text may have to be in, as a column of its field: checked wherever the field is
 * read, together with all others, so that a client hears of every fault at once.  Pure.
 */
#ifndef BROKER_BASE_FORM_H
#define BROKER_BASE_FORM_H
#include "broker/base/str.h"

struct form { bool (*is)(struct str); const char *message; };

extern const struct form
	form_line,	/* something to read, without line breaks or other control characters */
	form_said,	/* something to read */
	form_email,	/* what a mail can be sent to: not all that RFC 5322 allows; whether it arrives, only a mail tells */
	form_medical_id, /* of ASCII, so that no other looks the same: letters, digits and - / . */
	form_document,	/* a CPF or a CNPJ, see documents.h */
	form_state,	/* two letters */
	form_zip;	/* eight digits, or 00000-000 */
#endif
