/* SPDX-License-Identifier: Apache-2.0 */
/* See log_format.h. */
#include "log_format.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const names[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR"};
static const int priorities[] = {7, 7, 6, 4, 3}; /* of syslog */
static const char *const colours[] = {"\033[2m", "\033[2m", "\033[32m", "\033[33m", "\033[31m"};

/* Is the descriptor the journal's stream? systemd says which device and inode that is. */
static bool is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat stat_buf;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(fd, &stat_buf) == 0 &&
	       stat_buf.st_dev == device && stat_buf.st_ino == inode;
}

static bool is_container(void)
{
	return access("/.dockerenv", F_OK) == 0 || access("/run/.containerenv", F_OK) == 0 ||
	       getenv("KUBERNETES_SERVICE_HOST") != NULL;
}

static bool has_colours(void)
{
	const char *none = getenv("NO_COLOR"), *term = getenv("TERM");

	return !(none && none[0]) && !(term && strcmp(term, "dumb") == 0);
}

enum log_format log_format_choose(struct str name, int fd)
{
	const char *force = getenv("CLICOLOR_FORCE");

	if (str_eq_c(name, "kafka"))
		return LOG_FORMAT_KAFKA;
	if (str_eq_c(name, "json"))
		return LOG_FORMAT_JSON;
	if (str_eq_c(name, "logfmt"))
		return LOG_FORMAT_LOGFMT;
	if (str_eq_c(name, "journal"))
		return LOG_FORMAT_JOURNAL;
	if (str_eq_c(name, "short"))
		return (isatty(fd) && has_colours()) || (force && strcmp(force, "0") != 0) ? LOG_FORMAT_COLOUR
											    : LOG_FORMAT_SHORT;
	if (isatty(fd))
		return has_colours() ? LOG_FORMAT_COLOUR : LOG_FORMAT_SHORT;
	if (is_journal(fd))
		return LOG_FORMAT_JOURNAL;
	return is_container() ? LOG_FORMAT_KAFKA : LOG_FORMAT_LOGFMT;
}

/* The sentence of text="...", if that is all there is. */
static bool is_sentence(const char *text, struct str *ret)
{
	size_t len = strlen(text);

	if (len < 7 || strncmp(text, "text=\"", 6) != 0 || text[len - 1] != '"' ||
	    memchr(text + 6, '"', len - 7) != NULL)
		return false;
	*ret = (struct str){text + 6, len - 7};
	return true;
}

static void add_message(struct fmt *out, const char *event, const char *text, bool may_be_bare)
{
	struct str sentence;

	if (may_be_bare && is_sentence(text, &sentence))
		fmt_add_str(out, sentence);
	else
		fmt_add(out, "%s%s%s", event, text[0] ? " " : "", text);
}

/* Stops in time for the two characters that end the line. */
static void add_json(struct fmt *out, struct str text)
{
	for (size_t i = 0; i < text.len && out->len + 10 < out->cap; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c == '"' || c == '\\')
			fmt_add(out, "\\%c", c);
		else if (c < 0x20)
			fmt_add(out, "\\u%04x", c);
		else
			fmt_add(out, "%c", c);
	}
}

static void add_utc(struct fmt *out, const struct timespec *now)
{
	struct tm tm;

	gmtime_r(&now->tv_sec, &tm);
	fmt_add(out, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
		tm.tm_min, tm.tm_sec, (int)(now->tv_nsec / NS_PER_MS));
}

void log_format_line(enum log_format format, const struct timespec *now, enum log_level level, struct str logger,
		     const char *event, const char *text, struct fmt *out)
{
	struct str sentence;
	struct tm tm;

	switch (format) {
	case LOG_FORMAT_LOGFMT:
		add_utc(out, now);
		fmt_add(out, " %-5s ", names[level]);
		add_message(out, event, text, false);
		return;
	case LOG_FORMAT_KAFKA:
		localtime_r(&now->tv_sec, &tm);
		fmt_add(out, "[%04d-%02d-%02d %02d:%02d:%02d,%03d] %s ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
			tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(now->tv_nsec / NS_PER_MS), names[level]);
		add_message(out, event, text, true);
		fmt_add(out, " (%.*s)", STR_ARGS(logger));
		return;
	case LOG_FORMAT_JSON:
		fmt_add(out, "{\"time\":\"");
		add_utc(out, now);
		fmt_add(out, "\",\"level\":\"%s\",\"logger\":\"%.*s\",\"event\":\"%s\",\"message\":\"", names[level],
			STR_ARGS(logger), event);
		add_json(out, is_sentence(text, &sentence) ? sentence : str_of(text));
		fmt_add(out, "\"}");
		return;
	case LOG_FORMAT_JOURNAL:
		fmt_add(out, "<%d>", priorities[level]);
		add_message(out, event, text, true);
		return;
	case LOG_FORMAT_SHORT:
	case LOG_FORMAT_COLOUR:
		localtime_r(&now->tv_sec, &tm);
		if (format == LOG_FORMAT_COLOUR)
			fmt_add(out, "\033[2m%02d:%02d:%02d\033[0m %s%-5s\033[0m ", tm.tm_hour, tm.tm_min, tm.tm_sec,
				colours[level], names[level]);
		else
			fmt_add(out, "%02d:%02d:%02d %-5s ", tm.tm_hour, tm.tm_min, tm.tm_sec, names[level]);
		add_message(out, event, text, true);
		return;
	}
}
