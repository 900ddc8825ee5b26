/* SPDX-License-Identifier: Apache-2.0 */
/* See format.h. */
#include "format.h"
