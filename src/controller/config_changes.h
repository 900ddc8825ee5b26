/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes of settings: AlterConfigs and IncrementalAlterConfigs in one form. A change goes through two steps, as in
 * Kafka: resource_changes_check looks at the request alone, on the broker that got it; controller_alter_configs decides
 * over what the controller keeps. Each resource has its own outcome; those that are refused leave no record.
 */
#ifndef CONTROLLER_CONFIG_CHANGES_H
#define CONTROLLER_CONFIG_CHANGES_H

#include "controller.h"

/* Types of resources that have settings. */
enum config_resource {
	CONFIG_RESOURCE_TYPE_TOPIC = 2,
	CONFIG_RESOURCE_TYPE_BROKER = 4, /* a broker by its id, or all of them by an empty name */
	CONFIG_RESOURCE_TYPE_BROKER_LOGGER = 8, /* levels of logs: changed by the broker, never kept here */
	CONFIG_RESOURCE_TYPE_CLIENT_METRICS = 16,
	CONFIG_RESOURCE_TYPE_GROUP = 32,
};

enum config_op { CONFIG_OP_SET, CONFIG_OP_DELETE, CONFIG_OP_APPEND, CONFIG_OP_SUBTRACT };

struct config_change {
	struct str name;
	int8_t op; /* enum config_op, or what a client made of it */
	struct str value; /* null: none */
};

struct resource_change {
	int8_t type;
	struct str name;
	const struct config_change *changes;
	int32_t changes_n;
	/* out */
	bool is_done; /* has its outcome */
	enum err err;
	struct str message; /* null: none; literal, or memory of the arena */
};

struct resource_changes {
	struct resource_change *v;
	int32_t n;
	bool replaces; /* AlterConfigs: what is not named is deleted */
	bool validate_only;
};

/* Ends a resource; the text may be NULL. */
void resource_change_refuse(struct resource_change *resource, enum err err, const struct err_text *text,
			    struct arena *arena);
/* Resources and keys that stand there twice, values that are missing, unknown types, brokers that are not this one. */
void resource_changes_check(const struct resource_changes *changes, int32_t node_id, uint64_t seed,
			    struct arena *arena);
/* Decides about every resource that has no outcome yet. */
enum err controller_alter_configs(struct controller *controller, const struct resource_changes *changes,
				  struct controller_records *records, struct arena *arena) MUST_USE;

#endif
