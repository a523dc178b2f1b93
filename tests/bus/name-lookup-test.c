/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * name-lookup-test - what DNS says of a name, with and without systemd-resolved
 */
#include "name-lookup.h"

#include <sys/socket.h>

#include "ctl-check-bus.h"

#define RESOLVED_NAME "org.freedesktop.resolve1"
#define RESOLVED_PATH "/org/freedesktop/resolve1"

/* A name that DNS says nothing of (RFC 6761). */
#define NAME "alpha.invalid"

/* Any interface and family; DNS alone, and nothing that the host itself knows (2048). */
#define PAST_THIS_HOST "0/" NAME "/0/2049"

/* One address of four bytes, and one of sixteen. */
static GVariant *
make_answer (void)
{
  static const guint8 four[] = { 192, 0, 2, 7 };
  static const guint8 sixteen[] = { 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7 };
  GVariantBuilder addresses;

  g_variant_builder_init (&addresses, G_VARIANT_TYPE ("a(iiay)"));
  g_variant_builder_add (&addresses, "(ii@ay)", 2, AF_INET,
                         g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, four, sizeof four, 1));
  g_variant_builder_add (
    &addresses, "(ii@ay)", 2, AF_INET6,
    g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, sixteen, sizeof sixteen, 1));
  /* a family of another length is passed over */
  g_variant_builder_add (&addresses, "(ii@ay)", 2, AF_INET6,
                         g_variant_new_fixed_array (G_VARIANT_TYPE_BYTE, four, sizeof four, 1));
  return g_variant_new ("(a(iiay)st)", &addresses, NAME, G_GUINT64_CONSTANT (0x800001));
}

static void
assert_found (GPtrArray *found, const char *expected)
{
  g_autoptr (GString) texts = g_string_new (NULL);

  for (guint i = 0; i < found->len; i++) {
    g_autofree char *text = g_inet_address_to_string (g_ptr_array_index (found, i));

    g_string_append_printf (texts, "%s%s", i > 0 ? " " : "", text);
  }
  g_assert_cmpstr (texts->str, ==, expected);
}

/* Not what it would make up for this host's own name, nor what /etc/hosts says. */
static void
test_resolved (CheckFixture *fixture, gconstpointer data)
{
  g_autoptr (GPtrArray) unknown = NULL;
  g_autoptr (GPtrArray) found = NULL;

  check_bus_own (fixture->bus, RESOLVED_NAME);
  check_bus_fail (fixture->bus, RESOLVED_PATH, "ResolveHostname", NULL,
                  "org.freedesktop.resolve1.DnsError.NXDOMAIN", "'" NAME "' not found");
  unknown = name_lookup_by_dns (NAME, fixture->client);
  assert_found (unknown, "");

  check_bus_answer (fixture->bus, RESOLVED_PATH, "ResolveHostname", PAST_THIS_HOST, make_answer ());
  found = name_lookup_by_dns (NAME, fixture->client);
  assert_found (found, "192.0.2.7 2001:db8::7");
}

/* Nobody answers on the bus, or there is none: DNS is asked, and has no answer to this. */
static void
test_without_resolved (CheckFixture *fixture, gconstpointer data)
{
  g_autoptr (GPtrArray) found = name_lookup_by_dns (NAME, fixture->client);
  g_autoptr (GPtrArray) without_bus = name_lookup_by_dns (NAME, NULL);

  assert_found (found, "");
  assert_found (without_bus, "");
  g_assert_cmpuint (check_bus_count (fixture->bus, "ResolveHostname"), ==, 0);
}

/* An address is what it is, whoever is asked. */
static void
test_by_file (CheckFixture *fixture, gconstpointer data)
{
  g_autoptr (GPtrArray) here = name_lookup_here ("127.0.0.1");
  g_autoptr (GPtrArray) localhost = name_lookup_by_file ("localhost");
  g_autoptr (GPtrArray) unknown = name_lookup_by_file (NAME);

  assert_found (here, "127.0.0.1");
  g_assert_cmpuint (localhost->len, >, 0);
  g_assert_true (g_inet_address_get_is_loopback (g_ptr_array_index (localhost, 0)));
  assert_found (unknown, "");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(path, function)                                                                        \
  g_test_add ("/name-lookup/" path, CheckFixture, NULL, check_bus_set_up, function,                \
              check_bus_tear_down)
  ADD ("resolved", test_resolved);
  ADD ("without-resolved", test_without_resolved);
  ADD ("by-file", test_by_file);
#undef ADD
  return g_test_run ();
}
