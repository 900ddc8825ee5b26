/* SPDX-License-Identifier: Apache-2.0 */
/* The io of the disk in memory: everything runs on the calling thread, work in any order, time moves by turns. */
#include "mem_disk.h"

static struct mem_disk *disk_of_io(struct io *io)
{
	return container_of(io, struct mem_disk, io);
}

static void mem_io_submit(struct io *io, struct io_op *op)
{
	op->node = (struct list){NULL, NULL};
	op->err = ERR_NONE;
	op->is_under_way = true;
	list_push_back(&disk_of_io(io)->submitted, &op->node);
}

/* Runs what was submitted: writes in order, the rest in any. Completions run in a later turn for some. */
static void mem_io_turn(struct io *io, int64_t deadline_ns)
{
	struct mem_disk *disk = disk_of_io(io);
	struct list now, *node;

	list_init(&now);
	list_splice(&now, &disk->submitted);
	while ((node = list_pop_front(&now)) != NULL) {
		struct io_op *op = list_entry(node, struct io_op, node);

		if (op->kind == IO_WORK && rng_chance(&disk->rng, 1, 4)) {
			list_push_back(&disk->submitted, node);
			continue;
		}
		if (op->kind == IO_WORK) {
			op->work.run(op, &disk->fs);
		} else {
			size_t len = 0;

			CHECK_OP((int)op->kind, ==, (int)IO_WRITE);
			op->err = fs_pwritev(&disk->fs, op->write.file, op->write.iov, op->write.iov_n,
					     op->write.pos, &len);
			op->result = (int64_t)len;
		}
		list_push_back(&disk->ended, &op->node);
	}
	while ((node = list_pop_front(&disk->ended)) != NULL) {
		struct io_op *op = list_entry(node, struct io_op, node);

		op->is_under_way = false;
		op->done(op);
	}
	disk->now_ns += 10 * NS_PER_MS;
}

static void mem_io_wake(struct io *io)
{
}

static int64_t mem_io_clock(struct io *io, enum io_clock clock)
{
	return disk_of_io(io)->now_ns + (clock == IO_CLOCK_WALL ? INT64_C(1700000000) * NS_PER_S : 0);
}

static void mem_io_random(struct io *io, void *p, size_t len)
{
	uint8_t *bytes = p;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)rng_u64(&disk_of_io(io)->rng);
}

static const struct io_ops mem_io_ops = {
	.submit = mem_io_submit,
	.turn = mem_io_turn,
	.wake = mem_io_wake,
	.clock = mem_io_clock,
	.random = mem_io_random,
};

void mem_disk_init_io(struct mem_disk *disk)
{
	disk->io = (struct io){&mem_io_ops, &disk->fs};
	list_init(&disk->submitted);
	list_init(&disk->ended);
}
