/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Effective settings of a group: its own overrides over what the node's settings give to all groups. The node also
 * bounds what a group may say (group.consumer.min.session.timeout.ms and the like). A change is refused outside the
 * bounds; what was stored when they were wider is brought into them.
 */
#ifndef CONFIG_GROUP_CONFIG_H
#define CONFIG_GROUP_CONFIG_H

#include "topic_config.h"

/* What a group without overrides has. Texts are borrowed from the tables. */
void group_config_base(struct group_config *ret, const struct broker_config *node);
/* The base with a group's overrides; unknown names and bad values are skipped, numbers are brought into the node's
 * bounds, and a session that is not longer than a heartbeat falls back to the base's pair. Texts are borrowed from the
 * overrides. */
void group_config_build(struct group_config *ret, const struct broker_config *node, const struct group_config *base,
			struct config_layer overrides);
/* All overrides of a group together: ERR_INVALID_CONFIG with the original's words for unknown names, values, bounds of
 * the node, sessions that are not longer than a heartbeat. */
enum err group_config_check(const struct broker_config *node, struct config_layer overrides, struct err_text *text)
	MUST_USE;

#endif
