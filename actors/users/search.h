/*
 * search.h - finding a doctor, and whom one has to do with.  Must not show what is private.
 */
#ifndef ACTORS_USERS_SEARCH_H
#define ACTORS_USERS_SEARCH_H
#include "broker/msg/users.h"

err_t search_doctors(struct ctx *, const struct users_doctors_req *, struct users_listed_page *) MUST_CHECK;
err_t search_doctor(struct ctx *, const struct users_doctor_req *, struct users_listed *) MUST_CHECK;
err_t search_my_doctors(struct ctx *, const struct users_my_doctors_req *, struct users_doctors_met *) MUST_CHECK;
err_t search_my_patients(struct ctx *, const struct users_my_patients_req *, struct users_patients_met *) MUST_CHECK;
#endif
