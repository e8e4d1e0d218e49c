/*
 * vault.h - a file at rest: a random key of its own, and each chunk sealed by itself.
 *
 * What a chunk is (file, index, whether it is the last) is authenticated with it, so that any worker can
 * seal or open any chunk, and one that was changed, moved, taken from another file or cut off does not
 * open.  The key lies beside the file, wrapped by a master key that has a name: the first of the
 * configuration wraps, all unwrap.
 */
#ifndef ACTORS_FILES_VAULT_H
#define ACTORS_FILES_VAULT_H
#include "broker/base/seal.h"

enum {
	VAULT_CHUNK = 64 << 10,				/* bytes of a file in one seal */
	VAULT_WRAPPED = sizeof(struct secret) + SEAL_MORE,
	VAULT_NAME = 32,				/* the longest name of a master key */
};

/* "name:base64url, name:base64url…", each key 32 bytes; once, before any thread.  False, with one line in
 * why (256 bytes), which quotes no key. */
bool vault_masters(const char *list, char *why);

struct vault { int64_t file; struct secret key; };

/* A new key for a file, and how it is kept, in the arena. */
err_t vault_draw(struct ctx *, struct vault *, int64_t file, struct str *master, struct str *wrapped) MUST_CHECK;
/* internal: there is no such master key, or it is not the key of that file. */
err_t vault_unwrap(struct ctx *, struct vault *, int64_t file, struct str master, struct str wrapped) MUST_CHECK;
void  vault_forget(struct vault *);

/* What comes out lies in the arena.  internal: that is not the chunk. */
err_t vault_seal(struct ctx *, const struct vault *, int64_t index, bool last, struct str plain,
		 struct str *sealed) MUST_CHECK;
err_t vault_open(struct ctx *, const struct vault *, int64_t index, bool last, struct str sealed,
		 struct str *plain) MUST_CHECK;

/* How many chunks a file has, and how long each is. */
int64_t vault_chunks(int64_t size);
size_t  vault_length(int64_t size, int64_t index);
#endif
