/* SPDX-License-Identifier: Apache-2.0 */
/* Reading configurations from files, for whoever has no event loop: the start, SIGHUP, checks, the storage tool. */
#ifndef CLI_CONFIG_FILE_H
#define CLI_CONFIG_FILE_H

#include "config_source.h"

#define CONFIG_FILE_MAX ((size_t)16 << 20)

/* The whole file, NUL-terminated behind *ret_len; the caller frees with mem_free. 0, or an errno. */
int config_file_read(const char *path, char **ret, size_t *ret_len);
/* For config_source.read. */
bool config_file_read_reference(void *ctx, struct str path, struct arena *arena, struct bytes *ret);

#endif
