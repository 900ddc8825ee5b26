/* SPDX-License-Identifier: Apache-2.0 */
/* Finds a message by its code. */
#include "message.h"

#include <strings.h>

const struct message *message_find(const char *code)
{
	if (strncasecmp(code, "ML", 2) == 0)
		code += 2;
	for (size_t i = 0; i < messages_n; i++) {
		if (strcasecmp(messages[i].code + 2, code) == 0)
			return &messages[i];
	}
	return NULL;
}
