/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl-error.h"

G_DEFINE_QUARK (clockferry_ctl_error, ctl_error)

/* public functions */

int
ctl_error_report (const char *name, const GError *error)
{
  gboolean is_usage = g_error_matches (error, CTL_ERROR, CTL_ERROR_NOT_FOUND) ||
                      g_error_matches (error, CTL_ERROR, CTL_ERROR_INVALID);

  return command_fail (name, is_usage ? CTL_EXIT_USAGE : CTL_EXIT_FAILURE, "%s", error->message);
}
