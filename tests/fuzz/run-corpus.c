/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * run-corpus - a fuzzer's inputs, once each, as a test
 *
 * Every input that ever broke something is in the corpus, so that it breaks this test again, in a
 * build with any compiler. The arguments are folders of inputs, of which there must be one at least.
 */
#include <glib.h>

#include "fuzz-target.h"

static void
test_input (gconstpointer data)
{
  g_autofree char *contents = NULL;
  g_autofree uint8_t *input = NULL;
  g_autoptr (GError) error = NULL;
  gsize size = 0;

  g_file_get_contents (data, &contents, &size, &error);
  g_assert_no_error (error);
  /* as libFuzzer hands it over: without the NUL that GLib adds */
  input = g_memdup2 (contents, size);
  g_assert_cmpint (LLVMFuzzerTestOneInput (input, size), ==, 0);
}

static guint
add_folder (const char *folder)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) dir = g_dir_open (folder, 0, &error);
  const char *name;
  guint count = 0;

  g_assert_no_error (error);
  while ((name = g_dir_read_name (dir)) != NULL) {
    g_autofree char *test_path = g_strconcat ("/corpus/", name, NULL);

    g_test_add_data_func_full (test_path, g_build_filename (folder, name, NULL), test_input,
                               g_free);
    count++;
  }
  return count;
}

int
main (int argc, char **argv)
{
  guint count = 0;

  g_test_init (&argc, &argv, NULL);
  for (int i = 1; i < argc; i++)
    count += add_folder (argv[i]);
  if (count == 0)
    g_error ("no inputs in %s", argc > 1 ? argv[1] : "no folder");
  return g_test_run ();
}
