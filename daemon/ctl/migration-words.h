/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * migration-words - a migration in the words and colours that people are shown
 */

#include "migration-record.h"
#include "output.h"

/* "from hv2.example.org", "to hv3.example.org", or "arriving", "leaving" where nobody is known;
 * owned by the caller. */
char *migration_words_way (const MigrationRecord *record);

/* Of its result. */
OutputStyle migration_words_style (const MigrationRecord *record);

/* What its result means for the guest, a sentence. Translated, a constant. */
const char *migration_words_result (const MigrationRecord *record);
