/* SPDX-License-Identifier: Apache-2.0 */
/* moldau explain, moldau version: what needs no broker. */
#include "commands.h"
#include "message.h"

enum cli_exit cmd_version(const struct cli_run *run)
{
	fprintf(run->out, "moldau %s (in the place of Apache Kafka 4.3)\n", MOLDAU_VERSION);
	return CLI_OK;
}

/* Prints text with every line set in. */
static void explain_part(FILE *out, const char *head, const char *text)
{
	fprintf(out, "\n%s\n  ", head);
	for (; *text; text++) {
		fputc(*text, out);
		if (*text == '\n')
			fputs("  ", out);
	}
	fputc('\n', out);
}

enum cli_exit cmd_explain(const struct cli_run *run)
{
	const struct message *message;

	if (run->args_n == 0) {
		for (size_t i = 0; i < messages_n; i++)
			fprintf(run->out, "%s  %s\n", messages[i].code, messages[i].title);
		return CLI_OK;
	}
	message = message_find(run->args[0]);
	if (!message) {
		fprintf(run->err, "There is no message with the code %s. All there are: %s explain\n", run->args[0],
			run->program->name);
		return CLI_NOT_FOUND;
	}
	fprintf(run->out, "%s  %s\n", message->code, message->title);
	explain_part(run->out, "What happened", message->what);
	explain_part(run->out, "Why", message->why);
	explain_part(run->out, "What to do", message->todo);
	return CLI_OK;
}
