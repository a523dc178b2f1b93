/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ctl-text - short texts that clockferryctl reads: the kernel's tables and version, times, offsets
 *
 * Each of its readers gets the whole input.
 */
#include <string.h>

#include "check-address.h"
#include "check-kvm.h"
#include "ctl-error.h"
#include "fuzz-target.h"
#include "migration-json.h"
#include "output.h"
#include "time-option.h"

#define PORT 16520
/* 2023-11-14 22:13:20 UTC */
#define NOW_US G_GINT64_CONSTANT (1700000000000000)

/* /proc/net/tcp */
static void
check_listeners (const char *text)
{
  g_autoptr (GArray) uids = g_array_new (FALSE, FALSE, sizeof (guint));
  guint lines = 1;

  for (const char *c = text; *c != '\0'; c++)
    lines += *c == '\n';
  check_address_find_listeners (text, PORT, uids);
  g_assert_cmpuint (uids->len, <=, lines);
}

/* --since, --until */
static void
check_time (const char *text)
{
  g_autoptr (GError) error = NULL;
  gint64 us = 0;

  if (time_option_parse ("--since", text, NOW_US, &us, &error)) {
    g_assert_no_error (error);
    g_assert_cmpint (us, >=, 0);
    g_assert_true (*text != '-' || us <= NOW_US);
  } else {
    g_assert_error (error, CTL_ERROR, CTL_ERROR_INVALID);
  }
}

/* CLOCKFERRY_OFFSETS */
static void
check_offsets (const char *text)
{
  g_autoptr (GArray) offsets = migration_offsets_parse (text);

  /* "0:0:0:0" and a space is as short as they get */
  g_assert_cmpuint (offsets->len, <=, strlen (text) / 8 + 1);
}

static void
check_clean (const char *text)
{
  g_autofree char *clean = output_clean (text);

  g_assert_true (g_utf8_validate (clean, -1, NULL));
  for (const char *c = clean; *c != '\0'; c = g_utf8_next_char (c))
    g_assert_false (g_unichar_iscntrl (g_utf8_get_char (c)));
  (void) output_width (clean);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *text = fuzz_take_text (data, size);

  fuzz_begin ();
  check_listeners (text);
  check_time (text);
  check_offsets (text);
  check_clean (text);
  (void) check_kvm_release_is_new (text);
  return 0;
}
