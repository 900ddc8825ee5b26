/* SPDX-License-Identifier: Apache-2.0 */
/* Levels of loggers as settings of this node: changed by the tools like any other, forgotten with the process. */
#ifndef BROKER_LOGGER_SETTINGS_H
#define BROKER_LOGGER_SETTINGS_H

#include "config_changes.h"

/* Checks and makes the changes of one resource of type BROKER_LOGGER that passed resource_changes_check; fills its
 * outcome. All of its changes are made, or none. On any reactor: the levels are those of its log. */
void broker_alter_loggers(struct resource_change *resource, bool validate_only, struct arena *arena);

#endif
