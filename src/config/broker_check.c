/* SPDX-License-Identifier: Apache-2.0 */
/* Node settings that contradict each other. The rules are the original's; each says its own sentence. */
#include "broker_config.h"

#define CONTRADICTION(config, report, severity, id, ...)                                                     \
	config_report_add((report), (severity), "ML1105", setting_defs[id].name, &(config)->origin[id],      \
			  __VA_ARGS__)

static void check_log(const struct broker_config *c, struct config_report *report)
{
	if (c->eff.roll_ms < 1)
		CONTRADICTION(c, report, CONFIG_ERROR, SETTING_LOG_ROLL_MS,
			      "log.roll.ms must be at least 1, it is %lld.", (long long)c->eff.roll_ms);
	if (c->eff.roll_jitter_ms < 0)
		CONTRADICTION(c, report, CONFIG_ERROR, SETTING_LOG_ROLL_JITTER_MS,
			      "log.roll.jitter.ms must not be negative.");
	if (c->eff.retention_ms == 0)
		CONTRADICTION(c, report, CONFIG_ERROR, SETTING_LOG_RETENTION_MS,
			      "Retention time is 0, which would delete everything at once. Use -1 for no "
			      "limit, or at "
			      "least 1 ms.");
	if (c->log_cleaner_threads > 0 &&
	    c->log_cleaner_dedupe_buffer_size / c->log_cleaner_threads <= MIB(1))
		CONTRADICTION(
			c, report, CONFIG_ERROR, SETTING_LOG_CLEANER_DEDUPE_BUFFER_SIZE,
			"log.cleaner.dedupe.buffer.size is %lld, it must be more than 1 MiB for each of "
			"log.cleaner.threads (%d).",
			(long long)c->log_cleaner_dedupe_buffer_size, c->log_cleaner_threads);
	if (c->offsets_topic_compression_codec < 0 || c->offsets_topic_compression_codec > 4)
		CONTRADICTION(c, report, CONFIG_ERROR, SETTING_OFFSETS_TOPIC_COMPRESSION_CODEC,
			      "offsets.topic.compression.codec is %d; codecs are 0 none, 1 gzip, 2 snappy, 3 "
			      "lz4, 4 zstd.",
			      c->offsets_topic_compression_codec);
	if (c->share_coordinator_state_topic_compression_codec < 0 ||
	    c->share_coordinator_state_topic_compression_codec > 4)
		CONTRADICTION(c, report, CONFIG_ERROR,
			      SETTING_SHARE_COORDINATOR_STATE_TOPIC_COMPRESSION_CODEC,
			      "share.coordinator.state.topic.compression.codec is %d; codecs are 0 to 4.",
			      c->share_coordinator_state_topic_compression_codec);
}

static void check_cordoned(const struct broker_config *c, struct config_report *report)
{
	for (size_t i = 0; i < c->cordoned_log_dirs.n; i++) {
		struct str d = c->cordoned_log_dirs.v[i];
		bool is_known = str_eq_c(d, "*");

		if (is_known && c->cordoned_log_dirs.n > 1)
			CONTRADICTION(c, report, CONFIG_ERROR, SETTING_CORDONED_LOG_DIRS,
				      "cordoned.log.dirs says * and more; * means all and stands alone.");
		for (size_t j = 0; j < c->eff.log_dirs.n; j++)
			is_known = is_known || str_eq(c->eff.log_dirs.v[j], d);
		if (!is_known)
			CONTRADICTION(c, report, CONFIG_ERROR, SETTING_CORDONED_LOG_DIRS,
				      "cordoned.log.dirs names %.*s, which is not one of log.dirs.",
				      STR_ARGS(d));
	}
}

static void check_network(const struct broker_config *c, struct config_report *report)
{
	if (c->queued_max_request_bytes > 0 && c->queued_max_request_bytes < c->socket_request_max_bytes)
		CONTRADICTION(c, report, CONFIG_ERROR, SETTING_QUEUED_MAX_REQUEST_BYTES,
			      "queued.max.request.bytes (%lld) is smaller than socket.request.max.bytes "
			      "(%d), so the "
			      "largest request could never be read.",
			      (long long)c->queued_max_request_bytes, c->socket_request_max_bytes);
	if (c->max_connections_per_ip == 0 && c->max_connections_per_ip_overrides.len == 0)
		CONTRADICTION(c, report, CONFIG_ERROR, SETTING_MAX_CONNECTIONS_PER_IP,
			      "max.connections.per.ip is 0 and max.connections.per.ip.overrides is empty: "
			      "nobody could "
			      "connect.");
	if (c->replica_fetch_wait_max_ms > c->replica_socket_timeout_ms)
		CONTRADICTION(c, report, CONFIG_ERROR, SETTING_REPLICA_FETCH_WAIT_MAX_MS,
			      "replica.fetch.wait.max.ms (%d) is longer than replica.socket.timeout.ms (%d).",
			      c->replica_fetch_wait_max_ms, c->replica_socket_timeout_ms);
	if (c->replica_fetch_wait_max_ms > c->replica_lag_time_max_ms)
		CONTRADICTION(c, report, CONFIG_ERROR, SETTING_REPLICA_FETCH_WAIT_MAX_MS,
			      "replica.fetch.wait.max.ms (%d) is longer than replica.lag.time.max.ms (%lld).",
			      c->replica_fetch_wait_max_ms, (long long)c->replica_lag_time_max_ms);
	if (c->broker_heartbeat_interval_ms > c->broker_session_timeout_ms / 2)
		CONTRADICTION(c, report, CONFIG_WARNING, SETTING_BROKER_HEARTBEAT_INTERVAL_MS,
			      "broker.heartbeat.interval.ms (%d) is more than half of "
			      "broker.session.timeout.ms (%d): one "
			      "late heartbeat fences the broker.",
			      c->broker_heartbeat_interval_ms, c->broker_session_timeout_ms);
}

static void check_quorum(const struct broker_config *c, struct config_report *report)
{
	const struct broker_effective *eff = &c->eff;
	bool has_self = false;

	if (eff->voters.n == 0 && eff->bootstrap_servers.n == 0)
		CONTRADICTION(c, report, CONFIG_ERROR, SETTING_CONTROLLER_QUORUM_BOOTSTRAP_SERVERS,
			      "Nothing says where the controllers are. Set "
			      "controller.quorum.bootstrap.servers, for one node "
			      "to its own controller listener, such as localhost:9093.");
	for (size_t i = 0; i < eff->voters.n; i++) {
		has_self = has_self || eff->voters.v[i].id == eff->node_id;
		if (str_eq_c(eff->voters.v[i].host, "0.0.0.0"))
			CONTRADICTION(c, report, CONFIG_ERROR, SETTING_CONTROLLER_QUORUM_VOTERS,
				      "controller.quorum.voters says 0.0.0.0 for voter %d, which nobody can "
				      "connect to.",
				      eff->voters.v[i].id);
	}
	if (eff->is_controller && eff->voters.n > 0 && !has_self)
		CONTRADICTION(c, report, CONFIG_ERROR, SETTING_CONTROLLER_QUORUM_VOTERS,
			      "This node has the controller role, so its node.id %d must stand in "
			      "controller.quorum.voters.",
			      eff->node_id);
	if (c->controller_quorum_auto_join_enable && !eff->is_controller)
		CONTRADICTION(c, report, CONFIG_ERROR, SETTING_CONTROLLER_QUORUM_AUTO_JOIN_ENABLE,
			      "controller.quorum.auto.join.enable needs the controller role.");
}

/* A group setting, its lower and its upper bound. -1: none. */
static const int group_bounds[][3] = {
	{SETTING_GROUP_CONSUMER_SESSION_TIMEOUT_MS, SETTING_GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS,
	 SETTING_GROUP_CONSUMER_MAX_SESSION_TIMEOUT_MS},
	{SETTING_GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS, SETTING_GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS,
	 SETTING_GROUP_CONSUMER_MAX_HEARTBEAT_INTERVAL_MS},
	{SETTING_GROUP_CONSUMER_ASSIGNMENT_INTERVAL_MS, SETTING_GROUP_CONSUMER_MIN_ASSIGNMENT_INTERVAL_MS,
	 SETTING_GROUP_CONSUMER_MAX_ASSIGNMENT_INTERVAL_MS},
	{SETTING_GROUP_SHARE_SESSION_TIMEOUT_MS, SETTING_GROUP_SHARE_MIN_SESSION_TIMEOUT_MS,
	 SETTING_GROUP_SHARE_MAX_SESSION_TIMEOUT_MS},
	{SETTING_GROUP_SHARE_HEARTBEAT_INTERVAL_MS, SETTING_GROUP_SHARE_MIN_HEARTBEAT_INTERVAL_MS,
	 SETTING_GROUP_SHARE_MAX_HEARTBEAT_INTERVAL_MS},
	{SETTING_GROUP_SHARE_ASSIGNMENT_INTERVAL_MS, SETTING_GROUP_SHARE_MIN_ASSIGNMENT_INTERVAL_MS,
	 SETTING_GROUP_SHARE_MAX_ASSIGNMENT_INTERVAL_MS},
	{SETTING_GROUP_SHARE_RECORD_LOCK_DURATION_MS, SETTING_GROUP_SHARE_MIN_RECORD_LOCK_DURATION_MS,
	 SETTING_GROUP_SHARE_MAX_RECORD_LOCK_DURATION_MS},
	{SETTING_GROUP_SHARE_DELIVERY_COUNT_LIMIT, SETTING_GROUP_SHARE_MIN_DELIVERY_COUNT_LIMIT,
	 SETTING_GROUP_SHARE_MAX_DELIVERY_COUNT_LIMIT},
	{SETTING_GROUP_SHARE_PARTITION_MAX_RECORD_LOCKS, SETTING_GROUP_SHARE_MIN_PARTITION_MAX_RECORD_LOCKS,
	 SETTING_GROUP_SHARE_MAX_PARTITION_MAX_RECORD_LOCKS},
	{SETTING_GROUP_STREAMS_SESSION_TIMEOUT_MS, SETTING_GROUP_STREAMS_MIN_SESSION_TIMEOUT_MS,
	 SETTING_GROUP_STREAMS_MAX_SESSION_TIMEOUT_MS},
	{SETTING_GROUP_STREAMS_HEARTBEAT_INTERVAL_MS, SETTING_GROUP_STREAMS_MIN_HEARTBEAT_INTERVAL_MS,
	 SETTING_GROUP_STREAMS_MAX_HEARTBEAT_INTERVAL_MS},
	{SETTING_GROUP_STREAMS_ASSIGNMENT_INTERVAL_MS, SETTING_GROUP_STREAMS_MIN_ASSIGNMENT_INTERVAL_MS,
	 SETTING_GROUP_STREAMS_MAX_ASSIGNMENT_INTERVAL_MS},
	{SETTING_GROUP_STREAMS_NUM_STANDBY_REPLICAS, -1, SETTING_GROUP_STREAMS_MAX_STANDBY_REPLICAS},
};

static int32_t int_field(const struct broker_config *c, int id)
{
	CHECK(setting_defs[id].type == SETTING_TYPE_INT);
	return *(const int32_t *)((const char *)c + setting_defs[id].offset);
}

static void check_groups(const struct broker_config *c, struct config_report *report)
{
	bool has_classic = false;

	for (size_t i = 0; i < ARRAY_N(group_bounds); i++) {
		int id = group_bounds[i][0], low = group_bounds[i][1], high = group_bounds[i][2];

		if (low >= 0 && int_field(c, id) < int_field(c, low))
			CONTRADICTION(c, report, CONFIG_ERROR, id, "%.*s (%d) is smaller than %.*s (%d).",
				      STR_ARGS(setting_defs[id].name), int_field(c, id),
				      STR_ARGS(setting_defs[low].name), int_field(c, low));
		if (int_field(c, id) > int_field(c, high))
			CONTRADICTION(c, report, CONFIG_ERROR, id, "%.*s (%d) is larger than %.*s (%d).",
				      STR_ARGS(setting_defs[id].name), int_field(c, id),
				      STR_ARGS(setting_defs[high].name), int_field(c, high));
	}
	for (size_t i = 0; i < c->group_coordinator_rebalance_protocols.n; i++)
		has_classic =
			has_classic || str_eq_c(c->group_coordinator_rebalance_protocols.v[i], "classic");
	if (!has_classic)
		CONTRADICTION(c, report, CONFIG_ERROR, SETTING_GROUP_COORDINATOR_REBALANCE_PROTOCOLS,
			      "group.coordinator.rebalance.protocols must hold classic; it cannot be "
			      "switched off.");
}

void broker_check(const struct broker_config *config, struct config_report *report)
{
	check_log(config, report);
	check_cordoned(config, report);
	check_network(config, report);
	check_quorum(config, report);
	check_groups(config, report);
}
