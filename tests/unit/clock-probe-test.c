/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * clock-probe-test - a host where nothing can be observed, and what a person is told there
 *
 * That something can be is for tests/kvm/observer-test.c.
 */

#include "clock-probe.h"

#include <gio/gio.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "temp-folder.h"

static void
on_told (gint32 pid, const struct clock_record *record, gsize size, enum observer_reason reason,
         guint32 detail, gpointer user_data)
{
  g_assert_not_reached ();
}

static void
expect_problem (const char *btf_dir, const char *problem)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (clock_probe_new (btf_dir, 0, on_told, NULL, &error));
  g_assert_nonnull (error);
  g_test_message ("%s", error->message);
  g_assert_nonnull (strstr (error->message, problem));
  g_assert_null (strchr (error->message, '\n'));
}

static void
write_file (const char *dir, const char *name, const char *content, gssize size)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);

  g_assert_true (g_file_set_contents (path, content, size, NULL));
}

static void
test_no_btf (void)
{
  char *dir = temp_folder_make ();

  expect_problem (dir, "CONFIG_DEBUG_INFO_BTF)");
  temp_folder_remove (dir);
}

static void
test_no_btf_of_kvm (void)
{
  char *dir = temp_folder_make ();

  /* types of a kernel without KVM */
  write_file (dir, "vmlinux", "\x9f\xeb\1\0\x18\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0", 25);
  expect_problem (dir, "CONFIG_DEBUG_INFO_BTF_MODULES");
  write_file (dir, "kvm", "no types", -1);
  expect_problem (dir, "the BTF of the module is not valid");
  temp_folder_remove (dir);
}

/* What libbpf says, or the kernel, is among what a person is told. */
static void
test_other_types (void)
{
  char *dir = temp_folder_make ();
  static const char types[] = "\x9f\xeb\1\0\x18\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0";

  write_file (dir, "vmlinux", types, 25);
  write_file (dir, "kvm", types, 25);
  if (geteuid () == 0)
    expect_problem (dir, "this kernel refused the observer's program: ");
  else
    expect_problem (dir, "lacks the capability");
  temp_folder_remove (dir);
}

static void
test_no_capability (void)
{
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
  struct __user_cap_data_struct before[2];
  struct __user_cap_data_struct none[2];

  g_assert_cmpint (syscall (SYS_capget, &header, before), ==, 0);
  memcpy (none, before, sizeof none);
  none[0].effective = none[1].effective = 0;
  g_assert_cmpint (syscall (SYS_capset, &header, none), ==, 0);
  if (g_file_test (CLOCK_PROBE_BTF_DIR "/vmlinux", G_FILE_TEST_EXISTS))
    expect_problem (CLOCK_PROBE_BTF_DIR, "CAP_BPF");
  else
    g_test_skip ("this kernel does not tell its types");
  g_assert_cmpint (syscall (SYS_capset, &header, before), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/clock-probe/no-btf", test_no_btf);
  g_test_add_func ("/clock-probe/no-btf-of-kvm", test_no_btf_of_kvm);
  g_test_add_func ("/clock-probe/other-types", test_other_types);
  g_test_add_func ("/clock-probe/no-capability", test_no_capability);
  return g_test_run ();
}
