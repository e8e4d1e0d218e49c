/*
 * problem.h - an error as RFC 9457 application/problem+json.
 *
 * The type is a reference relative to the API: /problems/<code>; title is the public text of the
 * error table.  What a ctx keeps for the log never gets here.
 */
#ifndef WEB_PROBLEM_H
#define WEB_PROBLEM_H
#include "broker/msg.h"
#include "web/http.h"

/*             from  kind  name      need min  max  of */
#define PROBLEM_FAULT(F, T)                             \
	F(T,   BODY, TEXT, field,    REQ, 0, 255, -)    \
	F(T,   BODY, TEXT, code,     REQ, 1, 64,  -)    \
	F(T,   BODY, TEXT, message,  REQ, 0, 255, -)
#define PROBLEM(F, T)                                   \
	F(T,   BODY, TEXT, type,     REQ, 1, 255, -)    \
	F(T,   BODY, TEXT, title,    REQ, 1, 255, -)    \
	F(T,   BODY, INT,  status,   REQ, 400, 599, -)  \
	F(T,   BODY, TEXT, detail,   OPT, 0, 255, -)    \
	F(T,   BODY, TEXT, code,     REQ, 1, 64,  -)    \
	F(T,   BODY, TEXT, trace_id, OPT, 32, 32, -)    \
	F(T,   BODY, LIST, errors,   OPT, 0, 32, problem_fault)

MSG_DECLARE(problem_fault, PROBLEM_FAULT)
MSG_DECLARE(problem,       PROBLEM)

/* Makes the answer that error, with the ctx's faults and the headers that its status asks for;
 * headers that are there already stay.  after_s: Retry-After, 0: as usual. */
void problem_write(struct ctx *, err_t, int after_s, struct http_answer *);
#endif
