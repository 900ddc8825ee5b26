/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See housekeeper.h. A pass walks the shard's list of opened partitions from its front and puts each it has seen to the
 * back; it is over when the one at the front was seen in this pass. Partitions may come and go in between.
 *
 *    WAITING --time--> PASS (some logs a turn) --all seen--> WAITING
 */
#include "housekeeper.h"

#include <inttypes.h>

#include "broker.h"
#include "log.h"
#include "mem.h"
#include "transaction_watch.h"

/* Logs looked at in one turn; a look is some hundred nanoseconds. */
#define KEEP_EACH_TURN 256
/* Logs named one by one in a pass; the rest is in its sum. */
#define KEEP_LINES_MAX 20

struct housekeeper {
	struct shard *shard;
	struct timer timer;
	uint64_t pass; /* number of the last pass that began */
	bool in_pass;
	int64_t logs_n, segments_n, bytes; /* gone in this pass */
	int64_t futures_n;
};

struct housekeeper *housekeeper_new(struct shard *shard)
{
	struct housekeeper *keeper = MEM_NEW(struct housekeeper);

	keeper->shard = shard;
	return keeper;
}

void housekeeper_free(struct housekeeper *keeper)
{
	mem_free(keeper);
}

static void housekeeper_say(struct housekeeper *keeper, const struct partition *partition,
			    const struct log_retained *gone)
{
	static const char *const reasons[] = {"log_start", "retention.bytes", "retention.ms"};

	keeper->logs_n++;
	keeper->segments_n += (int64_t)gone->segments_n;
	keeper->bytes += gone->bytes;
	if (keeper->logs_n > KEEP_LINES_MAX)
		return;
	log_info("retention.deleted", "log=%s-%d reason=%s segments=%zu bytes=%" PRId64 " log_start=%" PRId64,
		 partition->topic, partition->index, reasons[gone->reason], gone->segments_n, gone->bytes,
		 gone->log_start);
}

static void housekeeper_retain(struct housekeeper *keeper, struct partition *partition)
{
	struct log_retained gone;

	if (!partition->is_open || partition->state == PARTITION_STOPPED)
		return;
	part_log_retain(partition->log, partition->high_watermark.offset, &gone);
	if (gone.segments_n)
		housekeeper_say(keeper, partition, &gone);
	if (gone.is_in_future && keeper->futures_n++ == 0)
		log_warn("retention.future",
			 "code=ML1071 log=%s-%d text=\"its oldest records bear a time that has not come yet: they stay "
			 "until then, whatever retention.ms says\"",
			 partition->topic, partition->index);
}

static void housekeeper_pass_over(struct housekeeper *keeper)
{
	keeper->in_pass = false;
	if (keeper->logs_n > KEEP_LINES_MAX)
		log_info("retention.sum", "logs=%" PRId64 " segments=%" PRId64 " bytes=%" PRId64, keeper->logs_n,
			 keeper->segments_n, keeper->bytes);
	if (keeper->futures_n > 1)
		log_warn("retention.future", "code=ML1071 logs=%" PRId64, keeper->futures_n);
}

static void housekeeper_turn(struct timer *timer)
{
	struct housekeeper *keeper = container_of(timer, struct housekeeper, timer);
	struct shard *shard = keeper->shard;
	struct list *opened = &shard->opened;
	int64_t delay_ns = shard->broker->config.log_retention_check_interval_ms * NS_PER_MS;
	int n = 0;

	if (shard->is_stopping)
		return;
	if (!keeper->in_pass) {
		keeper->in_pass = true;
		keeper->pass++;
		keeper->logs_n = keeper->segments_n = keeper->bytes = keeper->futures_n = 0;
	}
	while (!list_is_empty(opened) && n++ < KEEP_EACH_TURN) {
		struct partition *partition = list_entry(opened->next, struct partition, link);

		if (partition->kept_in_pass == keeper->pass)
			break;
		partition->kept_in_pass = keeper->pass;
		list_remove(&partition->link);
		list_push_back(opened, &partition->link);
		housekeeper_retain(keeper, partition);
		if (partition->is_open && partition->state == PARTITION_LEADER)
			transaction_late_tell(partition);
	}
	if (n > KEEP_EACH_TURN)
		delay_ns = 0;
	else
		housekeeper_pass_over(keeper);
	reactor_timer(shard->reactor, &keeper->timer, delay_ns, housekeeper_turn);
}

void housekeeper_start(struct housekeeper *keeper)
{
	struct shard *shard = keeper->shard;

	if (timer_is_on(&keeper->timer) || shard->is_stopping)
		return;
	reactor_timer(shard->reactor, &keeper->timer,
		      shard->broker->config.log_initial_task_delay_ms * NS_PER_MS, housekeeper_turn);
}

void housekeeper_stop(struct housekeeper *keeper)
{
	timer_stop(&keeper->shard->reactor->timers, &keeper->timer);
}
