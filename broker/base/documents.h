/*
 * documents.h - Brazilian document numbers: CPF (a person's) and CNPJ (a company's), the latter
 * also with letters, as issued since July 2026.  Pure.
 */
#ifndef BROKER_BASE_DOCUMENTS_H
#define BROKER_BASE_DOCUMENTS_H
#include "broker/base/str.h"

enum { CPF = 11, CNPJ = 14, DOCUMENT_TEXT = CNPJ + 1, ZIP = 8 };

/* Takes off the mask (000.000.000-00, 00.000.000/0000-00), brings letters to upper case and
 * checks both check digits.  False: no such number.  out is ended by NUL. */
bool document_read(struct str text, char out[DOCUMENT_TEXT]);
/* 00000-000 or 00000000. */
bool zip_read(struct str text, char out[ZIP + 1]);
#endif
