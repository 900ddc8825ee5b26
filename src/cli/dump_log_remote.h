/* SPDX-License-Identifier: Apache-2.0 */
/* Records of __remote_log_metadata the way the original prints them: not as JSON, but as its objects show
 * themselves. */
#ifndef CLI_DUMP_LOG_REMOTE_H
#define CLI_DUMP_LOG_REMOTE_H

#include "json.h"
#include "registry.h"

/* `obj` is of row->value. */
void dump_remote(const struct msg_record *row, const void *obj, struct json_out *out);

#endif
