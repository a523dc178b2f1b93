/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * migration-id - what both hosts' journals call one migration: 32 lower-case hexadecimal digits
 *
 * A name, no secret: whoever may read the journal or listen on the system bus knows it.
 */

#include <glib.h>

#define MIGRATION_ID_LENGTH 32

/* A random one, owned by the caller. */
char *migration_id_make (void) G_GNUC_WARN_UNUSED_RESULT;

/* Whether @text, which a peer sent, has that form to the last digit. */
gboolean migration_id_is_valid (const char *text);
