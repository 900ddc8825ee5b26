/* SPDX-License-Identifier: Apache-2.0 */
/* The election and the high watermark of a quorum of one: see raft.h for states and invariants. */
#include "raft.h"
