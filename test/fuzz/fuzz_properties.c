/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a server.properties: the properties reader and everything behind it end with findings or a
 * config, never with a crash, and free what they took.
 */
#include "broker_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_source source = {.file_name = STR("fuzz"), .file_text = {data, size}};
	struct config_report report = {0};
	struct broker_config config;

	if (broker_config_load(&config, &report, &source) == ERR_NONE)
		broker_config_deinit(&config);
	config_report_deinit(&report);
	return 0;
}
