/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl-check-expect.h"

#include <string.h>

#include "check-command.h"

/* Of sh and of clockferry itself; of other distributions; of what need not be installed here. */
static const char *const known_commands[] = {
  "echo",       "printf",          "clockferryctl", "sudo",     "chronyc",  "ntpq",
  "ntpctl",     "timedatectl",     "dnf",           "semodule", "{", /* semanage */
  "restorecon", "apparmor_parser", "zypper",        "virsh",    "modprobe", NULL,
};

/* public functions */

const CheckResult *
check_expect_find (const CheckList *list, const char *id)
{
  const GPtrArray *results = check_list_get_results (list);

  for (guint i = 0; i < results->len; i++) {
    const CheckResult *result = g_ptr_array_index (results, i);

    if (g_str_equal (result->id, id))
      return result;
  }
  return NULL;
}

void
check_expect (const CheckList *list, const char *id, CheckStatus status, const char *finding,
              const char *remedy)
{
  const CheckResult *result = check_expect_find (list, id);

  if (result == NULL)
    g_error ("%s was not looked at", id);
  if (result->status != status || g_strcmp0 (result->remedy, remedy) != 0 ||
      (finding != NULL && strstr (result->finding, finding) == NULL))
    g_error ("%s: %s, \"%s\", remedy %s\nin place of %s, \"...%s...\", remedy %s", id,
             check_status_name (result->status), result->finding, result->remedy,
             check_status_name (status), finding, remedy);
}

void
check_expect_none (const CheckList *list, const char *id)
{
  const CheckResult *result = check_expect_find (list, id);

  if (result != NULL)
    g_error ("%s: %s, \"%s\"", id, check_status_name (result->status), result->finding);
}

void
check_expect_commands (const CheckList *list)
{
  const GPtrArray *results = check_list_get_results (list);

  for (guint i = 0; i < results->len; i++) {
    const CheckResult *result = g_ptr_array_index (results, i);
    g_auto (GStrv) commands = NULL;

    if (result->remedy == NULL)
      continue;
    g_assert_cmpint (result->status, !=, CHECK_OK);
    commands = g_strsplit (result->remedy, " && ", -1);
    for (guint j = 0; commands[j] != NULL; j++) {
      commands[j][strcspn (commands[j], " ")] = '\0';
      if (!g_strv_contains (known_commands, commands[j]) && !check_command_exists (commands[j]))
        g_error ("%s: there is no %s, of: %s", result->id, commands[j], result->remedy);
    }
  }
}
