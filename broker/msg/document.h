/* document.h - an answer that is no JSON: it goes to the client as it is. */
#ifndef BROKER_MSG_DOCUMENT_H
#define BROKER_MSG_DOCUMENT_H
#include "broker/msg.h"

/*             from  kind   name   need min  max  of */
#define DOCUMENT(F, T)                                                            \
	F(T,   BODY, TEXT,  type,  REQ, 1, 255,     -)	/* Content-Type */        \
	F(T,   BODY, TEXT,  name,  OPT, 1, 255,     -)	/* a file name of ASCII */ \
	F(T,   BODY, BYTES, bytes, REQ, 0, 1 << 19, -)

MSG_DECLARE(document, DOCUMENT)
#endif
