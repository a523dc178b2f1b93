/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * daemon-start - how long a daemon takes until it is ready to hand over every domain of its host
 *
 * Once where no domain has a ticket in its metadata yet, and once where all have, as after a restart.
 * The yardstick is a program that does no more than ask libvirt the same questions.
 *
 *   daemon-start [DOMAINS]
 *   daemon-start --client ADDRESS DOMAINS CALLS     the yardstick, CALLS of 1 or 3 a domain
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "child-launcher.h"
#include "figures.h"
#include "libvirt-calls.h"
#include "load-host.h"
#include "names.h"

#define DOMAINS 1000
#define ROUNDS  5

/* the yardstick */

typedef struct {
  guint domains;
  guint calls;
  guint done;
  GMainLoop *loop;
} Client;

typedef struct {
  Client *client;
  char *uuid;
} Question;

static void
question_end (Question *question)
{
  Client *client = question->client;

  g_free (question->uuid);
  g_free (question);
  if (++client->done == client->domains)
    g_main_loop_quit (client->loop);
}

static void
on_element (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GError) error = NULL;

  if (!libvirt_set_element_finish (G_DBUS_CONNECTION (source), result, &error))
    g_error ("%s", error->message);
  question_end (user_data);
}

static void
on_state (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Question *question = user_data;
  LibvirtDomainState state;
  g_autoptr (GError) error = NULL;

  if (!libvirt_get_state_finish (G_DBUS_CONNECTION (source), result, &state, &error))
    g_error ("%s", error->message);
  libvirt_set_element_async (G_DBUS_CONNECTION (source), LIBVIRT_QEMU_PATH, question->uuid,
                             "<source address='127.0.0.1' port='1' pin='' ticket=''/>", NULL,
                             on_element, question);
}

static void
on_xml (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Question *question = user_data;
  g_autoptr (GError) error = NULL;
  g_autofree char *xml = libvirt_get_xml_finish (G_DBUS_CONNECTION (source), result, &error);

  g_assert_no_error (error);
  if (question->client->calls == 1)
    question_end (question);
  else
    libvirt_get_state_async (G_DBUS_CONNECTION (source), LIBVIRT_QEMU_PATH, question->uuid,
                             LIBVIRT_CALL_PATIENT, NULL, on_state, question);
}

/* Prints how many ms it took. */
static int
run_client (const char *address, guint domains, guint calls)
{
  g_autoptr (GMainLoop) loop = g_main_loop_new (NULL, FALSE);
  Client client = { .domains = domains, .calls = calls, .loop = loop };
  g_autoptr (GError) error = NULL;
  gint64 start_us = g_get_monotonic_time ();
  g_autoptr (GDBusConnection) bus = g_dbus_connection_new_for_address_sync (
    address,
    G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
    NULL, NULL, &error);

  g_assert_no_error (error);
  for (guint i = 0; i < domains; i++) {
    Question *question = g_new0 (Question, 1);

    *question = (Question){ .client = &client, .uuid = load_domain_uuid (i) };
    libvirt_get_xml_async (bus, LIBVIRT_QEMU_PATH, question->uuid, LIBVIRT_CALL_PATIENT, NULL,
                           on_xml, question);
  }
  g_main_loop_run (loop);
  printf ("%.3f\n", (double) (g_get_monotonic_time () - start_us) / 1000);
  return EXIT_SUCCESS;
}

/* measuring */

static void
on_client_done (GObject *source, GAsyncResult *result, gpointer user_data)
{
  char **output = user_data;
  g_autoptr (GError) error = NULL;

  g_subprocess_communicate_utf8_finish (G_SUBPROCESS (source), result, output, NULL, &error);
  g_assert_no_error (error);
}

static double
measure_client (LoadHost *host, guint domains, const char *calls)
{
  g_autoptr (GSubprocessLauncher) launcher = child_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE);
  g_autoptr (GSubprocess) process = NULL;
  g_autofree char *count = g_strdup_printf ("%u", domains);
  g_autofree char *output = NULL;
  g_autoptr (GError) error = NULL;

  process = g_subprocess_launcher_spawn (launcher, &error, "/proc/self/exe", "--client",
                                         private_bus_get_address (host->host->bus), count, calls,
                                         NULL);
  g_assert_no_error (error);
  g_subprocess_communicate_utf8_async (process, NULL, NULL, on_client_done, &output);
  LOAD_WAIT_UNTIL (output != NULL);
  return g_ascii_strtod (output, NULL);
}

/* From the start of the process until it has said of the last domain that it is ready. */
static void
measure_daemon (LoadHost *host, guint domains, GArray *elapsed_ms, GArray *cpu_ms)
{
  gint64 start_us = g_get_monotonic_time ();
  DaemonUse use;

  load_host_start_daemon (host);
  LOAD_WAIT_UNTIL (measured_daemon_count (host->daemon, "domain-ready") == domains);
  samples_add (elapsed_ms, (double) (g_get_monotonic_time () - start_us) / 1000);
  measured_daemon_read_use (host->daemon, &use);
  samples_add (cpu_ms, use.cpu_ms);
  load_host_stop_daemon (host);
}

static void
report (const char *how, guint domains, GArray *elapsed_ms, GArray *client_ms, GArray *cpu_ms)
{
  g_autofree char *what = g_strdup_printf ("%s, until %u domains are ready", how, domains);
  g_autofree char *cpu_what = g_strdup_printf ("%s, processor time of it", how);

  figure_print (&(Figure){
    .part = "daemon",
    .what = what,
    .unit = "ms",
    .samples = elapsed_ms,
    .against = "a program that asks libvirt the same",
    .control = client_ms,
  });
  figure_print (&(Figure){ .part = "daemon", .what = cpu_what, .unit = "ms", .samples = cpu_ms });
}

static void
forget_tickets (LoadHost *host, guint domains)
{
  for (guint i = 0; i < domains; i++) {
    g_autofree char *uuid = load_domain_uuid (i);

    stand_in_libvirt_set_element (host->host->libvirt, uuid, NULL);
  }
}

static void
measure (guint domains)
{
  g_autoptr (HelperFleet) fleet = helper_fleet_new (domains);
  g_autoptr (LoadHost) host = load_host_new ();
  g_autoptr (GArray) start_ms = samples_new ();
  g_autoptr (GArray) start_client_ms = samples_new ();
  g_autoptr (GArray) start_cpu_ms = samples_new ();
  g_autoptr (GArray) restart_ms = samples_new ();
  g_autoptr (GArray) restart_client_ms = samples_new ();
  g_autoptr (GArray) restart_cpu_ms = samples_new ();

  for (guint i = 0; i < domains; i++)
    load_host_add_domain (host, fleet, i, i);
  for (guint i = 0; i < ROUNDS; i++) {
    samples_add (start_client_ms, measure_client (host, domains, "3"));
    forget_tickets (host, domains);
    measure_daemon (host, domains, start_ms, start_cpu_ms);
    samples_add (restart_client_ms, measure_client (host, domains, "1"));
    measure_daemon (host, domains, restart_ms, restart_cpu_ms);
  }
  report ("first start", domains, start_ms, start_client_ms, start_cpu_ms);
  report ("restart", domains, restart_ms, restart_client_ms, restart_cpu_ms);
}

int
main (int argc, char **argv)
{
  if (argc == 5 && g_str_equal (argv[1], "--client"))
    return run_client (argv[2], (guint) atoi (argv[3]), (guint) atoi (argv[4]));
  measured_daemon_require ();
  measure (argc > 1 ? (guint) atoi (argv[1]) : DOMAINS);
  return EXIT_SUCCESS;
}
