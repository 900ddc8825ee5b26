/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Node settings that change while the node runs. They lie in the cluster's metadata in two layers: for all brokers
 * (resource "") and for one broker (resource its id), and beat what the node was started with; the layer of the
 * one broker beats that of all. Which keys take part, and the words of refusals, are the original's
 * (test/unit/config/dynamic_values.tsv is what it said).
 *
 * Stored entries are never trusted: a metadata log may have been written by another version. What would be
 * refused today is skipped when the settings are put together.
 */
#ifndef CONFIG_DYNAMIC_CONFIG_H
#define CONFIG_DYNAMIC_CONFIG_H

#include "broker_config.h"
#include "topic_config.h"

/* The settings in force: the static ones (layers->broker) under both dynamic layers, with `eff` worked out anew. The
 * result owns all its texts: give it to broker_config_deinit. Entries that may not be there are skipped; when the rest
 * contradicts itself, the layer of this broker is left out, then both, and the report (NULL is fine) says why. */
void broker_config_with_dynamic(struct broker_config *ret, const struct topic_config_layers *layers,
				struct config_report *report);

/* May the dynamic layer of one broker (is_default: of all brokers) become `proposed`? `proposed` is the whole layer
 * after the change; `layers` is what is in force. ERR_INVALID_REQUEST with the original's words: names that are read
 * when starting, settings of TLS without a listener, values, names that are for one broker only, what the settings
 * then say together, and steps that are too wide for thread counts. */
enum err dynamic_config_check(const struct topic_config_layers *layers, bool is_default,
			      struct config_layer proposed, struct err_text *text) MUST_USE;

/* Can this name of a node setting change while running? False for names outside the table. */
bool dynamic_config_is_dynamic(const struct setting_def *def);
/* Settings of TLS that the original changes for single listeners only. */
bool dynamic_config_needs_listener(struct str name);
/* The definition behind a name: its own, or for listener.name.<listener>.[<mechanism>.]<key> that of <key>. NULL when
 * there is none. */
const struct setting_def *dynamic_config_def(struct str name);

/* Puts the settings together without leaving layers out; false when they contradict each other. *ret is to be given
 * to broker_config_deinit in both cases. */
bool dynamic_config_build(struct broker_config *ret, const struct topic_config_layers *layers,
			  struct config_report *report);

#endif
