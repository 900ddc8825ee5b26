/* SPDX-License-Identifier: Apache-2.0 */
/* The file quorum-state: one line of JSON of one fixed shape in two versions, read and written by hand. */
#include "raft.h"
