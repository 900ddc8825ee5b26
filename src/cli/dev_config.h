/* SPDX-License-Identifier: Apache-2.0 */
/* The server.properties of `moldau dev`: one node, broker and controller, on this computer only. */
#ifndef CLI_DEV_CONFIG_H
#define CLI_DEV_CONFIG_H

#include "fmt.h"

/* Writes the text. port 0: any free ports. ERR_INVALID_TEXT when the directory's name cannot stand in a list of
 * directories (it has a comma), ERR_TOO_LARGE when it does not fit. */
enum err dev_config_write(const char *data_dir, int port, struct fmt *ret) MUST_USE;

#endif
