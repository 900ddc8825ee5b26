/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The product's broker as a body of the simulator: the same code as in a real process, from the configuration text on.
 * Only the backend under it is simulated.
 */
#include <stdio.h>

#include "broker.h"
#include "metadata_store.h"
#include "sim_bodies.h"
#include "sim_disk_internal.h"

struct broker_body {
	struct broker broker;
	struct sim_node *sn;
	bool has_ended;
};

static void broker_body_phase(struct broker *broker)
{
	struct broker_body *body = container_of(broker, struct broker_body, broker);

	if (broker->phase == BROKER_STOPPED || broker->phase == BROKER_FAILED)
		body->has_ended = true;
	if (broker->phase == BROKER_FAILED)
		log_error("broker.failed", "text=\"%s\"", broker->failure.text);
}

static void broker_body_properties(char *ret, size_t cap, const struct sim_node *config)
{
	int len = snprintf(ret, cap,
			   "process.roles=broker,controller\n"
			   "node.id=%d\n"
			   "listeners=PLAINTEXT://node%d:%d,CONTROLLER://node%d:%d\n"
			   "controller.listener.names=CONTROLLER\n"
			   "controller.quorum.bootstrap.servers=node%d:%d\n"
			   "log.dirs=/data\n"
			   "durability=%s\n"
			   "log.index.interval.bytes=%lld\n"
			   "log.flush.offset.checkpoint.interval.ms=2000\n"
			   "log.dir.full.percent=100\n"
			   "log.dir.ballast.bytes=0\n"
			   "%s",
			   config->id, config->id, config->port, config->id, config->port + 1, config->id,
			   config->port + 1, config->opt->synced ? "synced" : "page-cache",
			   (long long)config->opt->index_interval, config->config ? config->config : "");

	CHECK_OP(len, <, (int)cap);
}

static enum err broker_body_load(const struct sim_node *config, struct broker_config *ret)
{
	struct config_report report = {0};
	struct config_source source = {.file_name = STR("sim.properties")};
	char text[4096];
	enum err err;

	broker_body_properties(text, sizeof(text), config);
	source.file_text = (struct bytes){(const uint8_t *)text, strlen(text)};
	err = broker_config_load(ret, &report, &source);
	for (size_t i = 0; err && i < report.findings.n; i++) {
		char line[1024];
		struct fmt f;

		fmt_init(&f, line, sizeof(line));
		config_finding_format(&report.findings.v[i], &f);
		log_error("config", "%s", line);
	}
	config_report_deinit(&report);
	return err;
}

static enum err broker_body_start(struct node *node, struct fs *fs, const struct sim_node *config)
{
	struct broker_body *body = MEM_NEW(struct broker_body);
	struct broker_config broker_config = {0};
	struct err_text text = {{0}};
	enum err err;

	node->broker = body;
	body->broker.phase_changed = broker_body_phase;
	body->broker.host_name = "127.0.0.1";
	if (config->opt->group_jobs)
		body->broker.group_inline_max = -1;
	err = broker_body_load(config, &broker_config);
	if (!err)
		err = broker_open(&body->broker, node, &broker_config, &text);
	if (err) {
		log_error("broker.refused", "text=\"%s\"", text.text);
		return err;
	}
	broker_start(&body->broker);
	return ERR_NONE;
}

static struct broker_body *broker_body_of(struct node *node)
{
	return node->broker;
}

static void broker_body_request_stop(struct node *node)
{
	broker_stop(&broker_body_of(node)->broker);
}

static bool broker_body_is_stopped(struct node *node)
{
	return broker_body_of(node)->has_ended;
}

static bool broker_body_has_failed(struct node *node)
{
	return broker_body_of(node)->broker.phase == BROKER_FAILED;
}

static bool broker_body_is_ready(struct node *node)
{
	return broker_body_of(node)->broker.phase == BROKER_RUNNING;
}

/* The image that every shard has is what snapshot and log say, read anew. */
static void broker_body_compare_image(const struct broker *broker, struct sim_disk *disk, struct world *w)
{
	const struct image *image = broker->shards[0].image;
	struct metadata_load load = {.dir = broker->dirs[broker->metadata_dir].path};
	struct err_text difference = {{0}};

	metadata_load_run(&load.op, disk_fs(disk));
	/* More in the log than published: it was not committed yet. A log that cannot be read while records are
	 * written to it says nothing; at rest it can. */
	if (!load.op.err && load.image->offset < image->offset)
		world_fail(w, "the metadata log ends at %lld, the published image is of %lld",
			   (long long)load.image->offset, (long long)image->offset);
	else if (!load.op.err && load.image->offset == image->offset && !image_equal(load.image, image, &difference))
		world_fail(w, "the published image differs from a replay of the metadata log: %s", difference.text);
	metadata_load_deinit(&load);
}

static void broker_body_check(struct node *node, struct world *w)
{
	struct broker_body *body = broker_body_of(node);
	struct sim_disk *disk = world_node(w, body->broker.node_id)->disk;
	struct disk_fault faults[DISK_OP_N];

	if (body->broker.phase != BROKER_RUNNING)
		return;
	/* The faults are meant for the node, not for who looks. */
	memcpy(faults, disk->faults, sizeof(faults));
	memset(disk->faults, 0, sizeof(faults));
	broker_body_compare_image(&body->broker, disk, w);
	memcpy(disk->faults, faults, sizeof(faults));
}

static void broker_body_free(struct node *node)
{
	struct broker_body *body = broker_body_of(node);

	broker_close(&body->broker);
	mem_free(body);
}

const struct sim_body broker_body = {
	.name = "broker",
	.start = broker_body_start,
	.request_stop = broker_body_request_stop,
	.is_stopped = broker_body_is_stopped,
	.has_failed = broker_body_has_failed,
	.is_ready = broker_body_is_ready,
	.free = broker_body_free,
	.check = broker_body_check,
};
