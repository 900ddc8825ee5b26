/* SPDX-License-Identifier: Apache-2.0 */
/* See snapshot_file.h. */
#include "snapshot_file.h"
