/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A subscription for metrics of clients (KIP-714; resources of the type client-metrics): which metrics, how often,
 * from which clients.
 */
#ifndef CONFIG_CLIENT_METRICS_CONFIG_H
#define CONFIG_CLIENT_METRICS_CONFIG_H

#include "topic_config.h"

#define CLIENT_METRICS_INTERVAL_MS_DEFAULT 300000
#define CLIENT_METRICS_INTERVAL_MS_MIN 100
#define CLIENT_METRICS_INTERVAL_MS_MAX 3600000

/* Texts are borrowed from the layer. Both lists are walked with setting_list_next. */
struct client_metrics_config {
	int32_t interval_ms;
	struct str metrics; /* prefixes of names; "*" all; empty none */
	struct str match;   /* label=pattern, all of which must match; empty: every client */
};

/* Labels of a client that a pattern may name, by number. */
enum client_metrics_label {
	CLIENT_METRICS_LABEL_INSTANCE_ID,
	CLIENT_METRICS_LABEL_ID,
	CLIENT_METRICS_LABEL_SOFTWARE_NAME,
	CLIENT_METRICS_LABEL_SOFTWARE_VERSION,
	CLIENT_METRICS_LABEL_SOURCE_ADDRESS,
	CLIENT_METRICS_LABEL_SOURCE_PORT,
	CLIENT_METRICS_LABEL_N
};

/* The stored entries over the defaults; bad ones are skipped. */
void client_metrics_config_build(struct client_metrics_config *ret, struct config_layer layer);
/* All entries of a subscription together, with the original's words: ERR_INVALID_REQUEST or ERR_INVALID_CONFIG. */
enum err client_metrics_config_check(struct str subscription, struct config_layer layer, struct err_text *text)
	MUST_USE;
/* One element of `match`: the label and the pattern behind "=". False when it has not that form or the label is
 * unknown. */
bool client_metrics_match_parse(struct str item, enum client_metrics_label *ret_label, struct str *ret_pattern);

#endif
