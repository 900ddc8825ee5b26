/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ApiVersions (key 18), versions 0-4. A newer version is answered in version 0 with error 35 and the row of
 * ApiVersions alone, as Kafka does, so that the client can ask again (KIP-511). Features: versions 0-3 leave out
 * those whose least level is 0, because old clients refuse them (KAFKA-17011); finalised ones are named only where
 * this build honours them.
 */
#include <ctype.h>

#include "acceptor.h"
#include "api.h"
#include "broker.h"
#include "controller_io.h"
#include "feature_table.h"
#include "msg/api_versions.h"
#include "shard.h"

static void api_versions_keys(struct request *request, struct api_versions_response *out, bool all)
{
	enum api_listener listener = request->conn->acceptor->kind;

	out->api_keys = MSG_NEW_N(&request->arena, api_versions_response_api_keys, api_defs_n);
	for (int i = 0; i < api_defs_n; i++) {
		struct api_versions_response_api_keys *key;

		if (!(api_defs[i].listeners & (int)listener) || (!all && api_defs[i].key != API_API_VERSIONS))
			continue;
		key = &out->api_keys[out->api_keys_n++];
		key->api_key = api_defs[i].key;
		key->min_version = api_defs[i].advertised_min;
		key->max_version = api_defs[i].version_max;
	}
}

/* kraft.version is no record of the image: it lives in the log's control records. */
static int16_t api_versions_level(const struct request *request, struct str feature)
{
	if (!request->shard->image)
		return 0;
	if (str_eq_c(feature, "kraft.version"))
		return controller_io_kraft_version(request->shard->broker);
	return image_feature(request->shard->image, feature);
}

static void api_versions_features(struct request *request, struct api_versions_response *out)
{
	const struct image *image = request->shard->image;

	out->supported_features = MSG_NEW_N(&request->arena, api_versions_response_supported_features, feature_defs_n);
	out->finalized_features = MSG_NEW_N(&request->arena, api_versions_response_finalized_features, feature_defs_n);
	for (int i = 0; i < feature_defs_n; i++) {
		const struct feature_def *def = &feature_defs[i];
		int16_t level = api_versions_level(request, def->name);

		if (!def->is_honoured)
			continue;
		if (request->version >= 4 || def->level_min > 0) {
			out->supported_features[out->supported_features_n++] =
				(struct api_versions_response_supported_features){.name = def->name,
										  .min_version = def->level_min,
										  .max_version = def->level_max};
		}
		if (level > 0) {
			out->finalized_features[out->finalized_features_n++] =
				(struct api_versions_response_finalized_features){
					.name = def->name, .min_version_level = level, .max_version_level = level};
		}
	}
	out->finalized_features_epoch = image ? image->offset - 1 : -1;
}

/* Letters and digits, with dots and dashes inside (KIP-511). */
static bool software_text_is_valid(struct str s)
{
	if (s.len == 0 || !isalnum((unsigned char)s.p[0]) || !isalnum((unsigned char)s.p[s.len - 1]))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '.' && s.p[i] != '-')
			return false;
	}
	return true;
}

static void api_versions_remember(struct conn *conn, const struct api_versions_request *in)
{
	struct fmt f;

	fmt_init(&f, conn->software_text, sizeof(conn->software_text));
	fmt_add(&f, "%.*s %.*s", STR_ARGS(in->client_software_name), STR_ARGS(in->client_software_version));
	conn->client_software = (struct str){conn->software_text, f.len};
	metrics_conn_software(conn, conn->client_software);
}

void api_api_versions(struct request *request)
{
	const struct api_versions_request *in = request->body;
	struct api_versions_response out;

	msg_init(&api_versions_response_type, &out);
	if (request->version != request->head.api_version) {
		out.error_code = ERR_UNSUPPORTED_VERSION;
		api_versions_keys(request, &out, false);
	} else if (request->version >= 3 && (!software_text_is_valid(in->client_software_name) ||
					     !software_text_is_valid(in->client_software_version))) {
		out.error_code = ERR_INVALID_REQUEST;
	} else {
		if (request->version >= 3)
			api_versions_remember(request->conn, in);
		api_versions_keys(request, &out, true);
		api_versions_features(request, &out);
	}
	request_reply(request, &out);
}
