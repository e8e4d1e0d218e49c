/* facts.c - the descriptions that facts.h declares. */
#include "broker/msg/facts.h"

MSG_DEFINE(fact,    FACT)
MSG_DEFINE(facts,   FACTS)
MSG_DEFINE(letter,  LETTER)
MSG_DEFINE(letters, LETTERS)
