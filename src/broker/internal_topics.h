/* SPDX-License-Identifier: Apache-2.0 */
/* Names of the topics that the cluster keeps for itself. */
#ifndef BROKER_INTERNAL_TOPICS_H
#define BROKER_INTERNAL_TOPICS_H

#include "bytes.h"

static inline bool internal_topic_is(struct str name)
{
	return str_eq_c(name, "__consumer_offsets") || str_eq_c(name, "__transaction_state") ||
	       str_eq_c(name, "__share_group_state");
}

#endif
