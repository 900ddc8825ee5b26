/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One broker as a process.
 *
 *   signals -> configuration -> log -> I/O -> node -> broker_open -> broker_start -> node_run ... STOPPED or FAILED
 *           -> broker_close -> node -> I/O -> temporary directory -> log
 *
 * 1. The first SIGTERM or SIGINT asks for a clean stop, at any time from the start on; another one at least SECOND_NS
 *    later ends the process at once. (timeout(1), and a shell between terminal and process, send the first one twice.)
 *    Signals arrive on their own thread, which touches only what `lock` guards and what is atomic.
 * 2. SIGHUP reads the configuration again, on the thread of the signals; reactor 0 gets it as a message. The node is
 *    not taken down while that goes on.
 * 3. `struct serve` lives as long as the process, since the thread of the signals does.
 */
#include "serve.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "config_file.h"
#include "http.h"
#include "io.h"
#include "live_settings.h"
#include "log_writer.h"
#include "process.h"

#define HELPERS_N 4
#define HELPERS_CLEANER_MAX 32 /* and one more for each thread of log.cleaner.threads but the first */
#define ALONE_CPUS_MAX 3 /* up to here one reactor: the rest of the machine is for clients and helpers */
#define PROGRESS_NS NS_PER_S
#define SECOND_NS (NS_PER_S / 2)

struct serve {
	const struct serve_options *options;
	struct io_posix_shared *shared;
	struct io *ios[NODE_REACTORS_MAX];
	int reactors_n;
	struct node node;
	struct broker_config config;
	struct broker broker;
	struct log_levels log_levels;
	struct log_writer *log;
	struct http *http; /* NULL: none */
	enum cli_exit code;
	/* Of reactor 0. */
	bool is_stopping;
	bool is_serving;
	int64_t stop_began_ns;
	struct timer progress;
	/* Between the thread of the signals and reactor 0. */
	pthread_mutex_t lock;
	bool is_node_up; /* under lock: the mailbox takes messages */
	bool is_asked;   /* under lock: a signal has come, at asked_ns */
	int64_t asked_ns;
	struct msg stop_msg;
	bool is_reloading; /* under lock: the thread of the signals reads the configuration and may log */
	pthread_cond_t reloaded;
};

/* A configuration on its way to reactor 0. */
struct serve_reload {
	struct msg msg;
	struct serve *serve;
	struct broker_config config;
};

static void serve_progress(struct timer *timer)
{
	struct serve *serve = container_of(timer, struct serve, progress);
	struct reactor *reactor = &serve->node.reactors[0];
	int64_t s = (reactor->now_ns - serve->stop_began_ns) / NS_PER_S;

	fprintf(serve->options->err, "Stopping since %lld s: answers what has begun, then brings the logs to disk. "
		"Another Ctrl-C ends it at once.\n", (long long)s);
	fflush(serve->options->err);
	reactor_timer(reactor, timer, PROGRESS_NS, serve_progress);
}

static void serve_stop(struct serve *serve)
{
	struct reactor *reactor = &serve->node.reactors[0];

	if (serve->is_stopping || !serve->is_serving)
		return;
	serve->is_stopping = true;
	serve->stop_began_ns = reactor->now_ns;
	reactor_timer(reactor, &serve->progress, PROGRESS_NS, serve_progress);
	broker_stop(&serve->broker);
}

static bool serve_is_asked(struct serve *serve)
{
	bool is_asked;

	pthread_mutex_lock(&serve->lock);
	is_asked = serve->is_asked;
	pthread_mutex_unlock(&serve->lock);
	return is_asked;
}

static void serve_stop_arrived(struct reactor *reactor, struct msg *msg)
{
	serve_stop(container_of(msg, struct serve, stop_msg));
}

/* From all sources anew; the caller frees the report. ERR_NOT_FOUND with errno when
 * the file cannot be read. */
static enum err serve_load(const struct serve_options *options, struct broker_config *ret, struct config_report *report)
{
	struct config_source source = {.file_name = options->file_name,
				       .file_text = options->file_text,
				       .env = (const char *const *)environ,
				       .overrides = options->overrides,
				       .overrides_n = options->overrides_n,
				       .read = config_file_read_reference};
	char *text = NULL;
	size_t len;
	enum err err;

	if (options->file_path) {
		errno = config_file_read(options->file_path, &text, &len);
		if (errno)
			return ERR_NOT_FOUND;
		source.file_text = (struct bytes){(const uint8_t *)text, len};
	}
	err = broker_config_load(ret, report, &source);
	mem_free(text);
	return err;
}

static void serve_reload_arrived(struct reactor *reactor, struct msg *msg)
{
	struct serve_reload *reload = container_of(msg, struct serve_reload, msg);
	struct serve *serve = reload->serve;
	int level;

	if (serve->is_stopping || !serve->is_serving) {
		broker_config_deinit(&reload->config);
	} else {
		if (log_levels_parse(reload->config.log_level, true, &level) && !getenv("KAFKA_LOG4J_ROOT_LOGLEVEL") &&
		    !str_eq(reload->config.log_level, serve->broker.config.log_level) &&
		    log_levels_add(&serve->log_levels, STR("root"), level))
			UNREACHABLE();
		broker_reload_config(&serve->broker, &reload->config);
	}
	mem_free(reload);
}

/* On the thread of the signals, which may wait for the disk. */
static void serve_reload(struct serve *serve)
{
	struct config_report report = {0};
	struct serve_reload *reload;
	struct reactor *reactor = &serve->node.reactors[0];
	struct list msgs;
	bool is_up;
	enum err err;

	pthread_mutex_lock(&serve->lock);
	is_up = serve->is_reloading = serve->is_node_up && !serve->is_asked;
	pthread_mutex_unlock(&serve->lock);
	if (!is_up)
		return;
	log_sink_set(log_writer_sink(serve->log));
	reload = MEM_NEW(struct serve_reload);
	reload->serve = serve;
	err = serve_load(serve->options, &reload->config, &report);
	if (err == ERR_NOT_FOUND)
		log_error("config.reload", "code=ML1111 file=\"%s\" reason=\"%s\"", serve->options->file_path,
			  strerror(errno));
	for (size_t i = 0; i < report.findings.n; i++) {
		const struct config_finding *finding = &report.findings.v[i];

		if (finding->severity == CONFIG_ERROR)
			log_error("config.reload", "code=%s where=\"%.*s\" text=\"%.*s\"", finding->code,
				  STR_ARGS(finding->where), STR_ARGS(finding->text));
	}
	config_report_deinit(&report);
	if (err) {
		mem_free(reload);
	} else {
		list_init(&msgs);
		reload->msg.handle = serve_reload_arrived;
		list_push_back(&msgs, &reload->msg.node);
		mailbox_put(&reactor->inbox, &msgs);
		reactor->io->ops->wake(reactor->io);
	}
	log_sink_set(NULL);
	pthread_mutex_lock(&serve->lock);
	serve->is_reloading = false;
	pthread_cond_signal(&serve->reloaded);
	pthread_mutex_unlock(&serve->lock);
}

/* On the thread of the signals. */
static void serve_signal(int number, void *ctx)
{
	struct serve *serve = ctx;
	struct timespec now;
	struct list msgs;
	int64_t now_ns;

	if (number == SIGHUP) {
		serve_reload(serve);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	now_ns = now.tv_sec * NS_PER_S + now.tv_nsec;
	pthread_mutex_lock(&serve->lock);
	if (serve->is_asked && now_ns - serve->asked_ns >= SECOND_NS) {
		static const char text[] = "Ended at once, before everything was on disk. The next start checks "
					   "what was written last.\n";

		if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
			_exit(CLI_FAILED);
		_exit(CLI_FAILED);
	}
	if (!serve->is_asked)
		serve->asked_ns = now_ns;
	if (!serve->is_asked && serve->is_node_up) {
		struct reactor *reactor = &serve->node.reactors[0];

		list_init(&msgs);
		serve->stop_msg.handle = serve_stop_arrived;
		list_push_back(&msgs, &serve->stop_msg.node);
		mailbox_put(&reactor->inbox, &msgs);
		reactor->io->ops->wake(reactor->io);
	}
	serve->is_asked = true;
	pthread_mutex_unlock(&serve->lock);
}

static void serve_node_is_up(struct serve *serve, bool is_up)
{
	pthread_mutex_lock(&serve->lock);
	while (!is_up && serve->is_reloading)
		pthread_cond_wait(&serve->reloaded, &serve->lock);
	serve->is_node_up = is_up;
	pthread_mutex_unlock(&serve->lock);
}

static void serve_phase_changed(struct broker *broker)
{
	struct serve *serve = broker->ctx;

	switch (broker->phase) {
	case BROKER_RUNNING:
		/* Words that scripts and test containers wait for. */
		log_info("broker.unfenced",
			 "text=\"The broker has been unfenced. Transitioning from RECOVERY to RUNNING.\"");
		log_info("server.started", "text=\"Kafka Server started\"");
		if (serve->options->is_dev)
			banner_print(serve->options, broker, serve->http, serve->options->out);
		log_info("server.ready", "version=%s node=%d cluster=%.*s reactors=%d", MOLDAU_VERSION,
			 (int)broker->node_id, STR_ARGS(broker->cluster_id), serve->reactors_n);
		serve->is_serving = true;
		if (serve_is_asked(serve))
			serve_stop(serve);
		return;
	case BROKER_STOPPED:
		serve->code = CLI_OK;
		node_stop(&serve->node);
		return;
	case BROKER_FAILED:
		serve->code = CLI_FAILED;
		node_stop(&serve->node);
		return;
	case BROKER_STARTING:
	case BROKER_STOPPING:
		return;
	default:
		UNREACHABLE();
	}
}

static enum cli_exit serve_refuse(const struct serve *serve, const char *text)
{
	fprintf(serve->options->err, "%s\n", text);
	return CLI_FAILED;
}

static void serve_print_findings(const struct serve *serve, const struct config_report *report,
				 enum config_severity least)
{
	char line[2048];
	struct fmt out;

	for (size_t i = 0; i < report->findings.n; i++) {
		if (report->findings.v[i].severity < least)
			continue;
		fmt_init(&out, line, sizeof(line));
		config_finding_format(&report->findings.v[i], &out);
		fprintf(serve->options->err, "%s\n", line);
	}
	if (report->dropped_n > 0)
		fprintf(serve->options->err, "%zu more findings are not shown.\n", report->dropped_n);
	fflush(serve->options->err);
}

static enum cli_exit serve_configure(struct serve *serve)
{
	const struct serve_options *options = serve->options;
	struct config_report report = {0};
	enum err err = serve_load(options, &serve->config, &report);

	if (err == ERR_NOT_FOUND) {
		fprintf(options->err, "ML1111 %s cannot be read: %s\n", options->file_path, strerror(errno));
		return CLI_FAILED;
	}
	serve_print_findings(serve, &report, err || !options->is_dev ? CONFIG_WARNING : CONFIG_ERROR);
	config_report_deinit(&report);
	return err ? CLI_FAILED : CLI_OK;
}

/* log.level, unless the container's variable for the root says otherwise; then the loggers of the other variable. */
static void serve_log_levels(struct serve *serve)
{
	const char *root = getenv("KAFKA_LOG4J_ROOT_LOGLEVEL"), *loggers = getenv("KAFKA_LOG4J_LOGGERS");
	struct err_text text;
	int level = LOG_INFO;

	log_levels_parse(serve->config.log_level, true, &level);
	if (root && !log_levels_parse(str_of(root), true, &level))
		fprintf(serve->options->err, "KAFKA_LOG4J_ROOT_LOGLEVEL: \"%s\" is not a level.\n", root);
	log_levels_init(&serve->log_levels, level);
	if (loggers && log_levels_add_all(&serve->log_levels, str_of(loggers), &text))
		fprintf(serve->options->err, "KAFKA_LOG4J_LOGGERS: %s.\n", text.text);
}

static int serve_reactors_n(const struct broker_config *config)
{
	int cpus = process_cpus();

	if (config->reactors > 0)
		return MIN(config->reactors, NODE_REACTORS_MAX);
	return cpus <= ALONE_CPUS_MAX ? 1 : MIN(cpus - 1, NODE_REACTORS_MAX);
}

/* Compactions that run at once must not keep the helpers from everybody else. */
static int serve_helpers_n(const struct broker_config *config)
{
	return HELPERS_N + MAX(0, MIN(config->log_cleaner_threads - 1, HELPERS_CLEANER_MAX));
}

static enum cli_exit serve_node(struct serve *serve)
{
	int n = serve->reactors_n = serve_reactors_n(&serve->config);

	for (int i = 0; i < n; i++) {
		serve->ios[i] = io_posix_new(serve->shared);
		if (!serve->ios[i])
			return serve_refuse(serve, "The system gives this process no more descriptors (ulimit -n).");
	}
	if (node_init(&serve->node, serve->config.eff.node_id, serve->ios, n))
		return serve_refuse(serve, "The event loops could not be made.");
	for (int i = 0; i < n; i++)
		serve->node.reactors[i].log_sink = log_writer_sink(serve->log);
	serve->node.broker = &serve->broker;
	log_info("server.start", "version=%s pid=%d reactors=%d io=\"%s\" files_max=%lld", MOLDAU_VERSION,
		 (int)getpid(), n, serve->ios[0]->ops->describe(serve->ios[0]),
		 (long long)process_raise_file_limit());
	return CLI_OK;
}

/* Before the disk is looked at, so that a long start can be watched. */
static enum err serve_http(struct serve *serve, struct err_text *text)
{
	const struct broker_config *config = &serve->config;
	struct http_options options = {
		.listener = config->http_listener,
		.is_explicit = config->origin[SETTING_HTTP_LISTENER].kind != CONFIG_ORIGIN_DEFAULT,
		.dialect = config->http_metrics_dialect,
		.partitions_max = config->http_metrics_partitions_max,
		.version = MOLDAU_VERSION,
		.log_sink = log_writer_sink(serve->log),
		.port_owner = process_port_owner,
	};

	return http_start(&options, &serve->http, text);
}

/* From the first look at the disk to the last. */
static enum cli_exit serve_broker(struct serve *serve)
{
	struct broker *broker = &serve->broker;
	struct err_text text = {""};
	enum err err;

	/* Half of what the process may open is for segment files, the rest for connections. */
	if (serve->config.open_files_max == 0)
		serve->config.open_files_max = (int32_t)MIN(process_raise_file_limit() / 2, (int64_t)INT32_MAX);
	broker->port_owner = process_port_owner;
	broker->file_owner = process_file_owner;
	err = serve_http(serve, &text);
	if (!err) {
		http_stage(serve->http, "directories are checked and the metadata log is read");
		err = broker_open(broker, &serve->node, &serve->config, &text);
	}
	if (err)
		return serve_refuse(serve, text.text[0] ? text.text : err_text(err));
	broker->ctx = serve;
	broker->phase_changed = serve_phase_changed;
	if (!serve_is_asked(serve)) {
		broker_start(broker);
		serve_node_is_up(serve, true);
		http_node_up(serve->http, broker);
		node_run(&serve->node);
		http_node_down(serve->http);
		serve_node_is_up(serve, false);
	}
	if (serve->code != CLI_OK)
		serve_refuse(serve, broker->failure.text[0] ? broker->failure.text : "The broker broke off.");
	timer_stop(&serve->node.reactors[0].timers, &serve->progress);
	http_free(serve->http);
	serve->http = NULL;
	broker_close(broker);
	return serve->code;
}

static void serve_free(struct serve *serve)
{
	http_free(serve->http);
	if (serve->node.reactors)
		node_deinit(&serve->node);
	for (int i = 0; i < NODE_REACTORS_MAX; i++) {
		if (serve->ios[i])
			serve->ios[i]->ops->free(serve->ios[i]);
	}
	if (serve->options->temp_dir && fs_remove_tree(io_posix_fs(serve->shared), serve->options->temp_dir))
		fprintf(serve->options->err, "%s could not be removed.\n", serve->options->temp_dir);
	io_posix_shared_free(serve->shared);
}

/* Every setting that somebody gave; of `moldau dev` not those that it made up. */
static void serve_log_settings(const struct serve *serve)
{
	char value[1024], origin[256];
	struct fmt v, o;

	for (size_t i = 0; i < BROKER_SETTING_N; i++) {
		enum config_origin kind = serve->config.origin[i].kind;

		if (kind == CONFIG_ORIGIN_DEFAULT || (serve->options->is_dev && kind == CONFIG_ORIGIN_FILE))
			continue;
		fmt_init(&v, value, sizeof(value));
		fmt_init(&o, origin, sizeof(origin));
		broker_config_format(&serve->config, (enum setting_id)i, &v);
		broker_config_format_origin(&serve->config, (enum setting_id)i, &o);
		log_info("config.value", "key=%.*s value=\"%s\" from=\"%s\"", STR_ARGS(setting_defs[i].name), value,
			 origin);
	}
}

static enum cli_exit serve_open_log(struct serve *serve)
{
	serve_log_levels(serve);
	if (log_writer_open(STDERR_FILENO, &serve->log_levels, log_format_choose(serve->config.log_format,
			STDERR_FILENO),
			    &serve->log))
		return serve_refuse(serve, "The system gives this process no threads (ulimit -u).");
	log_sink_set(log_writer_sink(serve->log));
	return CLI_OK;
}

static enum cli_exit serve_logged(struct serve *serve)
{
	enum cli_exit code;

	process_raise_file_limit();
	code = serve_node(serve);
	if (code == CLI_OK)
		serve_log_settings(serve);
	if (code == CLI_OK)
		code = serve_broker(serve);
	return code;
}

enum cli_exit serve(const struct serve_options *options)
{
	struct serve *serve = MEM_NEW(struct serve);
	struct io_posix_options io_options = {0};
	enum cli_exit code;

	serve->options = options;
	serve->code = CLI_OK;
	pthread_mutex_init(&serve->lock, NULL);
	pthread_cond_init(&serve->reloaded, NULL);
	if (signal_start(serve_signal, serve))
		return serve_refuse(serve, "The system gives this process no threads (ulimit -u).");
	code = serve_configure(serve);
	if (code == CLI_OK)
		code = serve_open_log(serve);
	io_options.helpers_n = serve_helpers_n(&serve->config);
	io_options.log_sink = serve->log ? log_writer_sink(serve->log) : NULL;
	serve->shared = io_posix_shared_new(&io_options);
	if (code == CLI_OK)
		code = serve_logged(serve);
	serve_free(serve);
	log_sink_set(NULL);
	log_writer_close(serve->log);
	return code;
}
