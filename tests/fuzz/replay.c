/*
 * replay.c - feeds a fuzz target what was kept for it, whole and cut short at every length, where
 * clang's fuzzer is not at hand.  Arguments: files, or folders of files.
 *
 * Must not accept an empty corpus: a target that is fed nothing tests nothing.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { INPUT_MAX = 1 << 20, CUTS = 1024 };

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static unsigned char data[INPUT_MAX];
static size_t        inputs;

/* A copy of exactly that size, so that AddressSanitizer sees one byte too far. */
static void feed(size_t n)
{
	unsigned char *copy = malloc(n > 0 ? n : 1);

	if (copy == NULL)
		abort();
	memcpy(copy, data, n);
	(void) LLVMFuzzerTestOneInput(copy, n);
	free(copy);
}

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");

	if (f == NULL) {
		perror(path);
		return 1;
	}

	const size_t n = fread(data, 1, sizeof data, f);

	(void) fclose(f);
	for (size_t cut = 0; cut < n && cut < CUTS; cut++)
		feed(cut);
	feed(n);
	inputs++;
	return 0;
}

static int replay(const char *path)
{
	DIR *d = opendir(path);
	char name[4096];
	int rc = 0;

	if (d == NULL)
		return replay_file(path);
	for (const struct dirent *e; (e = readdir(d)) != NULL;) {
		if (e->d_name[0] == '.')
			continue;
		(void) snprintf(name, sizeof name, "%s/%s", path, e->d_name);
		rc |= replay_file(name);
	}
	(void) closedir(d);
	return rc;
}

int main(int argc, char **argv)
{
	int rc = 0;

	for (int i = 1; i < argc; i++)
		rc |= replay(argv[i]);
	if (inputs == 0)
		(void) fprintf(stderr, "%s: nothing to replay\n", argv[0]);
	else
		(void) printf("%zu inputs\n", inputs);
	return rc != 0 || inputs == 0;
}
