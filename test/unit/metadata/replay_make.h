/* SPDX-License-Identifier: Apache-2.0 */
/* Records for tests of the image, and the rule that a snapshot gives an equal image. */
#ifndef TEST_REPLAY_MAKE_H
#define TEST_REPLAY_MAKE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "metadata_record.h"
#include "replay.h"

/* Replays one record, which must apply. */
void edit_add(struct image_edit *edit, enum metadata_record_id type, int16_t version, const void *record);
enum err edit_try(struct image_edit *edit, enum metadata_record_id type, int16_t version, const void *record,
		  struct err_text *text);
struct image *image_via_snapshot(const struct image *image);
/* A snapshot of the image replays to an equal one. */
void check_snapshot(const struct image *image);
void add_topic(struct image_edit *edit, struct str name, struct uuid id);
void add_partition(struct image_edit *edit, struct uuid id, int32_t index, int32_t broker);
void add_broker(struct image_edit *edit, int32_t id, int64_t epoch);

#endif
