/* doctors.c - the descriptions that doctors.h declares. */
#include "broker/msg/doctors.h"

const char *const users_sort_names[] = { "name", "price", "rating", "next_slot", NULL };

MSG_DEFINE(users_doctor_profile,  USERS_DOCTOR_PROFILE)
MSG_DEFINE(users_area,            USERS_AREA)
MSG_DEFINE(users_listed,          USERS_LISTED)
MSG_DEFINE(users_listed_page,     USERS_LISTED_PAGE)
MSG_DEFINE(users_doctors_req,     USERS_DOCTORS_REQ)
MSG_DEFINE(users_doctor_req,      USERS_DOCTOR_REQ)
MSG_DEFINE(users_doctor_met,      USERS_DOCTOR_MET)
MSG_DEFINE(users_patient_met,     USERS_PATIENT_MET)
MSG_DEFINE(users_doctors_met,     USERS_DOCTORS_MET)
MSG_DEFINE(users_patients_met,    USERS_PATIENTS_MET)
MSG_DEFINE(users_my_doctors_req,  USERS_MY_DOCTORS_REQ)
MSG_DEFINE(users_my_patients_req, USERS_MY_PATIENTS_REQ)
