/* document.c - the description that document.h declares. */
#include "broker/msg/document.h"

MSG_DEFINE(document, DOCUMENT)
