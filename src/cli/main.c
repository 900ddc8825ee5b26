/* SPDX-License-Identifier: Apache-2.0 */
/* moldau: one program for everything; under the name of one of the original's tools it is that tool. */
#include <string.h>

#include "commands.h"
#include "dump_log.h"
#include "storage_tool.h"

/* Is the program called like this tool, with or without .sh? */
static bool is_called(const char *argv0, const char *tool)
{
	const char *slash = strrchr(argv0, '/'), *name = slash ? slash + 1 : argv0;
	size_t len = strlen(tool);

	return strncmp(name, tool, len) == 0 && (!name[len] || strcmp(name + len, ".sh") == 0);
}

int main(int argc, char **argv)
{
	if (argc > 0 && is_called(argv[0], "kafka-storage"))
		return storage_tool(argc - 1, argv + 1, stdout, stderr);
	if (argc > 0 && is_called(argv[0], "kafka-dump-log"))
		return dump_log_tool(argc - 1, argv + 1, stdout, stderr);
	return (int)cli_main(&moldau_program, argc, argv, stdout, stderr);
}
