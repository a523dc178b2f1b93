/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>

#include "temp-folder.h"

/*
 * The hook as libvirt runs it: NAME OPERATION SUB-OPERATION EXTRA, XML on stdin, stdout and stderr
 * collected, and the exit status decides on the domain. It is built twice for this: for a host with
 * the helper and for one without.
 */

#define WITH_HELPER    (g_test_get_filename (G_TEST_BUILT, "hook-with-helper", NULL))
#define WITHOUT_HELPER (g_test_get_filename (G_TEST_BUILT, "hook-without-helper", NULL))

#define SONAME "libclockferry-qemu.so"
#define DOMAIN "<domain type='kvm'><name>guest</name></domain>"
#define DOMAIN_WITH_HELPER                                                                         \
  "<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><qemu:commandline>"  \
  "<qemu:env name='LD_PRELOAD' value='" SONAME "'/></qemu:commandline></domain>"

/* More than a pipe holds. */
#define LONG_BYTES (256 * 1024)

typedef struct {
  char *output;
  char *complaint;
} Outcome;

static void
outcome_clear (Outcome *outcome)
{
  g_free (outcome->output);
  g_free (outcome->complaint);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Outcome, outcome_clear)

static Outcome
run_hook (const char *program, const char *operation, const char *sub_operation, const char *xml)
{
  Outcome outcome = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (GSubprocess) process = g_subprocess_new (
    G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE,
    &error, program, "guest", operation, sub_operation, "-", NULL);

  g_assert_no_error (error);
  /* a hook that has no use for its input may close it: libvirt takes no notice of EPIPE either */
  if (!g_subprocess_communicate_utf8 (process, xml, NULL, &outcome.output, &outcome.complaint,
                                      &error))
    g_assert_error (error, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE);
  g_clear_error (&error);
  g_subprocess_wait (process, NULL, &error);
  g_assert_no_error (error);
  g_assert_true (g_subprocess_get_if_exited (process));
  g_assert_cmpint (g_subprocess_get_exit_status (process), ==, 0);
  return outcome;
}

static void
assert_silent (const char *program, const char *operation, const char *sub_operation,
               const char *xml)
{
  g_auto (Outcome) outcome = run_hook (program, operation, sub_operation, xml);

  if (outcome.output != NULL)
    g_assert_cmpstr (outcome.output, ==, "");
  if (outcome.complaint != NULL)
    g_assert_cmpstr (outcome.complaint, ==, "");
}

static void
assert_complaint (const char *xml, const char *about)
{
  g_auto (Outcome) outcome = run_hook (WITH_HELPER, "migrate", "begin", xml);

  g_assert_cmpstr (outcome.output, ==, "");
  g_assert_nonnull (strstr (outcome.complaint, about));
  /* one line */
  g_assert_true (strchr (outcome.complaint, '\n') ==
                 outcome.complaint + strlen (outcome.complaint) - 1);
}

/* tests */

static void
test_migrate (void)
{
  g_auto (Outcome) added = run_hook (WITH_HELPER, "migrate", "begin", DOMAIN);
  g_auto (Outcome) removed = run_hook (WITHOUT_HELPER, "migrate", "begin", DOMAIN_WITH_HELPER);

  g_assert_nonnull (strstr (added.output, "value=\"" SONAME "\""));
  g_assert_cmpstr (added.complaint, ==, "");
  assert_silent (WITH_HELPER, "migrate", "begin", added.output);

  g_assert_nonnull (strstr (removed.output, "<domain"));
  g_assert_null (strstr (removed.output, SONAME));
  assert_silent (WITHOUT_HELPER, "migrate", "begin", DOMAIN);
}

static void
test_restore (void)
{
  g_auto (Outcome) removed = run_hook (WITHOUT_HELPER, "restore", "begin", DOMAIN_WITH_HELPER);

  g_assert_nonnull (strstr (removed.output, "<domain"));
  g_assert_null (strstr (removed.output, SONAME));
  assert_silent (WITH_HELPER, "restore", "begin", DOMAIN_WITH_HELPER);
  assert_silent (WITH_HELPER, "restore", "begin", DOMAIN);
  assert_silent (WITHOUT_HELPER, "restore", "begin", DOMAIN);
}

static void
test_other_operations (void)
{
  const char *const operations[][2] = {
    { "prepare", "begin" },   { "start", "begin" }, { "started", "begin" },
    { "stopped", "end" },     { "release", "end" }, { "attach", "begin" },
    { "reconnect", "begin" }, { "migrate", "end" }, { "", "" },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (operations); i++) {
    assert_silent (WITH_HELPER, operations[i][0], operations[i][1], DOMAIN);
    assert_silent (WITHOUT_HELPER, operations[i][0], operations[i][1], DOMAIN_WITH_HELPER);
  }
}

static void
test_doubt (void)
{
  g_autoptr (GString) huge = g_string_new ("<domain type='kvm'>");

  assert_complaint ("", "malformed");
  assert_complaint ("<domain type='kvm'>", "malformed");
  assert_complaint ("<network/>", "not the XML of a domain");

  while (huge->len <= 8 * 1024 * 1024)
    g_string_append (huge, "<description>0123456789abcdef</description>");
  g_string_append (huge, "</domain>");
  {
    g_auto (Outcome) outcome = run_hook (WITH_HELPER, "migrate", "begin", huge->str);

    if (outcome.output != NULL)
      g_assert_cmpstr (outcome.output, ==, "");
  }
}

/* Reading and writing take turns with the other end. */
static void
test_long_document (void)
{
  g_autoptr (GString) xml = g_string_new ("<domain type='kvm'>");
  g_auto (Outcome) outcome = { 0 };

  while (xml->len < LONG_BYTES)
    g_string_append (xml, "<description>0123456789abcdef</description>");
  g_string_append (xml, "</domain>");
  outcome = run_hook (WITH_HELPER, "migrate", "begin", xml->str);
  g_assert_cmpuint (strlen (outcome.output), >, LONG_BYTES);
  g_assert_true (g_str_has_suffix (outcome.output, "</qemu:commandline></domain>\n"));
}

/* Nobody closes the hook's stdin: it gives up by itself, in time, without a word on stdout. */
static void
test_time_limit (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GSubprocess) process = g_subprocess_new (
    G_SUBPROCESS_FLAGS_STDIN_PIPE | G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_PIPE,
    &error, WITH_HELPER, "guest", "migrate", "begin", "-", NULL);
  g_autofree char *complaint = g_malloc0 (256);
  gint64 begin_us = g_get_monotonic_time ();
  guint8 byte;

  g_assert_no_error (error);
  g_subprocess_wait (process, NULL, &error);
  g_assert_no_error (error);
  g_assert_cmpint (g_get_monotonic_time () - begin_us, <, 5 * G_USEC_PER_SEC);
  g_assert_true (g_subprocess_get_if_exited (process));
  g_assert_cmpint (g_subprocess_get_exit_status (process), ==, 0);
  g_assert_cmpint (
    g_input_stream_read (g_subprocess_get_stdout_pipe (process), &byte, 1, NULL, NULL), ==, 0);
  g_assert_cmpint (
    g_input_stream_read (g_subprocess_get_stderr_pipe (process), complaint, 255, NULL, NULL), >, 0);
  g_assert_nonnull (strstr (complaint, "no time left"));
}

/* The file that libvirt finds: whatever happens to the program, a domain starts. */
static void
test_hook_file (void)
{
  const char *const programs[] = { "#!/bin/sh\nexit 3\n", "#!/nonexistent\n", "\177ELF",
                                   "#!/bin/sh\nkill -SEGV $$\n", NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (TempFolder) dir = temp_folder_make ();
  g_autofree char *program = g_build_filename (dir, "clockferry-hook", NULL);
  g_autofree char *file = g_build_filename (dir, "50-clockferry", NULL);
  g_autofree char *template = NULL;
  g_autofree char *script = NULL;
  g_auto (GStrv) parts = NULL;

  g_assert_no_error (error);
  g_file_get_contents (
    g_test_get_filename (G_TEST_DIST, "..", "..", "data", "50-clockferry.in", NULL), &template,
    NULL, &error);
  g_assert_no_error (error);
  parts = g_strsplit (template, "@bindir@", -1);
  script = g_strjoinv (dir, parts);
  g_file_set_contents_full (file, script, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0755, &error);
  g_assert_no_error (error);

  for (gsize i = 0; i < G_N_ELEMENTS (programs); i++) {
    g_auto (Outcome) outcome = { 0 };

    (void) g_unlink (program);
    if (programs[i] != NULL)
      g_file_set_contents_full (program, programs[i], -1, G_FILE_SET_CONTENTS_CONSISTENT, 0755,
                                &error);
    g_assert_no_error (error);
    outcome = run_hook (file, "migrate", "begin", DOMAIN);
    if (outcome.output != NULL)
      g_assert_cmpstr (outcome.output, ==, "");
  }

  /* and with the program in place, it is the program */
  (void) g_unlink (program);
  g_assert_cmpint (symlink (WITH_HELPER, program), ==, 0);
  {
    g_auto (Outcome) outcome = run_hook (file, "migrate", "begin", DOMAIN);

    g_assert_nonnull (strstr (outcome.output, SONAME));
    assert_silent (file, "prepare", "begin", DOMAIN);
  }
}

int
main (int argc, char **argv)
{
  /* as in libvirtd: a hook may close its stdin */
  signal (SIGPIPE, SIG_IGN);
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/hook-program/migrate", test_migrate);
  g_test_add_func ("/hook-program/restore", test_restore);
  g_test_add_func ("/hook-program/other-operations", test_other_operations);
  g_test_add_func ("/hook-program/doubt", test_doubt);
  g_test_add_func ("/hook-program/long-document", test_long_document);
  g_test_add_func ("/hook-program/time-limit", test_time_limit);
  g_test_add_func ("/hook-program/hook-file", test_hook_file);
  return g_test_run ();
}
