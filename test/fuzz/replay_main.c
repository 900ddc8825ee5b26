/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target without libFuzzer: over the files named, or over N random inputs of a seed. It lets the
 * ordinary tests exercise the targets with gcc, and replays a finding.
 *
 * prog FILE...
 * prog -random SEED N
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "rng.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define INPUT_MAX ((size_t)1 << 20)

static void run_random(uint64_t seed, long n)
{
	uint8_t *data = malloc(512);
	struct rng rng;

	CHECK(data);
	rng_init(&rng, seed);
	for (long i = 0; i < n; i++) {
		size_t len = (size_t)rng_below(&rng, 512);

		/* Small numbers are good lengths and counts; noise alone dies at the first of them. */
		for (size_t k = 0; k < len; k++)
			data[k] = rng_chance(&rng, 3, 4) ? (uint8_t)rng_below(&rng, 4) : (uint8_t)rng_u64(&rng);
		if (len > 2) {
			data[0] = (uint8_t)rng_u64(&rng);
			data[1] = (uint8_t)rng_u64(&rng);
			data[2] = (uint8_t)rng_u64(&rng);
		}
		LLVMFuzzerTestOneInput(data, len);
	}
	free(data);
}

static int run_file(const char *path)
{
	uint8_t *data = malloc(INPUT_MAX);
	FILE *f = fopen(path, "rb");
	size_t len;

	CHECK(data);
	if (!f) {
		fprintf(stderr, "cannot open %s\n", path);
		free(data);
		return 1;
	}
	len = fread(data, 1, INPUT_MAX, f);
	fclose(f);
	LLVMFuzzerTestOneInput(data, len);
	free(data);
	return 0;
}

int main(int argc, char **argv)
{
	int ret = 0;

	if (argc == 4 && strcmp(argv[1], "-random") == 0) {
		run_random(strtoull(argv[2], NULL, 10), strtol(argv[3], NULL, 10));
		return 0;
	}
	for (int i = 1; i < argc; i++)
		ret |= run_file(argv[i]);
	return ret;
}
