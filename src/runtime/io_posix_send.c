/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending pieces. Memory and short parts of files go out together in one sendmsg, the file parts read into the
 * reactor's scratch first. A longer part of a file goes by sendfile, which spares the copy, but only when the
 * system says (fs_posix_look) that all of it stands in the page cache, since sendfile would wait for the disk; where
 * nobody tells, everything takes the first way. A part that is not cached is loaded by a helper, and the send goes on
 * when it is back.
 *
 * 1. pieces[0] is the first piece that has not left completely; bytes leave in order.
 * 2. A load covers the front of pieces[0] from its `pos`. While it is at a helper the send waits and nothing is
 *    sent: later bytes cannot overtake.
 * 3. A helper reads through its own copy of the descriptor, so that a cancelled send may let its file go at once.
 * 4. Scratch holds nothing between two calls: after a partial send the rest is read again.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs_posix.h"
#include "io_posix.h"
#include "mem.h"

#define POSIX_SEND_IOV_MAX 64
#define POSIX_SEND_CHUNK_MIN (32 * 1024)
/* From here on sendfile is cheaper than a copy and its extra calls; see README.md for the figures. */
#define POSIX_SENDFILE_MIN (32 * 1024)
/* What one socket may send before the others have their turn: some tenth of a millisecond. A larger piece is no
 * cheaper per byte. */
#define POSIX_SEND_SHARE (256 * 1024)

struct posix_load {
	struct posix_job job;
	struct posix_sock *sock; /* NULL when nobody wants it any more */
	bool is_back;
	int fd;      /* own descriptor until read */
	int64_t pos; /* of data[used] */
	size_t len;  /* asked for */
	size_t got;
	size_t used; /* sent */
	enum err err;
	uint8_t data[];
};

/* One sendmsg in the making. */
struct posix_batch {
	struct iovec iov[POSIX_SEND_IOV_MAX];
	int iov_n;
	size_t bytes;
	size_t scratch_used;
	bool is_cut; /* more of the op remains behind it */
	enum err err; /* why it ends where it ends */
};

static void posix_load_free(struct posix_load *load)
{
	if (load->fd >= 0)
		close(load->fd);
	mem_free(load);
}

void posix_load_drop(struct posix_sock *sock)
{
	struct posix_load *load = sock->load;

	if (!load)
		return;
	sock->load = NULL;
	load->sock = NULL;
	if (load->is_back)
		posix_load_free(load);
}

static void posix_load_run(struct posix_job *job, struct fs *fs)
{
	struct posix_load *load = container_of(job, struct posix_load, job);

	load->err = fs_posix_read_waiting(load->fd, load->data, load->len, load->pos, &load->got);
}

static void posix_load_back(struct posix_job *job)
{
	struct posix_load *load = container_of(job, struct posix_load, job);

	load->is_back = true;
	if (!load->sock) {
		posix_load_free(load);
		return;
	}
	posix_make_ready(job->home, load->sock);
}

/* False when no descriptor is left. */
static bool posix_load_start(struct io_posix *io, struct posix_sock *sock, const struct piece *piece)
{
	size_t len = MIN(piece->len, (size_t)POSIX_LOAD_MAX);
	int fd = fcntl((int)piece->file, F_DUPFD_CLOEXEC, 0);
	struct posix_load *load;

	if (fd < 0)
		return false;
	load = mem_alloc(sizeof(*load) + len);
	*load = (struct posix_load){.sock = sock, .fd = fd, .pos = piece->pos, .len = len};
	load->job.run = posix_load_run;
	load->job.done = posix_load_back;
	sock->load = load;
	posix_job_start(io, &load->job);
	return true;
}

static void posix_batch_add(struct posix_batch *batch, const void *p, size_t len)
{
	batch->iov[batch->iov_n++] = (struct iovec){.iov_base = (void *)(uintptr_t)p, .iov_len = len};
	batch->bytes += len;
}

/* Adds the front of a file piece; false when the batch ends with it or before it. */
static bool posix_batch_add_file(struct io_posix *io, struct posix_batch *batch, const struct piece *piece,
				 size_t room)
{
	size_t want = MIN(room, (size_t)POSIX_SCRATCH_LEN - batch->scratch_used);
	uint8_t *p;
	size_t n;

	want = MIN(want, piece->len);
	if (want == 0)
		return false;
	if (!io->scratch)
		io->scratch = mem_alloc(POSIX_SCRATCH_LEN);
	p = io->scratch + batch->scratch_used;
	batch->err = fs_posix_read_cached((int)piece->file, p, want, piece->pos, &n);
	if (batch->err)
		return false;
	if (n == 0) {
		/* The file is shorter than its piece says. */
		batch->err = ERR_IO;
		return false;
	}
	posix_batch_add(batch, p, n);
	batch->scratch_used += n;
	return n == piece->len;
}

static bool posix_goes_by_sendfile(const struct io_posix *io, const struct piece *piece)
{
	return piece->file != PIECE_NO_FILE && piece->len >= POSIX_SENDFILE_MIN && io->has_cachestat;
}

static void posix_batch_fill(struct io_posix *io, struct posix_sock *sock, struct posix_batch *batch)
{
	const struct io_op *op = sock->out;
	int i = 0;

	if (sock->load) {
		struct posix_load *load = sock->load;

		posix_batch_add(batch, load->data + load->used, load->got - load->used);
		if (load->got - load->used < op->send.pieces[0].len) {
			batch->is_cut = true;
			return;
		}
		i = 1;
	}
	for (; i < op->send.pieces_n; i++) {
		const struct piece *piece = &op->send.pieces[i];

		if (piece->len == 0)
			continue;
		if (batch->iov_n == POSIX_SEND_IOV_MAX || batch->bytes >= sock->send_chunk) {
			batch->is_cut = true;
			return;
		}
		if (batch->iov_n > 0 && posix_goes_by_sendfile(io, piece)) {
			batch->is_cut = true;
			return;
		}
		if (piece->file == PIECE_NO_FILE) {
			posix_batch_add(batch, piece->mem, piece->len);
		} else if (!posix_batch_add_file(io, batch, piece, sock->send_chunk - batch->bytes)) {
			batch->is_cut = true;
			return;
		}
	}
}

/* Takes n bytes off the front of the pieces and of the load. */
static void posix_send_advance(struct posix_sock *sock, size_t n)
{
	struct io_op *op = sock->out;
	struct posix_load *load = sock->load;

	op->result += (int64_t)n;
	if (load) {
		size_t part = MIN(n, load->got - load->used);

		load->used += part;
		load->pos += (int64_t)part;
		if (load->used == load->got)
			posix_load_drop(sock);
	}
	while (op->send.pieces_n > 0) {
		struct piece *piece = op->send.pieces;
		size_t part = MIN(n, piece->len);

		piece->len -= part;
		n -= part;
		if (piece->file == PIECE_NO_FILE)
			piece->mem += part;
		else
			piece->pos += (int64_t)part;
		if (piece->len > 0)
			break;
		op->send.pieces++;
		op->send.pieces_n--;
	}
	CHECK_OP(n, ==, 0U);
}

/* How much to read from files for the next send: what the socket took, doubled while it takes all. */
static void posix_send_adapt(struct posix_sock *sock, size_t offered, size_t taken)
{
	if (taken == offered && offered >= sock->send_chunk)
		sock->send_chunk = MIN(sock->send_chunk * 2, (size_t)POSIX_SCRATCH_LEN);
	else if (taken < offered)
		sock->send_chunk = MIN(sock->send_chunk, MAX((size_t)POSIX_SEND_CHUNK_MIN, taken));
}

static void posix_send_fail(struct io_posix *io, struct posix_sock *sock, enum err err)
{
	posix_load_drop(sock);
	posix_end(io, sock->out, err, sock->out->result);
}

/* A helper loads the front of the first piece that has bytes. */
static void posix_load_first(struct io_posix *io, struct posix_sock *sock)
{
	/* Pieces without bytes before it go, so that the load is for pieces[0]. */
	posix_send_advance(sock, 0);
	if (!posix_load_start(io, sock, sock->out->send.pieces))
		posix_send_fail(io, sock, ERR_TOO_MANY_FILES);
}

/* Returns false when the op has ended or waits. */
static bool posix_send_batch(struct io_posix *io, struct posix_sock *sock, const struct posix_batch *batch)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)batch->iov, .msg_iovlen = (size_t)batch->iov_n};
	bool more = batch->is_cut && batch->err == ERR_NONE;
	ssize_t n;

	do
		n = sendmsg(sock->fd, &msg, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN) {
		posix_send_fail(io, sock, posix_net_error(errno));
		return false;
	}
	if (n > 0) {
		io->bytes_left -= n;
		posix_send_advance(sock, (size_t)n);
		posix_send_adapt(sock, batch->bytes, (size_t)n);
	}
	if ((size_t)MAX(n, (ssize_t)0) < batch->bytes) {
		sock->is_writable = false;
		posix_sock_watch(io, sock);
		return false;
	}
	return true;
}

enum posix_sent { POSIX_SENT_NOTHING, POSIX_SENT_SOME, POSIX_SENT_STOP };

/* Sends the front of pieces[0] by sendfile if that suits it. STOP: the op has ended or waits. */
static enum posix_sent posix_send_file(struct io_posix *io, struct posix_sock *sock)
{
	const struct piece *piece = sock->out->send.pieces;
	off_t pos;
	size_t len;
	ssize_t n;

	if (sock->load || sock->out->send.pieces_n == 0 || !posix_goes_by_sendfile(io, piece))
		return POSIX_SENT_NOTHING;
	pos = piece->pos;
	len = MIN(piece->len, (size_t)POSIX_SEND_SHARE);
	switch (fs_posix_look((int)piece->file, pos, len)) {
	case FS_POSIX_CACHED:
		break;
	case FS_POSIX_NOT_CACHED:
		posix_load_first(io, sock);
		return POSIX_SENT_STOP;
	case FS_POSIX_UNKNOWN:
		io->has_cachestat = false;
		return POSIX_SENT_NOTHING;
	}
	do
		n = sendfile(sock->fd, (int)piece->file, &pos, len);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN) {
		sock->is_writable = false;
		posix_sock_watch(io, sock);
		return POSIX_SENT_STOP;
	}
	if (n < 0 && (errno == EINVAL || errno == ENOSYS))
		return POSIX_SENT_NOTHING;
	if (n <= 0) {
		posix_send_fail(io, sock, n < 0 ? posix_net_error(errno) : ERR_IO);
		return POSIX_SENT_STOP;
	}
	io->bytes_left -= n;
	posix_send_advance(sock, (size_t)n);
	return POSIX_SENT_SOME;
}

/* Sends memory and file parts by way of scratch, or asks a helper for a cold part. False: ended or waits. */
static bool posix_send_copy(struct io_posix *io, struct posix_sock *sock)
{
	struct io_op *op = sock->out;
	struct posix_batch batch;

	batch.iov_n = 0;
	batch.bytes = 0;
	batch.scratch_used = 0;
	batch.is_cut = false;
	batch.err = ERR_NONE;
	posix_batch_fill(io, sock, &batch);
	if (batch.iov_n > 0) {
		if (!posix_send_batch(io, sock, &batch))
			return false;
		if (!batch.is_cut)
			posix_end(io, op, ERR_NONE, op->result);
		return batch.is_cut;
	}
	if (batch.err == ERR_WOULD_BLOCK) {
		posix_load_first(io, sock);
	} else if (batch.err) {
		posix_send_fail(io, sock, batch.err);
	} else {
		posix_end(io, op, ERR_NONE, op->result);
	}
	return false;
}

void posix_send(struct io_posix *io, struct posix_sock *sock)
{
	int64_t stop_at = MAX(io->bytes_left - POSIX_SEND_SHARE, INT64_C(0));

	while (sock->is_writable) {
		enum posix_sent sent;

		if (sock->load && !sock->load->is_back)
			return; /* its return makes the socket ready */
		if (sock->load && (sock->load->err || sock->load->got == 0)) {
			posix_send_fail(io, sock, sock->load->err ? sock->load->err : ERR_IO);
			return;
		}
		sent = posix_send_file(io, sock);
		if (sent == POSIX_SENT_STOP)
			return;
		if (sent == POSIX_SENT_NOTHING && !posix_send_copy(io, sock))
			return;
		if (io->bytes_left <= stop_at) {
			posix_make_ready(io, sock);
			return;
		}
	}
}
