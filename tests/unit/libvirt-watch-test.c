/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libvirt-watch-test - the pure part of the watch; the rest is in tests/bus
 */

#include "libvirt-watch.h"

#define UUID "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"

static void
test_path (void)
{
  g_autofree char *uuid =
    libvirt_watch_parse_path ("/org/libvirt/QEMU/domain/_4dea22b3_1d52_d8f3_2516_782e98ab3fa0");
  g_autofree char *upper =
    libvirt_watch_parse_path ("/org/libvirt/Test/domain/_4DEA22B3_1D52_D8F3_2516_782E98AB3FA0");

  g_assert_cmpstr (uuid, ==, UUID);
  g_assert_cmpstr (upper, ==, UUID);
}

static void
test_not_a_domain (void)
{
  const char *const paths[] = {
    "",
    "/",
    "/org/libvirt/QEMU",
    "/org/libvirt/QEMU/domain/_",
    "/org/libvirt/QEMU/domain/4dea22b3_1d52_d8f3_2516_782e98ab3fa0",
    "/org/libvirt/QEMU/domain/_4dea22b3_1d52_d8f3_2516_782e98ab3fa",
    "/org/libvirt/QEMU/domain/_4dea22b3_1d52_d8f3_2516_782e98ab3fa00",
    "/org/libvirt/QEMU/domain/_4dea22b31d52d8f32516782e98ab3fa0",
    "/org/libvirt/QEMU/domain/_4dea22b3_1d52_d8f3_2516_782e98ab3fag",
    "_4dea22b3_1d52_d8f3_2516_782e98ab3fa0",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (paths); i++) {
    g_autofree char *uuid = libvirt_watch_parse_path (paths[i]);

    g_assert_cmpstr (uuid, ==, NULL);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/libvirt-watch/path", test_path);
  g_test_add_func ("/libvirt-watch/not-a-domain", test_not_a_domain);
  return g_test_run ();
}
