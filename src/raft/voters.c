/* SPDX-License-Identifier: Apache-2.0 */
/* The set of voters as the value of a KRaftVoters record. */
#include "raft.h"
