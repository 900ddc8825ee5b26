/* SPDX-License-Identifier: Apache-2.0 */
/* See logger_settings.h. */
#include "logger_settings.h"

#include "log_levels.h"

static enum err logger_check(const struct log_levels *levels, const struct config_change *change,
			     struct err_text *text)
{
	switch (change->op) {
	case CONFIG_OP_SET:
		if (!change->value.p)
			return err_text_set(text, ERR_INVALID_REQUEST, "Null value not supported for : %.*s",
					    STR_ARGS(change->name));
		break;
	case CONFIG_OP_DELETE:
		break;
	case CONFIG_OP_APPEND:
	case CONFIG_OP_SUBTRACT:
		return err_text_set(text, ERR_INVALID_REQUEST,
				    "%s operation is not allowed for the BROKER_LOGGER resource",
				    change->op == CONFIG_OP_APPEND ? "APPEND" : "SUBTRACT");
	default:
		return err_text_set(text, ERR_INVALID_REQUEST, "Unknown operation %d", change->op);
	}
	if (!levels)
		return err_text_set(text, ERR_INVALID_CONFIG, "Logger %.*s does not exist!", STR_ARGS(change->name));
	return log_levels_check(levels, change->name, change->op == CONFIG_OP_SET ? change->value : STR_NULL, text);
}

void broker_alter_loggers(struct resource_change *resource, bool validate_only, struct arena *arena)
{
	struct log_levels *levels = log_levels_current();
	struct err_text text;
	enum err err = ERR_NONE;

	for (int32_t i = 0; !err && i < resource->changes_n; i++)
		err = logger_check(levels, &resource->changes[i], &text);
	for (int32_t i = 0; !err && !validate_only && i < resource->changes_n; i++) {
		const struct config_change *change = &resource->changes[i];
		struct str level = change->op == CONFIG_OP_SET ? change->value : STR_NULL;

		err = log_levels_set(levels, change->name, level, &text);
		if (!err)
			log_info("log.level", "logger=%.*s level=%.*s", STR_ARGS(change->name),
				 STR_ARGS(level.p ? level : STR("(of its parent)")));
	}
	if (err) {
		resource_change_refuse(resource, err, &text, arena);
		return;
	}
	resource->is_done = true;
	resource->err = ERR_NONE;
}
