/* SPDX-License-Identifier: Apache-2.0 */
/* See config_file.h. */
#include "config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"
#include "vec.h"

#define CHUNK_LEN ((size_t)64 * 1024)

/* A pipe tells no size, so it is read until it ends. */
static int read_all(int fd, char **ret, size_t *ret_len)
{
	VEC(char) text = {0};

	for (;;) {
		ssize_t n;

		vec_reserve(&text, CHUNK_LEN + 1);
		n = read(fd, text.v + text.n, CHUNK_LEN);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || text.n + (size_t)n > CONFIG_FILE_MAX) {
			int number = n < 0 ? errno : EFBIG;

			vec_deinit(&text);
			return number;
		}
		if (n == 0)
			break;
		text.n += (size_t)n;
	}
	text.v[text.n] = '\0';
	*ret = text.v;
	*ret_len = text.n;
	return 0;
}

int config_file_read(const char *path, char **ret, size_t *ret_len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int number;

	if (fd < 0)
		return errno;
	number = read_all(fd, ret, ret_len);
	close(fd);
	return number;
}

bool config_file_read_reference(void *ctx UNUSED, struct str path, struct arena *arena, struct bytes *ret)
{
	char name[PATH_MAX];
	char *text;
	size_t len;

	if (path.len == 0 || path.len >= sizeof(name) || memchr(path.p, '\0', path.len))
		return false;
	memcpy(name, path.p, path.len);
	name[path.len] = '\0';
	if (config_file_read(name, &text, &len))
		return false;
	*ret = arena_bytes(arena, (struct bytes){(const uint8_t *)text, len});
	mem_free(text);
	return true;
}
