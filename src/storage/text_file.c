/* SPDX-License-Identifier: Apache-2.0 */
/* Lines and words of checkpoint files, see text_file.h. */
#include "text_file.h"

bool text_line(struct str *text, struct str *ret)
{
	const char *end;
	size_t len, used;

	if (text->len == 0)
		return false;
	end = memchr(text->p, '\n', text->len);
	len = end ? (size_t)(end - text->p) : text->len;
	used = end ? len + 1 : len;
	*ret = (struct str){text->p, len && text->p[len - 1] == '\r' ? len - 1 : len};
	*text = (struct str){text->p + used, text->len - used};
	return true;
}

enum err text_file_open(struct text_file *file, struct str text)
{
	struct str line;
	int32_t version, n;

	*file = (struct text_file){.rest = text};
	if (!text_line(&file->rest, &line) || parse_i32(line, &version) || version != 0)
		return ERR_CORRUPT_FILE;
	if (!text_line(&file->rest, &line) || parse_i32(line, &n) || n < 0)
		return ERR_CORRUPT_FILE;
	file->left = n;
	return ERR_NONE;
}

/* Words between blanks or tabs; -1 when there are more than max. */
static int text_words(struct str line, struct str *words, int max)
{
	int n = 0;
	size_t at = 0;

	while (at < line.len) {
		size_t start;

		while (at < line.len && (line.p[at] == ' ' || line.p[at] == '\t'))
			at++;
		start = at;
		while (at < line.len && line.p[at] != ' ' && line.p[at] != '\t')
			at++;
		if (at == start)
			break;
		if (n == max)
			return -1;
		words[n++] = (struct str){line.p + start, at - start};
	}
	return n;
}

bool text_file_next(struct text_file *file, struct str *words, int words_n, enum err *ret_err)
{
	struct str line;

	if (file->left == 0) {
		if (file->rest.len)
			*ret_err = ERR_CORRUPT_FILE;
		return false;
	}
	if (!text_line(&file->rest, &line) || text_words(line, words, words_n) != words_n) {
		*ret_err = ERR_CORRUPT_FILE;
		return false;
	}
	file->left--;
	return true;
}
