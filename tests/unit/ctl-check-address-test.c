/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is said of the address that other hosts are told, and of the port.
 */
#include "check-address.h"

#include <pwd.h>
#include <unistd.h>

#include "build-config.h"
#include "check-host.h"
#include "ctl-check-expect.h"
#include "ctl-check-fixture.h"

/* @addresses: with spaces between, or NULL. */
static GPtrArray *
make_addresses (const char *addresses)
{
  g_auto (GStrv) words = NULL;
  GPtrArray *array;

  if (addresses == NULL)
    return NULL;
  words = g_strsplit (addresses, " ", -1);
  array = g_ptr_array_new_with_free_func (g_object_unref);
  for (guint i = 0; words[i] != NULL && *words[i] != '\0'; i++)
    g_ptr_array_add (array, g_inet_address_new_from_string (words[i]));
  return array;
}

static void
judge_address (CheckFixture *fixture, const char *name, const char *found, const char *by_file,
               const char *by_dns)
{
  g_autoptr (GPtrArray) found_array = make_addresses (found);
  g_autoptr (GPtrArray) file_array = make_addresses (by_file);
  g_autoptr (GPtrArray) dns_array = make_addresses (by_dns);
  g_autoptr (GPtrArray) local = make_addresses ("127.0.0.1 ::1 192.0.2.7 2001:db8::7");
  const AddressFacts facts = {
    .name = name,
    .found = found_array,
    .by_file = file_array,
    .by_dns = dns_array,
    .local = local,
    .outward = "192.0.2.7",
  };

  check_fixture_restart (fixture);
  check_list_begin (fixture->list, "address", "address");
  check_address_judge (&facts, fixture->list);
}

#define SET_ADDRESS                                                                                \
  "mkdir -p " CLOCKFERRY_CONFIG_FILE                                                               \
  ".d && printf '[clockferry]\\nAddress=192.0.2.7\\n' > " CLOCKFERRY_CONFIG_FILE                   \
  ".d/address.conf && systemctl restart clockferryd"

static void
test_address (CheckFixture *fixture, gconstpointer data)
{
  judge_address (fixture, "192.0.2.7", "192.0.2.7", NULL, NULL);
  check_expect (fixture->list, "address", CHECK_OK, "192.0.2.7", NULL);
  judge_address (fixture, "198.51.100.1", "198.51.100.1", NULL, NULL);
  check_expect (fixture->list, "address", CHECK_WARNING, "no address of this host", SET_ADDRESS);
  judge_address (fixture, "127.0.0.1", "127.0.0.1", NULL, NULL);
  check_expect (fixture->list, "address", CHECK_WARNING, "nothing but this host", SET_ADDRESS);

  judge_address (fixture, "alpha.example", "192.0.2.7", "", "192.0.2.7");
  check_expect (fixture->list, "address", CHECK_OK, "alpha.example, which is 192.0.2.7 by DNS",
                NULL);
  judge_address (fixture, "alpha.example", "127.0.0.1 2001:db8::7", "127.0.0.1", "2001:db8::7");
  check_expect (fixture->list, "address", CHECK_OK, "2001:db8::7 by DNS", NULL);
  judge_address (fixture, "alpha.example", "198.51.100.1", "", "198.51.100.1");
  check_expect (fixture->list, "address", CHECK_WARNING, "no address of this host", SET_ADDRESS);
  judge_address (fixture, "alpha", "", "", "");
  check_expect (fixture->list, "address", CHECK_WARNING, "does not know", SET_ADDRESS);
}

/* Debian's own /etc/hosts, one that an administrator keeps, and what no file says. */
static void
test_address_by_file (CheckFixture *fixture, gconstpointer data)
{
  judge_address (fixture, "alpha", "127.0.1.1", "127.0.1.1", "192.0.2.7");
  check_expect (fixture->list, "address", CHECK_OK, "by DNS", NULL);
  judge_address (fixture, "alpha", "127.0.1.1", "127.0.1.1", "");
  check_expect (fixture->list, "address", CHECK_WARNING, "DNS does not know it", SET_ADDRESS);
  judge_address (fixture, "alpha", "127.0.1.1", "127.0.1.1", "198.51.100.1");
  check_expect (fixture->list, "address", CHECK_WARNING, "no address of this host", SET_ADDRESS);

  judge_address (fixture, "alpha", "192.0.2.7", "192.0.2.7", "");
  check_expect (fixture->list, "address", CHECK_OK, "192.0.2.7 by /etc/hosts, not by DNS", NULL);
  judge_address (fixture, "alpha", "192.0.2.7", "192.0.2.7", "198.51.100.1");
  check_expect (fixture->list, "address", CHECK_OK, "192.0.2.7 by /etc/hosts, not by DNS", NULL);

  /* nss-myhostname, or systemd-resolved: what every host says of its own name */
  judge_address (fixture, "alpha", "192.0.2.7 2001:db8::7", "", "");
  check_expect (fixture->list, "address", CHECK_WARNING, "gives to itself", SET_ADDRESS);
  judge_address (fixture, "alpha", "192.0.2.7", "", "198.51.100.1");
  check_expect (fixture->list, "address", CHECK_WARNING, "no address of this host", SET_ADDRESS);
  judge_address (fixture, "alpha.local", "192.0.2.7", "", "");
  check_expect (fixture->list, "address", CHECK_OK, "alpha.local, which is 192.0.2.7", NULL);
}

static void
test_listeners (void)
{
  static const char table[] = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when "
                              "retrnsmt   uid  timeout inode\n"
                              "   0: 00000000:4088 00000000:0000 0A 00000000:00000000 00:00000000 "
                              "00000000   998        0 1 1\n"
                              "   1: 0100007F:4088 0100007F:9C40 01 00000000:00000000 00:00000000 "
                              "00000000  1000        0 2 1\n"
                              "   2: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 "
                              "00000000     0        0 3 1\n";
  static const char table6[] =
    "  sl  local_address                         remote_address                        st ...\n"
    "   0: 00000000000000000000000000000000:4088 00000000000000000000000000000000:0000 0A "
    "00000000:00000000 00:00000000 00000000     7        0 4 1 0 100 0 0 10 0\n";
  g_autoptr (GArray) uids = g_array_new (FALSE, FALSE, sizeof (guint));

  check_address_find_listeners (table, 16520, uids);
  check_address_find_listeners (table6, 16520, uids);
  g_assert_cmpuint (uids->len, ==, 2);
  g_assert_cmpuint (g_array_index (uids, guint, 0), ==, 998);
  g_assert_cmpuint (g_array_index (uids, guint, 1), ==, 7);
}

/* By this machine's own table: a socket of ours is somebody's, and not the daemon's. */
static void
test_port (void)
{
  const struct passwd *user = getpwnam (CLOCKFERRY_USER);
  g_autoptr (GSocketListener) listener = g_socket_listener_new ();
  g_autoptr (CheckHost) host = check_host_new_for_test ("", NULL);
  g_autoptr (CheckList) list = check_list_new (NULL, NULL);
  g_autoptr (CheckList) after = check_list_new (NULL, NULL);
  g_autoptr (GError) error = NULL;
  g_autofree char *remedy = NULL;
  guint16 port = g_socket_listener_add_any_inet_port (listener, NULL, &error);

  g_assert_no_error (error);
  remedy = g_strdup_printf ("ss -ltnp 'sport = :%u'", port);
  host->settings = settings_load ("/nonexistent/clockferry.conf", &error);
  g_assert_no_error (error);
  host->settings->port = port;
  check_address (host, list);
  if (user == NULL || user->pw_uid != geteuid ())
    check_expect (list, "port", CHECK_FAILURE, "another program", remedy);
  else
    check_expect (list, "port", CHECK_OK, NULL, NULL);
  g_assert_nonnull (check_expect_find (list, "address"));

  g_socket_listener_close (listener);
  check_address (host, after);
  check_expect_none (after, "port");
  check_expect_commands (list);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/ctl-check-address/address", CheckFixture, NULL, check_fixture_set_up, test_address,
              check_fixture_tear_down);
  g_test_add ("/ctl-check-address/address-by-file", CheckFixture, NULL, check_fixture_set_up,
              test_address_by_file, check_fixture_tear_down);
  g_test_add_func ("/ctl-check-address/listeners", test_listeners);
  g_test_add_func ("/ctl-check-address/port", test_port);
  return g_test_run ();
}
