/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Levels of loggers as settings of this node: described and changed by the tools like any other, forgotten with the
 * process. Who writes the log keeps the levels; the broker sees them through a table of calls.
 */
#ifndef BROKER_LOGGER_SETTINGS_H
#define BROKER_LOGGER_SETTINGS_H

#include "alter_configs.h"

struct broker;

/* Loggers in order of names, "root" among them. Its functions may be called on any reactor. */
struct logger_table {
	size_t n;
	struct str (*name)(void *ctx, size_t index);
	/* In force: its own, or that of the nearest one above it. "INFO" */
	struct str (*level)(void *ctx, size_t index);
	/* Null: it has none of its own any more. */
	void (*set)(void *ctx, size_t index, struct str level);
	void *ctx;
};

/* Checks and makes the changes of one resource of type BROKER_LOGGER that passed resource_changes_check; fills its
 * outcome. All of its changes are made, or none. */
void broker_alter_loggers(struct broker *broker, struct resource_change *resource, bool validate_only,
			  struct arena *arena);

#endif
