/* SPDX-License-Identifier: Apache-2.0 */
/* moldau config explain, check, sample: the settings tables for people. */
#include <string.h>
#include <unistd.h>

#include "broker_config.h"
#include "commands.h"
#include "config_file.h"
#include "mem.h"

#define VALUE_LEN 4096

static const char *const family_names[] = {"node", "topic", "group"};
static const char *const update_names[] = {
	[SETTING_UPDATE_READ_ONLY] = "needs a restart",
	[SETTING_UPDATE_PER_BROKER] = "changes while running, for one broker",
	[SETTING_UPDATE_CLUSTER_WIDE] = "changes while running, for one broker or all",
};
static const char *const class_names[] = {
	[SETTING_CLASS_HONOURED] = "honoured",
	[SETTING_CLASS_ACCEPTED] = "accepted, no effect here",
	[SETTING_CLASS_NOT_YET] = "no effect yet",
	[SETTING_CLASS_REFUSED] = "refused",
};
static const char *const type_names[] = {
	[SETTING_TYPE_BOOLEAN] = "boolean", [SETTING_TYPE_STRING] = "string", [SETTING_TYPE_INT] = "int",
	[SETTING_TYPE_SHORT] = "short",	    [SETTING_TYPE_LONG] = "long",     [SETTING_TYPE_DOUBLE] = "double",
	[SETTING_TYPE_LIST] = "list",	    [SETTING_TYPE_CLASS] = "class",   [SETTING_TYPE_PASSWORD] = "password",
};

/* All that a start would read. False when it cannot be read at all, which has been said then. */
static bool config_load(const struct cli_run *run, const char *path, struct broker_config *ret,
			struct config_report *report, enum err *ret_err)
{
	struct config_source source = {.file_name = str_of(path),
				       .env = (const char *const *)environ,
				       .overrides = run->pairs,
				       .overrides_n = run->pairs_n,
				       .read = config_file_read_reference};
	char *text;
	size_t len;
	int number = config_file_read(path, &text, &len);

	if (number) {
		fprintf(run->err, "ML1111 %s cannot be read: %s\n", path, strerror(number));
		return false;
	}
	source.file_text = (struct bytes){(const uint8_t *)text, len};
	*ret_err = broker_config_load(ret, report, &source);
	mem_free(text);
	return true;
}

static void print_findings(const struct cli_run *run, const struct config_report *report,
			   enum config_severity severity, int *ret_n)
{
	static const char *const words[] = {
		[CONFIG_INFO] = "note", [CONFIG_WARNING] = "warning", [CONFIG_ERROR] = "error"};
	char line[2048];
	struct fmt f;

	*ret_n = 0;
	for (size_t i = 0; i < report->findings.n; i++) {
		if (report->findings.v[i].severity != severity)
			continue;
		fmt_init(&f, line, sizeof(line));
		config_finding_format(&report->findings.v[i], &f);
		fprintf(run->out, "%-7s  %s\n", words[severity], line);
		++*ret_n;
	}
}

enum cli_exit cmd_config_check(const struct cli_run *run)
{
	struct config_report report = {0};
	struct broker_config config;
	int errors, warnings, notes;
	enum err err;

	if (!config_load(run, run->args[0], &config, &report, &err))
		return CLI_NOT_FOUND;
	print_findings(run, &report, CONFIG_ERROR, &errors);
	print_findings(run, &report, CONFIG_WARNING, &warnings);
	print_findings(run, &report, CONFIG_INFO, &notes);
	if (report.dropped_n > 0)
		fprintf(run->out, "%zu more findings are not shown.\n", report.dropped_n);
	fprintf(run->out, "%s: %d error%s, %d warning%s, %d note%s. A broker would %s.\n", run->args[0], errors,
		errors == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s", notes, notes == 1 ? "" : "s",
		err ? "not start" : "start");
	if (!err)
		broker_config_deinit(&config);
	config_report_deinit(&report);
	return err ? CLI_CHECK_FAILED : CLI_OK;
}

enum cli_exit cmd_config_sample(const struct cli_run *run)
{
	for (size_t i = 0; i < settings_sample_n; i++)
		fprintf(run->out, "%s\n", settings_sample[i]);
	return CLI_OK;
}

/* ---- explain ---- */

static void explain_line(FILE *out, const char *head, const char *format, ...) PRINTF_LIKE(3, 4);
static void explain_line(FILE *out, const char *head, const char *format, ...)
{
	va_list list;

	fprintf(out, "  %-12s ", head);
	va_start(list, format);
	vfprintf(out, format, list);
	va_end(list);
	fputc('\n', out);
}

static void explain_synonyms(FILE *out, const struct setting_def *def)
{
	for (size_t i = 0; i < def->synonyms_n; i++) {
		struct str name = setting_defs[def->synonyms[i].id].name;

		if (def->synonyms[i].factor == 1)
			explain_line(out, i ? "" : "default from", "%.*s", STR_ARGS(name));
		else
			explain_line(out, i ? "" : "default from", "%.*s x %lld", STR_ARGS(name),
				     (long long)def->synonyms[i].factor);
	}
}

static void explain_def(FILE *out, const struct setting_def *def)
{
	bool has_valid = strcmp(def->valid_text, "-") != 0;

	fprintf(out, "%.*s  (%s setting)\n\n  %s\n\n", STR_ARGS(def->name), family_names[def->family], def->prose);
	explain_line(out, "type", "%s%s%s", type_names[def->type], def->unit[0] ? ", in " : "", def->unit);
	if (def->is_required)
		explain_line(out, "default", "none; must be given");
	else if (!def->default_text)
		explain_line(out, "default", "not set");
	else
		explain_line(out, "default", "%s", def->default_text[0] ? def->default_text : "empty");
	if (has_valid)
		explain_line(out, "valid", "%s", def->valid_text);
	if (def->family == SETTING_FAMILY_BROKER)
		explain_line(out, "update", "%s", update_names[def->update]);
	explain_line(out, "importance", "%s", def->importance);
	explain_line(out, "here", "%s%s%s", class_names[def->cls], def->note[0] ? ": " : "", def->note);
	explain_synonyms(out, def);
}

/* The value of a node setting in force and its place. */
static enum cli_exit explain_value(const struct cli_run *run, const struct setting_def *def, const char *path)
{
	struct config_report report = {0};
	struct broker_config config;
	char value[VALUE_LEN], origin[VALUE_LEN];
	struct fmt v, o;
	enum err err;
	int n;

	if (!config_load(run, path, &config, &report, &err))
		return CLI_NOT_FOUND;
	if (err) {
		print_findings(run, &report, CONFIG_ERROR, &n);
		config_report_deinit(&report);
		return CLI_CHECK_FAILED;
	}
	fmt_init(&v, value, sizeof(value));
	fmt_init(&o, origin, sizeof(origin));
	broker_config_format(&config, setting_id(def), &v);
	broker_config_format_origin(&config, setting_id(def), &o);
	explain_line(run->out, "value", "%s  (%s)", config.origin[setting_id(def)].is_null ? "not set" : value, origin);
	broker_config_deinit(&config);
	config_report_deinit(&report);
	return CLI_OK;
}

static void list_all(FILE *out)
{
	for (int family = SETTING_FAMILY_BROKER; family <= SETTING_FAMILY_GROUP; family++) {
		size_t n;
		const struct setting_def *defs = setting_family_defs((enum setting_family)family, &n);

		for (size_t i = 0; i < n; i++) {
			if (defs[i].visibility != SETTING_INTERNAL)
				fprintf(out, "%-5s  %-52.*s  %s\n", family_names[family], STR_ARGS(defs[i].name),
					class_names[defs[i].cls]);
		}
	}
}

enum cli_exit cmd_config_explain(const struct cli_run *run)
{
	const struct cli_value *file = cli_value(run, "file");
	const struct setting_def *near = NULL;
	struct str key;
	int found = 0;

	if (run->args_n == 0) {
		list_all(run->out);
		return CLI_OK;
	}
	key = str_of(run->args[0]);
	for (int family = SETTING_FAMILY_BROKER; family <= SETTING_FAMILY_GROUP; family++) {
		const struct setting_def *def = setting_find_in((enum setting_family)family, key);

		if (!def) {
			near = near ? near : setting_suggest((enum setting_family)family, key);
			continue;
		}
		if (found++)
			fputc('\n', run->out);
		explain_def(run->out, def);
		if (family == SETTING_FAMILY_BROKER && file->is_given) {
			enum cli_exit code = explain_value(run, def, file->text);

			if (code != CLI_OK)
				return code;
		}
	}
	if (found)
		return CLI_OK;
	fprintf(run->err, "There is no setting %s.", run->args[0]);
	if (near)
		fprintf(run->err, " Did you mean %.*s?", STR_ARGS(near->name));
	fprintf(run->err, " All there are: %s config explain\n", run->program->name);
	return CLI_NOT_FOUND;
}
