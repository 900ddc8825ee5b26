/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a properties text; see dev_config.h. */
#include "dev_config.h"

#define PORT_MAX 65535

/* A value of a properties file: a backslash before what would be taken for something else. */
static void dev_config_escape(struct fmt *ret, const char *text)
{
	for (const char *p = text; *p; p++) {
		switch (*p) {
		case '\n':
			fmt_add(ret, "\\n");
			break;
		case '\r':
			fmt_add(ret, "\\r");
			break;
		case '\\':
			fmt_add(ret, "\\\\");
			break;
		default:
			fmt_add(ret, p == text && (*p == ' ' || *p == '\t') ? "\\%c" : "%c", *p);
		}
	}
}

enum err dev_config_write(const char *data_dir, int port, struct fmt *ret)
{
	int controller_port = port == 0 || port == PORT_MAX ? 0 : port + 1;

	for (const char *p = data_dir; *p; p++) {
		if (*p == ',')
			return ERR_INVALID_TEXT;
	}
	fmt_add(ret, "process.roles=broker,controller\n"
		     "node.id=1\n"
		     "listeners=PLAINTEXT://localhost:%d,CONTROLLER://localhost:%d\n"
		     "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
		     "controller.listener.names=CONTROLLER\n"
		     "controller.quorum.bootstrap.servers=localhost:%d\n"
		     "log.dirs=",
		port, controller_port, controller_port);
	dev_config_escape(ret, data_dir);
	fmt_add(ret, "\n");
	return ret->cut ? ERR_TOO_LARGE : ERR_NONE;
}
