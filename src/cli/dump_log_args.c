/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of kafka-dump-log: whole names of options, values behind "=" or a blank, other words left
 * alone. */
#include <limits.h>

#include "dump_log.h"
#include "fmt.h"

enum option_kind {
	OPTION_CLUSTER_METADATA,
	OPTION_DEEP,
	OPTION_FILES,
	OPTION_HELP,
	OPTION_SANITY,
	OPTION_KEY_DECODER,
	OPTION_BYTES_MAX,
	OPTION_MESSAGE_MAX,
	OPTION_OFFSETS,
	OPTION_PRINT,
	OPTION_REMOTE,
	OPTION_SHARE,
	OPTION_SKIP,
	OPTION_TXN,
	OPTION_VALUE_DECODER,
	OPTION_VERIFY,
	OPTION_VERSION,
	OPTION_N,
};

enum value_kind { VALUE_NONE, VALUE_NEEDED, VALUE_OPTIONAL };

static const struct {
	const char *name;
	enum value_kind value;
	const char *shown, *help;
} options[OPTION_N] = {
	[OPTION_CLUSTER_METADATA] = {"cluster-metadata-decoder", VALUE_NONE, "",
				     "Print records of the metadata log."},
	[OPTION_DEEP] = {"deep-iteration", VALUE_NONE, "", "Print a line for each record."},
	[OPTION_FILES] =
		{"files", VALUE_NEEDED, " FILE,FILE...",
		 "Required. Files of a log directory: .log, .index, .timeindex, .txnindex, .snapshot,\n"
		 "        .checkpoint."},
	[OPTION_HELP] = {"help", VALUE_NONE, "", "This."},
	[OPTION_SANITY] = {"index-sanity-check", VALUE_NONE, "",
			   "Indexes: only what a start checks, to know whether to build one anew."},
	[OPTION_KEY_DECODER] =
		{"key-decoder-class", VALUE_OPTIONAL, " CLASS",
		 "How keys are printed: org.apache.kafka.tools.api. with StringDecoder (default),\n"
		 "        IntegerDecoder, LongDecoder, DefaultDecoder."},
	[OPTION_BYTES_MAX] = {"max-bytes", VALUE_NEEDED, " N",
			      "How many bytes of batches are read of a .log."},
	[OPTION_MESSAGE_MAX] = {"max-message-size", VALUE_NEEDED, " N",
				"The largest batch that an index can point at (5242880)."},
	[OPTION_OFFSETS] = {"offsets-decoder", VALUE_NONE, "", "Print records of __consumer_offsets."},
	[OPTION_PRINT] = {"print-data-log", VALUE_NONE, "",
			  "Print keys and values too; any decoder does as well."},
	[OPTION_REMOTE] = {"remote-log-metadata-decoder", VALUE_NONE, "",
			   "Print records of __remote_log_metadata."},
	[OPTION_SHARE] = {"share-group-state-decoder", VALUE_NONE, "",
			  "Print records of __share_group_state."},
	[OPTION_SKIP] = {"skip-record-metadata", VALUE_NONE, "",
			 "Of a record print only key and value; nothing of control records."},
	[OPTION_TXN] = {"transaction-log-decoder", VALUE_NONE, "", "Print records of __transaction_state."},
	[OPTION_VALUE_DECODER] = {"value-decoder-class", VALUE_OPTIONAL, " CLASS", "The same for values."},
	[OPTION_VERIFY] = {"verify-index-only", VALUE_NONE, "",
			   "Indexes: say what is wrong, print no entries."},
	[OPTION_VERSION] = {"version", VALUE_NONE, "", "The version of Kafka that is spoken."},
};

struct given {
	bool is_there[OPTION_N];
	const char *value[OPTION_N]; /* NULL: none */
};

static void help(FILE *err)
{
	fputs("This tool prints what is in files of a log directory: batches, records, indexes, snapshots.\n",
	      err);
	for (int i = 0; i < OPTION_N; i++)
		fprintf(err, "  --%s%s\n        %s\n", options[i].name, options[i].shown, options[i].help);
}

static int option_find(struct str name)
{
	for (int i = 0; i < OPTION_N; i++) {
		if (str_eq_c(name, options[i].name))
			return i;
	}
	return -1;
}

static bool given_read(int argc, char **argv, FILE *err, struct given *ret)
{
	for (int at = 0; at < argc; at++) {
		const char *word = argv[at], *equals = strchr(word, '=');
		size_t dashes = strspn(word, "-");
		struct str name = {word + dashes,
				   equals ? (size_t)(equals - word) - dashes : strlen(word) - dashes};
		int option = option_find(name);

		if (dashes == 0 || name.len == 0)
			continue;
		if (option < 0) {
			fprintf(err, "%.*s is not a recognized option\n", STR_ARGS(name));
			return false;
		}
		if (ret->is_there[option] && options[option].value != VALUE_NONE) {
			fprintf(err, "Found multiple arguments for option %s, but you asked for only one\n",
				options[option].name);
			return false;
		}
		ret->is_there[option] = true;
		if (options[option].value == VALUE_NONE)
			continue;
		if (equals)
			ret->value[option] = equals + 1;
		else if (at + 1 < argc && argv[at + 1][0] != '-')
			ret->value[option] = argv[++at];
		else if (options[option].value == VALUE_NEEDED) {
			fprintf(err, "Option %s requires an argument\n", options[option].name);
			return false;
		}
	}
	return true;
}

static bool number_read(const struct given *given, enum option_kind option, int32_t otherwise, FILE *err,
			int32_t *ret)
{
	const char *value = given->value[option];

	*ret = otherwise;
	if (!value || parse_i32(str_of(value), ret) == ERR_NONE)
		return true;
	fprintf(err, "Cannot parse argument '%s' of option %s\n", value, options[option].name);
	return false;
}

static bool decoder_read(const struct given *given, enum option_kind option, FILE *err,
			 enum dump_decoder *ret)
{
	static const struct {
		const char *name;
		enum dump_decoder decoder;
	} decoders[] = {
		{"StringDecoder", DUMP_STRING},
		{"IntegerDecoder", DUMP_INTEGER},
		{"LongDecoder", DUMP_LONG},
		{"DefaultDecoder", DUMP_BYTES},
	};
	static const char package[] = "org.apache.kafka.tools.api.";
	const char *value = given->value[option];
	size_t len = sizeof(package) - 1;

	*ret = DUMP_STRING;
	if (!value)
		return true;
	for (size_t i = 0; strncmp(value, package, len) == 0 && i < ARRAY_N(decoders); i++) {
		if (strcmp(value + len, decoders[i].name) == 0) {
			*ret = decoders[i].decoder;
			return true;
		}
	}
	fprintf(err, "There is no decoder %s: a class of your own cannot be run here\n", value);
	return false;
}

static enum dump_content content_of(const struct given *given)
{
	return given->is_there[OPTION_OFFSETS]		  ? DUMP_OFFSETS
	       : given->is_there[OPTION_TXN]		  ? DUMP_TXN
	       : given->is_there[OPTION_CLUSTER_METADATA] ? DUMP_METADATA
	       : given->is_there[OPTION_REMOTE]		  ? DUMP_REMOTE
	       : given->is_there[OPTION_SHARE]		  ? DUMP_SHARE
							  : DUMP_PLAIN;
}

bool dump_args_read(int argc, char **argv, FILE *out, FILE *err, struct dump_args *ret, int *ret_code)
{
	struct given given = {0};
	struct dump_args args = {.out = out, .err = err};

	*ret_code = 1;
	if (argc > 0 && !given_read(argc, argv, err, &given))
		return false;
	if (argc == 0 || given.is_there[OPTION_HELP]) {
		help(err);
		*ret_code = argc == 0;
		return false;
	}
	if (given.is_there[OPTION_VERSION]) {
		fputs("4.3.1\n", out);
		*ret_code = 0;
		return false;
	}
	if (!given.is_there[OPTION_FILES]) {
		fputs("Missing required argument \"[files]\"\n", err);
		help(err);
		return false;
	}
	args.files = given.value[OPTION_FILES];
	args.content = content_of(&given);
	args.is_printing = given.is_there[OPTION_PRINT] || args.content != DUMP_PLAIN ||
			   given.is_there[OPTION_KEY_DECODER] || given.is_there[OPTION_VALUE_DECODER];
	args.is_deep = args.is_printing || given.is_there[OPTION_DEEP];
	args.is_skipping_metadata = given.is_there[OPTION_SKIP];
	args.is_sanity_check = given.is_there[OPTION_SANITY];
	args.is_verifying = given.is_there[OPTION_VERIFY];
	if (!number_read(&given, OPTION_BYTES_MAX, INT_MAX, err, &args.bytes_max) ||
	    !number_read(&given, OPTION_MESSAGE_MAX, 5 << 20, err, &args.message_max) ||
	    !decoder_read(&given, OPTION_KEY_DECODER, err, &args.key_decoder) ||
	    !decoder_read(&given, OPTION_VALUE_DECODER, err, &args.value_decoder))
		return false;
	if (args.bytes_max < 0 || args.message_max < 0) {
		fputs("A size cannot be below zero\n", err);
		return false;
	}
	*ret = args;
	*ret_code = 0;
	return true;
}
