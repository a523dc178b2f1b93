/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * migration-trouble - what may be wrong with a migration, and what the design says of it
 */

#include "migration-case.h"

struct migration_trouble {
  const char *name;
  enum helper_verdict verdict;
  enum helper_reason reason;
  void (*bring) (struct migration_case *this); /* to a case in good health */
};

/* The first is none. */
extern const struct migration_trouble migration_troubles[];
extern const uint32_t migration_trouble_count;
