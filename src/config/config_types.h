/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Types that the generated settings and the hand-written code share: what a definition says about a key,
 * where a value came from, and what follows from several keys together. settings.h includes this; users
 * include broker_config.h or topic_config.h.
 */
#ifndef CONFIG_TYPES_H
#define CONFIG_TYPES_H

#include "arena.h"
#include "bytes.h"

struct str_list {
	const struct str *v;
	size_t n;
};

enum setting_family { SETTING_FAMILY_BROKER, SETTING_FAMILY_TOPIC, SETTING_FAMILY_GROUP };

/* The numbers that DescribeConfigs uses. */
enum setting_type {
	SETTING_TYPE_BOOLEAN = 1,
	SETTING_TYPE_STRING = 2,
	SETTING_TYPE_INT = 3,
	SETTING_TYPE_SHORT = 4,
	SETTING_TYPE_LONG = 5,
	SETTING_TYPE_DOUBLE = 6,
	SETTING_TYPE_LIST = 7,
	SETTING_TYPE_CLASS = 8,
	SETTING_TYPE_PASSWORD = 9,
};

/* Where an effective value comes from; the numbers that DescribeConfigs uses. */
enum setting_source {
	SETTING_SOURCE_TOPIC = 1,
	SETTING_SOURCE_DYNAMIC_BROKER = 2,
	SETTING_SOURCE_DYNAMIC_DEFAULT = 3,
	SETTING_SOURCE_STATIC = 4,
	SETTING_SOURCE_DEFAULT = 5,
	SETTING_SOURCE_LOGGER = 6,
	SETTING_SOURCE_CLIENT_METRICS = 7,
	SETTING_SOURCE_GROUP = 8,
};

enum setting_update { SETTING_UPDATE_READ_ONLY, SETTING_UPDATE_PER_BROKER, SETTING_UPDATE_CLUSTER_WIDE };
enum setting_class {
	SETTING_CLASS_HONOURED, /* does what it says */
	SETTING_CLASS_ACCEPTED, /* read, no effect here */
	SETTING_CLASS_NOT_YET,	/* read and shown, the effect follows */
	SETTING_CLASS_REFUSED,	/* any value but the default stops the start */
};
enum setting_visibility { SETTING_PUBLIC, SETTING_INTERNAL, SETTING_DYNAMIC_ONLY, SETTING_OURS };

enum setting_valid {
	SETTING_VALID_ANY,
	SETTING_VALID_RANGE,
	SETTING_VALID_ONE_OF,
	SETTING_VALID_NON_NULL,
	SETTING_VALID_NON_EMPTY,
	SETTING_VALID_REPLICAS,
	SETTING_VALID_OFFSET_RESET,
};

/* A broker setting that gives a topic's or group's default, times a factor. */
struct setting_synonym {
	int id; /* enum setting_id */
	int64_t factor;
};

/* One row of a settings table. */
struct setting_def {
	struct str name;
	enum setting_family family;
	enum setting_type type;
	enum setting_update update;
	enum setting_class cls;
	enum setting_visibility visibility;
	bool is_required;
	const char *default_text; /* NULL: null, or none when required */
	const char *valid_text;
	const char *unit; /* "" when it has none */
	const char *importance;
	size_t offset; /* of the field in its family's struct */

	enum setting_valid valid;
	bool has_min, has_max, has_other, is_nocase, is_non_empty;
	int64_t min_i, max_i, other_i;
	double min_f, max_f;
	const char *const *names; /* ONE_OF */
	size_t names_n;

	const struct setting_synonym *synonyms; /* first that is set wins */
	size_t synonyms_n;
	const char *prose;
	const char *note; /* what follows from the class; "" when honoured */
};

/* Which text gave a node setting its value; the dynamic ones come from the cluster's metadata (dynamic_config.h). */
enum config_origin {
	CONFIG_ORIGIN_DEFAULT,
	CONFIG_ORIGIN_FILE,
	CONFIG_ORIGIN_ENV,
	CONFIG_ORIGIN_OVERRIDE,
	CONFIG_ORIGIN_DYNAMIC_DEFAULT,
	CONFIG_ORIGIN_DYNAMIC_BROKER,
};

struct setting_origin {
	enum config_origin kind;
	bool is_null;
	int line;	  /* FILE: from 1 */
	struct str where; /* file name, name of the variable, or "--override"; owned by the config's arena */
};

/* A key that is in no table: of one listener (listener.name.x.max.connections), of a plug-in, or unknown. */
struct config_extra {
	struct str key;
	struct str value;
	struct setting_origin origin;
};

struct config_extra_list {
	const struct config_extra *v;
	size_t n;
};

enum security_protocol {
	SECURITY_PLAINTEXT = 0,
	SECURITY_SSL = 1,
	SECURITY_SASL_PLAINTEXT = 2,
	SECURITY_SASL_SSL = 3
};

struct listener {
	struct str name; /* upper case */
	enum security_protocol protocol;
	struct str
		host; /* empty: every address when bound, the host's own name when advertised; no brackets */
	int32_t port; /* 0: the system chooses when bound, the bound port when advertised */
	bool is_controller;
	int32_t max_connections; /* of this listener alone; INT32_MAX: no limit of its own */
	int32_t max_connection_creation_rate; /* per second, of this listener alone; INT32_MAX: no limit of its own */
};

struct listener_list {
	const struct listener *v;
	size_t n;
};

struct voter {
	int32_t id; /* -1 for bootstrap servers */
	struct str host;
	int32_t port;
};

struct voter_list {
	const struct voter *v;
	size_t n;
};

/* One entry of max.connections.per.ip.overrides. */
struct ip_limit {
	struct str host; /* address or name, as written */
	int32_t max;
};

struct ip_limit_list {
	const struct ip_limit *v;
	size_t n;
};

enum durability { DURABILITY_PAGE_CACHE, DURABILITY_SYNCED };
enum io_backend_choice { IO_BACKEND_AUTO, IO_BACKEND_POSIX };

/* Copies of an internal topic. Not given: what internal_topic_copies says, one on one node. */
struct internal_topic {
	int16_t replication_factor;
	int32_t min_isr;
	bool is_given;
	bool is_min_isr_given;
};

/* What several node settings say together. */
struct broker_effective {
	bool is_broker;
	bool is_controller;
	int32_t node_id;
	struct str_list log_dirs;		    /* at least one, no duplicates */
	struct str metadata_log_dir;		    /* one of log_dirs unless set apart */
	struct listener_list listeners;		    /* to bind, in the order given */
	struct listener_list advertised;	    /* of the broker role */
	struct listener_list advertised_controller; /* of the controller role */
	struct str inter_broker_listener;	    /* name, "" without the broker role */
	struct voter_list voters;		    /* controller.quorum.voters; empty with dynamic voters */
	struct voter_list bootstrap_servers;
	struct ip_limit_list ip_limits;
	int64_t retention_ms; /* -1: for ever */
	int64_t roll_ms;
	int64_t roll_jitter_ms;
	int64_t flush_ms; /* INT64_MAX: never */
	struct internal_topic offsets_topic;
	struct internal_topic transaction_topic;
	struct internal_topic share_topic;
	enum durability durability;
	enum io_backend_choice io_backend;
};

enum topic_compression {
	TOPIC_COMPRESSION_UNCOMPRESSED = 0, /* the codec numbers of a batch's attributes */
	TOPIC_COMPRESSION_GZIP = 1,
	TOPIC_COMPRESSION_SNAPPY = 2,
	TOPIC_COMPRESSION_LZ4 = 3,
	TOPIC_COMPRESSION_ZSTD = 4,
	TOPIC_COMPRESSION_PRODUCER = 5, /* keep what arrived */
};

/* What a topic's settings mean to the write path, as plain values. */
struct topic_effective {
	bool is_compacted;
	bool is_deleted; /* by age and size; neither flag: keep everything */
	bool is_log_append_time;
	enum topic_compression compression;
	int32_t segment_bytes; /* internal.segment.bytes where that is set */
};

#endif
