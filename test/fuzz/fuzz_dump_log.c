/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kafka-dump-log on files of any content: the first byte picks the kind of file and what its records are
 * taken for. A batch's checksum is not looked at before it is taken apart, so that everything behind it is
 * reached.
 */
#include "check.h"
#include "dump_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {
	"00000000000000000000.log",	 "00000000000000000003-0000000001.checkpoint",
	"00000000000000000000.index",	 "00000000000000000000.timeindex",
	"00000000000000000008.snapshot", "00000000000000000000.txnindex",
	"00000000000000000000.log",	 "00000000000000000000.log",
};

static struct dump_file file_of(const char *name, struct bytes b)
{
	return (struct dump_file){.path = name,
				  .whole_path = name,
				  .name = name,
				  .size = (int64_t)b.len,
				  .fd = -1,
				  .memory = b};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	FILE *null = fopen("/dev/null", "w");
	struct dump_args args = {
		.is_deep = true, .is_printing = true, .bytes_max = INT32_MAX, .message_max = 5 << 20};
	struct dump_file file, log, index;
	struct dump_run run;
	struct bytes all;

	CHECK(null);
	if (size > 2) {
		/* Half of it is the file, the rest what stands beside it. */
		size_t half = (size - 2) / 2;

		all = (struct bytes){data + 2, size - 2};
		args.content = (enum dump_content)((data[0] >> 3) % (DUMP_SHARE + 1));
		args.key_decoder = (enum dump_decoder)(data[1] & 3);
		args.value_decoder = (enum dump_decoder)(data[1] >> 2 & 3);
		args.is_skipping_metadata = data[1] & 16;
		args.is_sanity_check = data[1] & 32;
		args.out = args.err = null;
		file = file_of(names[data[0] & 7],
			       (data[0] & 7) == 2 || (data[0] & 7) == 3 ? (struct bytes){all.p, half} : all);
		log = file_of(names[0], (struct bytes){all.p + half, all.len - half});
		index = file_of(names[2], (struct bytes){all.p, half});
		dump_run_init(&run, &args);
		(void)dump_one(&run, &file, &log, &index);
		dump_findings_print(&run);
		dump_run_deinit(&run);
	}
	fclose(null);
	return 0;
}
