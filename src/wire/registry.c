/* SPDX-License-Identifier: Apache-2.0 */
/* Look-ups in the generated rows. */
#include "registry.h"

const struct api *api_find(int16_t key)
{
	if (key < 0 || key > API_KEY_MAX || !api_rows[key].name)
		return NULL;
	return &api_rows[key];
}

const char *api_name(int16_t key)
{
	const struct api *api = api_find(key);

	return api ? api->name : "unknown";
}

const struct msg_record *msg_record_find(enum msg_family family, int32_t number)
{
	for (size_t i = 0; i < msg_record_rows_n; i++)
		if (msg_record_rows[i].family == family && msg_record_rows[i].number == number)
			return &msg_record_rows[i];
	return NULL;
}
