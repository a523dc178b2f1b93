/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host-check.h"

#include <gio/gio.h>
#include <string.h>

#include "check-command.h"
#include "check-remedy.h"
#include "ctl-check-expect.h"

/* A log of what a list calls back. */
static void
on_begun (const char *subject, gpointer user_data)
{
  g_string_append_printf (user_data, "begun %s; ", subject);
}

static void
on_found (const CheckResult *result, gpointer user_data)
{
  g_string_append_printf (user_data, "%s %s; ", result->id, check_status_name (result->status));
}

static const CheckCallbacks callbacks = { .begun = on_begun, .found = on_found };

static void
test_results (void)
{
  g_autoptr (GString) log = g_string_new (NULL);
  g_autoptr (CheckList) list = check_list_new (&callbacks, log);

  g_assert_cmpint (check_list_get_status (list), ==, CHECK_OK);
  check_list_begin (list, "one", "first");
  check_list_ok (list, "is %d", 1);
  g_assert_cmpint (check_list_get_status (list), ==, CHECK_OK);
  g_assert_null (check_list_find_first (list, CHECK_WARNING));
  check_list_begin (list, "two", "second");
  check_list_fail (list, NULL, "is %s", "bad");
  check_list_begin (list, "three", "third");
  check_list_warn (list, "true", "is so-so");
  check_list_begin (list, "four", "fourth");
  check_list_drop (list);
  check_list_finish (list, "sudo true");

  g_assert_cmpstr (log->str, ==,
                   "begun first; one ok; begun second; two failure; begun third; three warning; "
                   "begun fourth; ");
  g_assert_cmpuint (check_list_get_results (list)->len, ==, 3);
  g_assert_cmpint (check_list_get_status (list), ==, CHECK_FAILURE);
  g_assert_cmpstr (check_list_find_first (list, CHECK_WARNING)->id, ==, "two");
  check_expect (list, "one", CHECK_OK, "is 1", NULL);
  check_expect (list, "two", CHECK_FAILURE, "is bad", NULL);
  check_expect (list, "three", CHECK_WARNING, "is so-so", "true");
}

/* What only root may look at is said once. */
static void
test_skipped (void)
{
  g_autoptr (CheckList) list = check_list_new (NULL, NULL);

  for (guint i = 0; i < 3; i++) {
    g_autofree char *subject = g_strdup_printf ("thing %u", i);

    check_list_begin (list, "some", subject);
    check_list_skip (list);
  }
  check_list_finish (list, "sudo true");
  g_assert_cmpuint (check_list_get_results (list)->len, ==, 1);
  check_expect (list, "not-root", CHECK_WARNING, "thing 0, thing 1, thing 2", "sudo true");
}

/* Whatever a file is called, its name is one word to sh. */
static void
test_remedy (void)
{
  g_autofree char *plain = remedy_format ("rm %s && ls %s", "/etc/a-b_c.d", "x");
  g_autofree char *quoted = remedy_format ("rm %s", "/tmp/it's $HOME; reboot");
  g_autofree char *empty = remedy_format ("test -n %s", "");
  g_autofree char *install = remedy_install (PACKAGE_TIME_DAEMON);
  g_autofree char *no_package = remedy_reinstall ("no-such-package");
  g_autofree char *dpkg = remedy_reinstall ("dpkg");
  g_auto (GStrv) words = NULL;
  int count = 0;

  g_assert_cmpstr (plain, ==, "rm /etc/a-b_c.d && ls x");
  g_assert_true (g_shell_parse_argv (quoted, &count, &words, NULL));
  g_assert_cmpint (count, ==, 2);
  g_assert_cmpstr (words[1], ==, "/tmp/it's $HOME; reboot");
  g_assert_cmpstr (empty, ==, "test -n ''");
  /* of the distributions that are known, this machine's is one, or there is none to propose */
  if (install != NULL)
    g_assert_true (g_str_has_suffix (install, " chrony"));
  else
    g_assert_false (check_command_exists ("apt-get"));
  g_assert_null (no_package);
  if (check_command_exists ("dpkg-query"))
    g_assert_cmpstr (dpkg, ==, "apt-get install --reinstall dpkg");
}

static void
test_command (void)
{
  static const char *const echo[] = { "sh", "-c", "cat; echo $LC_ALL >&2; exit 4", NULL };
  static const char *const signalled[] = { "sh", "-c", "kill -9 $$", NULL };
  static const char *const missing[] = { "no-such-program", NULL };
  static const char *const deaf[] = { "true", NULL };
  g_autofree char *long_input = g_strnfill (1024 * 1024, 'x');
  const CommandTerms terms = { .input = "given" };
  const CommandTerms long_terms = { .input = long_input };
  const CommandTerms no_user = { .user = "no-such-user" };
  g_auto (CommandOutcome) outcome = { 0 };
  g_auto (CommandOutcome) second = { 0 };
  g_auto (CommandOutcome) third = { 0 };
  g_auto (CommandOutcome) fourth = { 0 };
  g_autoptr (GError) error = NULL;

  g_assert_true (check_command_run (echo, &terms, &outcome, &error));
  g_assert_no_error (error);
  g_assert_cmpint (outcome.exit_status, ==, 4);
  g_assert_cmpstr (outcome.output, ==, "given");
  g_assert_cmpstr (outcome.problem, ==, "C");

  g_assert_true (check_command_run (signalled, NULL, &second, &error));
  g_assert_no_error (error);
  g_assert_cmpint (second.exit_status, ==, -1);

  /* it ends before it has read anything, and we go on */
  g_assert_true (check_command_run (deaf, &long_terms, &third, &error));
  g_assert_no_error (error);
  g_assert_cmpint (third.exit_status, ==, 0);

  g_assert_false (check_command_run (missing, NULL, &fourth, &error));
  g_assert_nonnull (error);
  g_clear_error (&error);
  g_assert_false (check_command_run (deaf, &no_user, &fourth, &error));
  g_assert_nonnull (strstr (error->message, "no-such-user"));

  g_assert_true (check_command_exists ("sh"));
  g_assert_false (check_command_exists ("no-such-program"));
}

/* Also when something else keeps its output open. */
static void
test_command_hangs (void)
{
  static const char *const argv[] = { "sh", "-c", "sleep 20 & wait", NULL };
  const CommandTerms terms = { .time_limit_ms = 100 };
  g_auto (CommandOutcome) outcome = { 0 };
  g_autoptr (GError) error = NULL;
  gint64 start_us = g_get_monotonic_time ();

  g_assert_false (check_command_run (argv, &terms, &outcome, &error));
  g_assert_error (error, G_IO_ERROR, G_IO_ERROR_TIMED_OUT);
  g_assert_cmpint (g_get_monotonic_time () - start_us, <, 15 * G_USEC_PER_SEC);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ctl-check-list/results", test_results);
  g_test_add_func ("/ctl-check-list/skipped", test_skipped);
  g_test_add_func ("/ctl-check-list/remedy", test_remedy);
  g_test_add_func ("/ctl-check-list/command", test_command);
  g_test_add_func ("/ctl-check-list/command-hangs", test_command_hangs);
  return g_test_run ();
}
