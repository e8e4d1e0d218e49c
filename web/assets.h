/*
 * assets.h - what a gateway shows as it is: the description of the API, and the page made of it.
 *
 * Made by docs.py from openapi.yaml when the program is built; constant, so nobody owns it.
 */
#ifndef WEB_ASSETS_H
#define WEB_ASSETS_H
#include "broker/base/str.h"

struct asset {
	const char *type;		/* Content-Type */
	const char *policy;		/* Content-Security-Policy; NULL: none is needed */
	struct str  body;
};
extern const struct asset asset_openapi, asset_docs;
#endif
