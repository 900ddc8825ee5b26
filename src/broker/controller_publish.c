/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images on their way to the shards, and the answers that wait for them.
 *
 *    committed --> to every shard --> each lets go of what was removed --> all back: the one before is freed,
 *                                                                          operations are answered, the next may go
 */
#include "broker.h"
#include "controller_io_internal.h"
#include "lifecycle.h"
#include "shard.h"

static void controller_op_returns(struct reactor *reactor, struct msg *msg)
{
	struct controller_op *op = container_of(msg, struct controller_op, msg);

	op->done(op);
}

void controller_io_answer_op(struct controller_io *io, struct controller_op *op)
{
	if (op->home == io->reactor) {
		op->done(op);
		return;
	}
	op->msg.handle = controller_op_returns;
	reactor_send(io->reactor, op->home, &op->msg);
}

void controller_io_answer(struct controller_io *io)
{
	while (!list_is_empty(&io->pending)) {
		struct controller_op *op = list_entry(io->pending.next, struct controller_op, link);

		if (op->end_offset > io->applied_offset)
			return;
		list_remove(&op->link);
		controller_io_answer_op(io, op);
	}
}

/* ---- images ---- */

static void image_update_returned(struct controller_io *io)
{
	if (--io->updates_out > 0)
		return;
	if (io->replaced)
		image_unref(io->replaced);
	io->replaced = NULL;
	io->applied_offset = io->published->offset;
	controller_io_answer(io);
	controller_io_publish(io);
	if (!list_is_empty(&io->queued))
		controller_io_run_later(io);
}

static void image_update_comes_back(struct reactor *reactor, struct msg *msg)
{
	image_update_returned(container_of(msg, struct image_update, msg)->io);
}

/* The shard has the image, and what it removed is out of the way. */
static void image_update_settled(struct shard *shard)
{
	struct image_update *update = shard->settled_ctx;

	shard->settled = NULL;
	update->msg.handle = image_update_comes_back;
	reactor_send(shard->reactor, update->io->reactor, &update->msg);
}

static void image_update_arrives(struct reactor *reactor, struct msg *msg)
{
	struct image_update *update = container_of(msg, struct image_update, msg);
	struct shard *shard = reactor->shard;

	shard_apply_image(shard, update->image);
	shard->settled_ctx = update;
	shard->settled = image_update_settled;
	if (shard->removing_n == 0)
		image_update_settled(shard);
}

void controller_io_publish(struct controller_io *io)
{
	struct image *image = io->controller.committed;

	if (io->updates_out > 0 || !io->has_controller || image == io->published || controller_io_is(io, CIO_CLOSING))
		return;
	io->replaced = io->published;
	io->published = image_ref(image);
	io->updates_out = io->broker->shards_n;
	for (int i = 0; i < io->broker->shards_n; i++) {
		struct image_update *update = &io->updates[i];

		update->io = io;
		update->image = image;
		update->msg.handle = image_update_arrives;
		reactor_send(io->reactor, io->broker->shards[i].reactor, &update->msg);
	}
}
