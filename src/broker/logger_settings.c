/* SPDX-License-Identifier: Apache-2.0 */
/* See logger_settings.h. */
#include "logger_settings.h"

#include "broker.h"
#include "log.h"

/* In the order in which the original names them. */
static const char *const level_names[] = {"DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"};

static bool logger_find(const struct logger_table *table, struct str name, size_t *ret)
{
	for (size_t i = 0; table && i < table->n; i++) {
		if (str_eq(table->name(table->ctx, i), name)) {
			*ret = i;
			return true;
		}
	}
	return false;
}

static bool logger_level_is_known(struct str level)
{
	for (size_t i = 0; i < ARRAY_N(level_names); i++) {
		if (str_eq_c(level, level_names[i]))
			return true;
	}
	return false;
}

static enum err logger_check_set(struct str name, struct str level, struct err_text *text)
{
	if (!level.p)
		return err_text_set(text, ERR_INVALID_REQUEST, "Null value not supported for : %.*s", STR_ARGS(name));
	if (!logger_level_is_known(level))
		return err_text_set(text, ERR_INVALID_CONFIG,
				    "Cannot set the log level of %.*s to %.*s as it is not a supported log level. "
				    "Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN",
				    STR_ARGS(name), STR_ARGS(level));
	return ERR_NONE;
}

static enum err logger_check(const struct logger_table *table, const struct config_change *change,
			     struct err_text *text)
{
	struct str name = change->name;
	size_t at;

	if (change->op == CONFIG_OP_APPEND || change->op == CONFIG_OP_SUBTRACT)
		return err_text_set(text, ERR_INVALID_REQUEST,
				    "%s operation is not allowed for the BROKER_LOGGER resource",
				    change->op == CONFIG_OP_APPEND ? "APPEND" : "SUBTRACT");
	if (change->op != CONFIG_OP_SET && change->op != CONFIG_OP_DELETE)
		return err_text_set(text, ERR_INVALID_REQUEST, "Unknown operation %d", change->op);
	if (change->op == CONFIG_OP_SET && !change->value.p)
		return logger_check_set(name, change->value, text);
	if (!logger_find(table, name, &at))
		return err_text_set(text, ERR_INVALID_CONFIG, "Logger %.*s does not exist!", STR_ARGS(name));
	if (change->op == CONFIG_OP_SET)
		return logger_check_set(name, change->value, text);
	if (str_eq_c(name, "root"))
		return err_text_set(text, ERR_INVALID_REQUEST,
				    "Removing the log level of the root logger is not allowed");
	return ERR_NONE;
}

void broker_alter_loggers(struct broker *broker, struct resource_change *resource, bool validate_only,
			  struct arena *arena)
{
	const struct logger_table *table = broker->loggers;
	struct err_text text;

	for (int32_t i = 0; i < resource->changes_n; i++) {
		enum err err = logger_check(table, &resource->changes[i], &text);

		if (err) {
			resource_change_refuse(resource, err, &text, arena);
			return;
		}
	}
	for (int32_t i = 0; !validate_only && i < resource->changes_n; i++) {
		const struct config_change *change = &resource->changes[i];
		size_t at;

		if (!logger_find(table, change->name, &at))
			UNREACHABLE();
		table->set(table->ctx, at, change->op == CONFIG_OP_SET ? change->value : STR_NULL);
		log_info("log.level", "logger=%.*s level=%.*s", STR_ARGS(change->name),
			 STR_ARGS(change->op == CONFIG_OP_SET ? change->value : STR("(of its parent)")));
	}
	resource->is_done = true;
	resource->err = ERR_NONE;
}
