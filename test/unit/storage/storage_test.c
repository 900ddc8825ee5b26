/* SPDX-License-Identifier: Apache-2.0 */
/* See storage_test.h. */
#include "storage_test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "batch_build.h"
#include "mem.h"

static void test_dir_changed(struct storage *storage, struct storage_dir *dir, enum err err)
{
	((struct storage_test *)storage->ctx)->dir_changes++;
}

void storage_test_start(struct storage_test *t, enum log_dir_stop stop)
{
	struct io_posix_options io_options = {.helpers_n = 1, .recv_block_len = 4096};

	if (t->own_io) {
		t->io = t->own_io;
	} else {
		t->shared = io_posix_shared_new(&io_options);
		t->io = io_posix_new(t->shared);
	}
	assert_non_null(t->io);
	assert_int_equal(node_init(&t->node, 1, &t->io, 1), ERR_NONE);
	t->reactor = &t->node.reactors[0];
	storage_init(&t->storage, t->reactor, &t->options);
	t->storage.ctx = t;
	t->storage.dir_changed = test_dir_changed;
	t->dir = storage_add_dir(&t->storage, t->path, (struct uuid){7, 7}, stop);
}

void storage_test_stop(struct storage_test *t)
{
	for (int i = 0; i < TURNS_MAX && !storage_is_idle(&t->storage); i++)
		turn(t);
	storage_deinit(&t->storage);
	node_deinit(&t->node);
	if (t->own_io)
		return;
	t->io->ops->free(t->io);
	io_posix_shared_free(t->shared);
}

static void storage_test_defaults(struct storage_test *t, enum storage_durability durability)
{
	t->options = (struct storage_options){.durability = durability,
					      .open_files_max = 100,
					      .checkpoint_bytes = MIB(256),
					      .checkpoint_ms = 3600000,
					      .file_delete_delay_ms = 0,
					      .producer_expire_ms = 86400000};
	t->config = (struct log_config){.segment_bytes = MIB(1024),
					.segment_ms = INT64_C(604800000),
					.index_interval_bytes = 4096,
					.index_bytes = MIB(10),
					.flush_messages = INT64_MAX,
					.flush_ms = INT64_MAX};
	t->topic_id = (struct uuid){0x1122334455667788, 0x99};
}

static void storage_test_init_in(struct storage_test *t, const char *parent, enum storage_durability durability)
{
	*t = (struct storage_test){0};
	snprintf(t->path, sizeof(t->path), "%s/moldau-storage-XXXXXX", parent);
	assert_non_null(mkdtemp(t->path));
	storage_test_defaults(t, durability);
	storage_test_start(t, LOG_DIR_CLEAN);
}

void storage_test_init(struct storage_test *t, enum storage_durability durability)
{
	storage_test_init_in(t, "/tmp", durability);
}

void storage_test_init_in_memory(struct storage_test *t, enum storage_durability durability)
{
	storage_test_init_in(t, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", durability);
}

void storage_test_init_own(struct storage_test *t, enum storage_durability durability, struct io *own_io,
			   const char *path)
{
	*t = (struct storage_test){.own_io = own_io};
	snprintf(t->path, sizeof(t->path), "%s", path);
	storage_test_defaults(t, durability);
	storage_test_start(t, LOG_DIR_CLEAN);
}

void storage_test_deinit(struct storage_test *t)
{
	char command[128];

	storage_test_stop(t);
	snprintf(command, sizeof(command), "rm -rf %s", t->path);
	assert_int_equal(system(command), 0);
}

void storage_test_restart(struct storage_test *t, enum log_dir_stop stop)
{
	storage_test_stop(t);
	storage_test_start(t, stop);
}

void turn(struct storage_test *t)
{
	reactor_turn(t->reactor, NS_PER_MS);
}

static void test_advanced(struct part_log *log)
{
	((struct storage_test *)log->ctx)->told++;
}

struct part_log *log_try_open(struct storage_test *t, const char *name, int64_t recovery_point)
{
	struct part_log *log = part_log_new(&t->storage, t->dir, str_of(name), t->topic_id, &t->config);

	log->ctx = t;
	log->advanced = test_advanced;
	part_log_open(log, recovery_point, -1);
	for (int i = 0; i < TURNS_MAX && log->state == PART_LOG_OPENING; i++)
		turn(t);
	assert_int_not_equal(log->state, PART_LOG_OPENING);
	return log;
}

struct part_log *log_open(struct storage_test *t, const char *name, int64_t recovery_point)
{
	struct part_log *log = log_try_open(t, name, recovery_point);

	assert_int_equal(log->failure, ERR_NONE);
	assert_int_equal(log->state, PART_LOG_OPEN);
	return log;
}

void log_close(struct storage_test *t, struct part_log *log)
{
	part_log_close(log);
	for (int i = 0; i < TURNS_MAX && log->state == PART_LOG_CLOSING; i++)
		turn(t);
	assert_int_equal(log->state, PART_LOG_CLOSED);
	part_log_free(log);
}

static void checkpoint_is_done(struct storage *storage)
{
	((struct storage_test *)storage->ctx)->told = -1;
}

void checkpoint(struct storage_test *t)
{
	t->told = 0;
	assert_true(storage_checkpoint(&t->storage, checkpoint_is_done));
	for (int i = 0; i < TURNS_MAX && t->told >= 0; i++)
		turn(t);
	assert_int_equal(t->told, -1);
}

void log_kill(struct storage_test *t, struct part_log *log)
{
	/* Jobs under way end first, then nothing is begun any more. */
	for (int i = 0; i < TURNS_MAX && (i < 3 || !storage_is_idle(&t->storage)); i++)
		turn(t);
	log->advanced = NULL;
	log->state = PART_LOG_FAILED;
	log->failure = ERR_LOG_CLOSED;
	part_log_free(log);
	for (int i = 0; i < TURNS_MAX && (i < 3 || !storage_is_idle(&t->storage)); i++)
		turn(t);
}

uint8_t *batch_make(const struct test_batch *spec, size_t *ret_len)
{
	struct batch_spec batch = BATCH_SPEC_INIT;
	struct scratch out = {0};
	struct batch_builder b;
	struct bytes bytes;
	char value[20000];

	assert_true(spec->value_len < sizeof(value));
	batch.producer_id = spec->producer_id;
	batch.producer_epoch = spec->epoch;
	batch.base_sequence = spec->seq;
	assert_int_equal(batch_builder_init(&b, &batch, &out, NULL), ERR_NONE);
	for (int32_t i = 0; i < spec->records_n; i++) {
		struct record_fields fields = {.key = BYTES_NULL,
					       .value = {(const uint8_t *)value, spec->value_len}};

		memset(value, 'a' + i % 26, spec->value_len);
		assert_int_equal(batch_builder_add(&b, spec->timestamp_ms + i, &fields), ERR_NONE);
	}
	assert_int_equal(batch_builder_finish(&b, &bytes), ERR_NONE);
	*ret_len = bytes.len;
	return out.p;
}

struct put {
	struct log_append append;
	int *left;
	int *good;
	enum err *err;
};

static void put_done(struct log_append *append)
{
	struct put *put = container_of(append, struct put, append);

	(*put->left)--;
	if (!append->err)
		(*put->good)++;
	else
		*put->err = append->err;
}

static int log_put_n(struct storage_test *t, struct part_log *log, const struct test_batch *spec,
		     int32_t epoch, int n,
		     enum err *ret_err)
{
	struct put *puts = mem_calloc((size_t)n, sizeof(*puts));
	int left = 0, good = 0;

	*ret_err = ERR_NONE;
	for (int i = 0; i < n; i++) {
		struct put *put = &puts[i];
		enum err err;

		put->append.batch = batch_make(spec, &put->append.len);
		assert_int_equal(batch_check_header((struct bytes){put->append.batch, put->append.len},
						    BATCH_CHECK_CRC,
						    &put->append.info), ERR_NONE);
		put->append.done = put_done;
		put->left = &left;
		put->good = &good;
		put->err = ret_err;
		err = part_log_append(log, &put->append, epoch);
		if (err)
			*ret_err = err;
		else
			left++;
	}
	for (int i = 0; i < TURNS_MAX && left; i++)
		turn(t);
	assert_int_equal(left, 0);
	for (int i = 0; i < n; i++)
		mem_free(puts[i].append.batch);
	mem_free(puts);
	return good;
}

enum err log_put(struct storage_test *t, struct part_log *log, const struct test_batch *spec, int32_t epoch)
{
	enum err err;

	log_put_n(t, log, spec, epoch, 1, &err);
	return err;
}

int log_put_many(struct storage_test *t, struct part_log *log, const struct test_batch *spec, int32_t epoch,
		 int n)
{
	enum err err;

	return log_put_n(t, log, spec, epoch, n, &err);
}

struct get {
	struct log_read read;
	bool done;
};

static void get_done(struct log_read *read)
{
	container_of(read, struct get, read)->done = true;
}

/* Nothing that was read reaches the end it names. */
static void get_check_end(const struct log_read *read, struct bytes got)
{
	struct batch_iter it = batch_iter_of(got, BATCH_CHECK_CRC);
	struct batch_info info;

	assert_true(read->end_offset > read->offset);
	assert_true(read->end_offset <= read->bound.offset);
	while (batch_iter_next(&it, &info))
		assert_true(info.last_offset < read->end_offset);
}

enum err log_get(struct storage_test *t, struct part_log *log, int64_t offset, int64_t max_bytes,
		 uint8_t **ret_bytes,
		 size_t *ret_len)
{
	struct get get = {.read = {.offset = offset, .bound = log->appended, .max_bytes = max_bytes,
				   .whole_first = true, .wants_end = offset % 2 == 0, .done = get_done}};

	get.done = part_log_read(log, &get.read);
	for (int i = 0; i < TURNS_MAX && !get.done; i++)
		turn(t);
	assert_true(get.done);
	*ret_bytes = NULL;
	*ret_len = get.read.piece.len;
	if (!get.read.err && get.read.piece.len) {
		size_t got;

		assert_true(get.read.is_pinned);
		*ret_bytes = mem_alloc(get.read.piece.len);
		assert_int_equal(fs_pread(t->io->fs, get.read.piece.file, *ret_bytes, get.read.piece.len,
					  get.read.piece.pos, FS_WAIT, &got), ERR_NONE);
		assert_int_equal(got, get.read.piece.len);
		get_check_end(&get.read, (struct bytes){*ret_bytes, got});
	}
	log_read_release(&get.read);
	return get.read.err;
}

int log_check_all(struct storage_test *t, struct part_log *log)
{
	int64_t offset = log->log_start;
	int batches = 0;

	while (offset < log->appended.offset) {
		struct batch_info info;
		struct batch_iter it;
		uint8_t *p;
		size_t len;

		assert_int_equal(log_get(t, log, offset, 50000, &p, &len), ERR_NONE);
		assert_true(len > 0);
		it = batch_iter_of((struct bytes){p, len}, BATCH_CHECK_CRC);
		while (batch_iter_next(&it, &info)) {
			if (offset > log->log_start || info.base_offset >= log->log_start)
				assert_int_equal(info.base_offset, offset);
			offset = info.last_offset + 1;
			batches++;
		}
		assert_int_equal(it.err, ERR_NONE);
		assert_true(it.pos > 0);
		mem_free(p);
	}
	assert_int_equal(offset, log->appended.offset);
	return batches;
}

struct ask {
	struct log_time_query query;
	bool done;
};

static void ask_done(struct log_time_query *query)
{
	container_of(query, struct ask, query)->done = true;
}

int64_t log_time(struct storage_test *t, struct part_log *log, int64_t timestamp_ms)
{
	struct ask ask = {.query = {.timestamp_ms = timestamp_ms, .bound = log->appended, .done = ask_done}};

	part_log_find_time(log, &ask.query);
	for (int i = 0; i < TURNS_MAX && !ask.done; i++)
		turn(t);
	assert_true(ask.done);
	assert_int_equal(ask.query.err, ERR_NONE);
	return ask.query.offset;
}

int64_t file_len(struct storage_test *t, const char *log, const char *name)
{
	char path[300];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s/%s", t->path, log, name);
	return stat(path, &st) ? -1 : st.st_size;
}

void file_put(struct storage_test *t, const char *log, const char *name, const void *p, size_t len)
{
	char path[300];
	int fd;

	snprintf(path, sizeof(path), "%s/%s/%s", t->path, log, name);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, len), (ssize_t)len);
	close(fd);
}

void file_cut(struct storage_test *t, const char *log, const char *name, int64_t size)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s/%s", t->path, log, name);
	assert_int_equal(truncate(path, size), 0);
}
