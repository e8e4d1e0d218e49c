/*
 * store_s3.c - chunks as objects <bucket>/<file>/<index> of anything that speaks S3.  The one room of
 * libcurl, which signs (AWS Signature Version 4).
 *
 * Must not follow a redirect, nor send a key anywhere but to the endpoint of the configuration.  A put
 * is not of the transaction around it: an object of a file that never became whole is swept with it.
 */
#include <curl/curl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "actors/files/store.h"
#include "actors/files/vault.h"
#include "broker/base/clock.h"
#include "broker/base/config.h"
#include "broker/base/digest.h"

enum { CONNECT_MS = 2000, REQUEST_MS = 10000, URL = 1024, HEADER = 256 };

static char provider[128], login[512];
static pthread_key_t handles;		/* a connection a thread, kept */

static void close_handle(void *h)
{
	curl_easy_cleanup(h);
}

bool store_s3_start(char *why)
{
	static const enum config_key needed[] = { CONFIG_S3_ENDPOINT, CONFIG_S3_REGION, CONFIG_S3_BUCKET,
		CONFIG_S3_ACCESS_KEY, CONFIG_S3_SECRET_KEY };

	for (size_t i = 0; i < COUNT(needed); i++)
		if (config_text(needed[i])[0] == '\0') {
			(void) snprintf(why, 256, "files in S3 need all of HEALTHMED_S3_ENDPOINT, _REGION, _BUCKET, "
					"_ACCESS_KEY and _SECRET_KEY");
			return false;
		}
	(void) snprintf(provider, sizeof provider, "aws:amz:%s:s3", config_text(CONFIG_S3_REGION));
	(void) snprintf(login, sizeof login, "%s:%s", config_text(CONFIG_S3_ACCESS_KEY),
			config_text(CONFIG_S3_SECRET_KEY));
	if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK && pthread_key_create(&handles, close_handle) == 0)
		return true;
	(void) snprintf(why, 256, "libcurl does not start");
	return false;
}

/* ---- one request ---- */

struct answer { char *p; size_t n, cap; };

static size_t receive(char *p, size_t one, size_t n, void *of)
{
	struct answer *a = of;

	if (n > a->cap - a->n)
		return 0;	/* more than a chunk: it is none of ours */
	memcpy(a->p + a->n, p, n);
	a->n += n;
	return one * n;
}

static void free_list(struct curl_slist **l) { curl_slist_free_all(*l); }

static CURL *handle_of_thread(void)
{
	CURL *h = pthread_getspecific(handles);

	if (h != NULL) {
		curl_easy_reset(h);	/* its connections stay */
		return h;
	}
	h = curl_easy_init();
	if (h != NULL)
		(void) pthread_setspecific(handles, h);
	return h;
}

/* The hash of the body is signed with the rest: what arrives is what was sent. */
static struct curl_slist *headers_of(struct str body)
{
	static const char *const plain[] = { "Content-Type: application/octet-stream", "Expect:" };
	unsigned char hash[SHA256_BYTES];
	char hex[SHA256_HEX], line[HEADER];
	struct curl_slist *list, *more;

	sha256_of(body, hash);
	sha256_hex(hash, hex);
	(void) snprintf(line, sizeof line, "x-amz-content-sha256: %s", hex);
	list = curl_slist_append(NULL, line);
	for (size_t i = 0; list != NULL && i < COUNT(plain); i++) {
		if ((more = curl_slist_append(list, plain[i])) == NULL)
			curl_slist_free_all(list);
		list = more;
	}
	return list;
}

static CURLcode perform(CURL *h, const char *url, const char *method, struct str body,
			struct curl_slist *headers, long ms, struct answer *a, long *status)
{
	CURLcode e = CURLE_OK;

#define SET_(option, value) if (e == CURLE_OK) e = curl_easy_setopt(h, CURLOPT_##option, value)
	SET_(URL, url);
	SET_(PROTOCOLS_STR, "http,https");
	SET_(AWS_SIGV4, provider);
	SET_(USERPWD, login);
	SET_(HTTPHEADER, headers);
	SET_(NOSIGNAL, 1L);
	SET_(CONNECTTIMEOUT_MS, (long) CONNECT_MS);
	SET_(TIMEOUT_MS, ms);
	SET_(WRITEFUNCTION, receive);
	SET_(WRITEDATA, a);
	if (body.n > 0) {
		SET_(POSTFIELDSIZE, (long) body.n);
		SET_(POSTFIELDS, body.p);
	}
	SET_(CUSTOMREQUEST, method);
#undef SET_
	if (e == CURLE_OK)
		e = curl_easy_perform(h);
	if (e == CURLE_OK)
		e = curl_easy_getinfo(h, CURLINFO_RESPONSE_CODE, status);
	return e;
}

static err_t request(struct ctx *c, const char *method, int64_t file, int64_t index, struct str body,
		     struct str *out)
{
	CURL *h = handle_of_thread();
	struct curl_slist *headers CLEANUP(free_list) = headers_of(body);
	struct answer a = { .cap = VAULT_CHUNK + SEAL_MORE };
	const int64_t left = c->deadline == 0 ? REQUEST_MS : clock_left(c->deadline) / MS;
	char url[URL];
	long status = 0;

	a.p = arena_alloc(c->mem, a.cap);
	if (h == NULL || headers == NULL || a.p == NULL)
		return refuse(c, ERR_unavailable, "no memory for a request to S3");
	if (left <= 0)
		return refuse(c, ERR_timeout, "no time is left for S3");
	if (snprintf(url, sizeof url, "%s/%s/%" PRId64 "/%" PRId64, config_text(CONFIG_S3_ENDPOINT),
		     config_text(CONFIG_S3_BUCKET), file, index) >= (int) sizeof url)
		return refuse(c, ERR_internal, "HEALTHMED_S3_ENDPOINT is too long");

	const CURLcode e = perform(h, url, method, body, headers,
				   left < REQUEST_MS ? (long) left : (long) REQUEST_MS, &a, &status);

	if (e != CURLE_OK)
		return refuse(c, ERR_unavailable, "S3: %s", curl_easy_strerror(e));
	if (status == 404)
		return refuse(c, ERR_not_found, "S3: no such object");
	if (status < 200 || status > 299)
		return refuse(c, ERR_unavailable, "S3: status %ld", status);
	*out = (struct str) { a.p, a.n };
	return OK;
}

/* ---- the store ---- */

static err_t put(struct ctx *c, int64_t file, int64_t index, struct str sealed)
{
	struct str nothing;
	const err_t e = request(c, "PUT", file, index, sealed, &nothing);

	return e.code == ERR_not_found ? refuse(c, ERR_unavailable, "S3: no such bucket") : e;
}

static err_t get(struct ctx *c, int64_t file, int64_t index, struct str *sealed)
{
	return request(c, "GET", file, index, STR(""), sealed);
}

static err_t drop(struct ctx *c, int64_t file, int64_t chunks)
{
	for (int64_t i = 0; i < chunks; i++) {
		const size_t mark = c->mem->used;
		struct str nothing;
		const err_t e = request(c, "DELETE", file, i, STR(""), &nothing);

		arena_back(c->mem, mark);
		if (e.code != ERR_none && e.code != ERR_not_found)
			return e;
	}
	return OK;
}

const struct store store_s3 = { put, get, drop };
