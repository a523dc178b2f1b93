/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * daemon-test - the real daemon with one libvirt: adopting domains, and making sense of events
 */

#include <string.h>

#include "bus-host.h"
#include "domain-info.h"
#include "identity.h"
#include "names.h"
#include "temp-folder.h"
#include "wait-until.h"

typedef struct {
  BusHost *host;
  DaemonProcess *daemon;
} Fixture;

static void
set_up_host (Fixture *fixture, gconstpointer data)
{
  fixture->host = bus_host_new ();
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  set_up_host (fixture, data);
  fixture->daemon = bus_host_start_daemon (fixture->host);
  WAIT_UNTIL (daemon_process_count (fixture->daemon, "libvirt-connected", NULL) == 1);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  g_clear_pointer (&fixture->daemon, daemon_process_stop);
  g_clear_pointer (&fixture->host, bus_host_free);
}

static void
emit (Fixture *fixture, const char *uuid, int event, int detail)
{
  g_assert_true (stand_in_libvirt_emit (fixture->host->libvirt, uuid, event, detail));
}

static guint
count (Fixture *fixture, const char *event, const char *text)
{
  return daemon_process_count (fixture->daemon, event, text);
}

/* what the destination would read */
static DomainInfo *
read_element (Fixture *fixture, const char *uuid)
{
  g_autofree char *xml =
    g_strdup_printf ("<domain type='kvm'><name>x</name><uuid>%s</uuid><metadata>%s</metadata>"
                     "</domain>",
                     uuid, stand_in_libvirt_get_element (fixture->host->libvirt, uuid));
  g_autoptr (GError) error = NULL;
  DomainInfo *info = domain_info_parse (xml, &error);

  g_assert_no_error (error);
  g_assert_cmpstr (info->source_problem, ==, NULL);
  g_assert_nonnull (info->source);
  return info;
}

/* adopting */

static void
test_advertises (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->host->libvirt;
  g_autoptr (GTlsCertificate) identity = NULL;
  g_autoptr (DomainInfo) info = NULL;
  g_autofree char *pin = NULL;
  const char *prefix, *uri;
  gint32 type;
  guint32 flags;

  stand_in_libvirt_add_domain (libvirt, WEB, "web", ID_OF (1));
  fixture->daemon = bus_host_start_daemon (fixture->host);
  WAIT_UNTIL (stand_in_libvirt_get_element (libvirt, WEB) != NULL);

  g_variant_get (stand_in_libvirt_get_set_metadata (libvirt, WEB), "(i&s&s&su)", &type, NULL,
                 &prefix, &uri, &flags);
  g_assert_cmpint (type, ==, 2);   /* VIR_DOMAIN_METADATA_ELEMENT */
  g_assert_cmpuint (flags, ==, 1); /* VIR_DOMAIN_AFFECT_LIVE alone: CONFIG would outlive the VM */
  g_assert_cmpstr (prefix, ==, "clockferry");
  g_assert_cmpstr (uri, ==, "https://clockferry.org/domain/1");

  info = read_element (fixture, WEB);
  identity = identity_load (fixture->host->folder, NULL);
  pin = identity_pin (identity, NULL);
  g_assert_cmpstr (info->source->address, ==, "127.0.0.1");
  g_assert_cmpuint (info->source->port, ==, fixture->host->port);
  g_assert_cmpstr (info->source->pin, ==, pin);
  /* no such QEMU on this machine */
  WAIT_UNTIL (count (fixture, "domain-not-ready", "DOMAIN=" WEB) == 1);
}

static void
test_reuses_ticket (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->host->libvirt;
  g_autofree char *before = NULL;

  bus_host_boot_and_wait (fixture->host, WEB, "web", ID_OF (1));
  before = g_strdup (stand_in_libvirt_get_element (libvirt, WEB));
  daemon_process_stop (fixture->daemon);
  fixture->daemon = bus_host_start_daemon (fixture->host);
  WAIT_UNTIL (stand_in_libvirt_count (libvirt, "GetXMLDesc", WEB) == 2);

  bus_host_boot_and_wait (fixture->host, MAIL, "mail", ID_OF (2));
  g_assert_cmpuint (stand_in_libvirt_count (libvirt, "SetMetadata", WEB), ==, 1);
  g_assert_cmpstr (stand_in_libvirt_get_element (libvirt, WEB), ==, before);
  g_assert_cmpstr (stand_in_libvirt_get_element (libvirt, MAIL), !=, before);
}

static void
test_replaces_foreign_element (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->host->libvirt;
  g_autoptr (DomainInfo) before = NULL;
  g_autoptr (DomainInfo) after = NULL;
  g_autofree char *foreign = NULL;

  bus_host_boot_and_wait (fixture->host, MAIL, "mail", ID_OF (2));
  before = read_element (fixture, MAIL);
  before->source->port ^= 1;
  foreign = g_strdup_printf ("<c:source xmlns:c='" CLOCKFERRY_DOMAIN_NS
                             "' address='127.0.0.1' port='%u' pin='%s' ticket='%s'/>",
                             before->source->port, before->source->pin, before->source->ticket);
  stand_in_libvirt_add_domain (libvirt, WEB, "web", ID_OF (1));
  stand_in_libvirt_set_element (libvirt, WEB, foreign);
  emit (fixture, WEB, STARTED_BOOTED);
  WAIT_UNTIL (stand_in_libvirt_count (libvirt, "SetMetadata", WEB) == 1);

  WAIT_UNTIL (!g_str_equal (stand_in_libvirt_get_element (libvirt, WEB), foreign));
  after = read_element (fixture, WEB);
  g_assert_cmpuint (after->source->port, ==, fixture->host->port);
  g_assert_cmpstr (after->source->ticket, !=, before->source->ticket);
}

/* QEMU emulates its clocks: nothing to hand over, and nothing to warn of */
static void
test_emulated_domain (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->host->libvirt;

  stand_in_libvirt_add_domain (libvirt, WEB, "web", ID_OF (1));
  stand_in_libvirt_set_type (libvirt, WEB, "qemu");
  emit (fixture, WEB, STARTED_BOOTED);
  WAIT_UNTIL (stand_in_libvirt_count (libvirt, "GetXMLDesc", WEB) == 1);
  bus_host_boot_and_wait (fixture->host, MAIL, "mail", ID_OF (2));

  g_assert_cmpuint (stand_in_libvirt_count (libvirt, "SetMetadata", WEB), ==, 0);
  g_assert_cmpuint (count (fixture, "domain-not-ready", "DOMAIN=" WEB), ==, 0);
}

/* The same on its way: no report may claim anything for it, not even at the source. */
static void
test_emulated_migrations (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->host->libvirt;

  stand_in_libvirt_add_domain (libvirt, WEB, "web", ID_OF (1));
  stand_in_libvirt_set_type (libvirt, WEB, "qemu");
  stand_in_libvirt_set_policy (libvirt, WEB,
                               "<p:policy xmlns:p='" CLOCKFERRY_POLICY_NS "' mode='bad'/>");
  stand_in_libvirt_set_state (libvirt, WEB, STATE_PAUSED_MIGRATION);
  emit (fixture, WEB, STARTED_MIGRATED);
  WAIT_UNTIL (stand_in_libvirt_count (libvirt, "GetXMLDesc", WEB) == 1);
  bus_host_boot_and_wait (fixture->host, MAIL, "mail", ID_OF (2));
  stand_in_libvirt_set_state (libvirt, WEB, STATE_RUNNING);
  emit (fixture, WEB, RESUMED_MIGRATED);
  WAIT_UNTIL (stand_in_libvirt_count (libvirt, "GetXMLDesc", WEB) == 2);
  emit (fixture, WEB, SUSPENDED_MIGRATED);
  emit (fixture, WEB, RESUMED_MIGRATED);
  emit (fixture, WEB, SUSPENDED_MIGRATED);
  emit (fixture, WEB, STOPPED_MIGRATED);
  emit (fixture, WEB, STARTED_MIGRATED);
  WAIT_UNTIL (stand_in_libvirt_count (libvirt, "GetXMLDesc", WEB) == 4);
  bus_host_boot_and_wait (fixture->host, OTHER, "other", ID_OF (3));
  emit (fixture, WEB, STOPPED_FAILED);
  stand_in_libvirt_remove_domain (libvirt, MAIL);
  bus_host_boot_and_wait (fixture->host, MAIL, "mail", ID_OF (4));

  g_assert_cmpuint (count (fixture, NULL, "DOMAIN=" WEB), ==, 0);
}

/* While a migration runs SetMetadata is masked; the end of the job is the time to try again. */
static void
test_refused_metadata (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->host->libvirt;

  stand_in_libvirt_add_domain (libvirt, WEB, "web", ID_OF (1));
  stand_in_libvirt_fail (libvirt, "SetMetadata", "cannot acquire state change lock");
  emit (fixture, WEB, STARTED_BOOTED);
  WAIT_UNTIL (count (fixture, "domain-not-ready", "cannot acquire state change lock") == 1);
  g_assert_cmpuint (count (fixture, "domain-not-ready", "SetMetadata failed: "), ==, 1);

  stand_in_libvirt_fail (libvirt, "SetMetadata", NULL);
  emit (fixture, WEB, SUSPENDED_MIGRATED);
  emit (fixture, WEB, RESUMED_MIGRATED);
  WAIT_UNTIL (stand_in_libvirt_get_element (libvirt, WEB) != NULL);
  g_assert_cmpuint (count (fixture, "departure-rolled-back", "DOMAIN=" WEB), ==, 1);
}

/* The domain is gone when libvirt answers at last. */
static void
test_late_answers (Fixture *fixture, gconstpointer data)
{
  static const char *const methods[] = { "GetXMLDesc", "GetState", "SetMetadata" };
  StandInLibvirt *libvirt = fixture->host->libvirt;

  for (gsize i = 0; i < G_N_ELEMENTS (methods); i++) {
    guint before = stand_in_libvirt_count (libvirt, methods[i], WEB);

    stand_in_libvirt_add_domain (libvirt, WEB, "web", ID_OF (1));
    stand_in_libvirt_hold (libvirt, methods[i]);
    emit (fixture, WEB, STARTED_BOOTED);
    WAIT_UNTIL (stand_in_libvirt_count (libvirt, methods[i], WEB) == before + 1);
    emit (fixture, WEB, STOPPED_DESTROYED);
    stand_in_libvirt_remove_domain (libvirt, WEB);
    stand_in_libvirt_release (libvirt);
  }
  bus_host_boot_and_wait (fixture->host, MAIL, "mail", ID_OF (2));
  g_assert_cmpuint (count (fixture, "domain-not-ready", "GetState"), ==, 0);
  g_assert_cmpuint (count (fixture, "domain-not-ready", "SetMetadata"), ==, 0);
}

/* events */

static void
arrive (Fixture *fixture)
{
  StandInLibvirt *libvirt = fixture->host->libvirt;

  stand_in_libvirt_add_domain (libvirt, WEB, "web", ID_OF (1));
  stand_in_libvirt_set_state (libvirt, WEB, STATE_PAUSED_MIGRATION);
  emit (fixture, WEB, STARTED_MIGRATED);
  WAIT_UNTIL (count (fixture, "arrival-step-failed", "STEP=helper") == 1);
}

static void
test_events_twice (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->host->libvirt;

  arrive (fixture);
  emit (fixture, WEB, STARTED_MIGRATED);
  stand_in_libvirt_set_state (libvirt, WEB, STATE_RUNNING);
  emit (fixture, WEB, RESUMED_MIGRATED);
  emit (fixture, WEB, RESUMED_MIGRATED);
  WAIT_UNTIL (stand_in_libvirt_get_element (libvirt, WEB) != NULL);
  emit (fixture, WEB, SUSPENDED_MIGRATED);
  emit (fixture, WEB, SUSPENDED_MIGRATED);
  emit (fixture, WEB, STOPPED_MIGRATED);
  emit (fixture, WEB, STOPPED_MIGRATED);
  bus_host_boot_and_wait (fixture->host, MAIL, "mail", ID_OF (2));

  g_assert_cmpuint (count (fixture, "arrival-announced", NULL), ==, 1);
  g_assert_cmpuint (count (fixture, "arrival-step-failed", "STEP=source-element"), ==, 1);
  g_assert_cmpuint (count (fixture, "migration-stock", NULL), ==, 1);
  g_assert_cmpuint (count (fixture, "migration-stock", "STEP=helper"), ==, 1);
  g_assert_cmpuint (count (fixture, "departure-unclaimed", "DOMAIN=" WEB), ==, 1);
}

static void
test_odd_events (Fixture *fixture, gconstpointer data)
{
  for (int event = -1; event <= 12; event++) {
    for (int detail = -1; detail <= 12; detail++)
      emit (fixture, OTHER, event, detail);
  }
  emit (fixture, OTHER, G_MAXINT, G_MININT);
  emit (fixture, OTHER, STOPPED_DESTROYED);
  bus_host_boot_and_wait (fixture->host, MAIL, "mail", ID_OF (2));

  g_assert_cmpuint (count (fixture, "migration-fixed", NULL), ==, 0);
  /* the one STARTED/MIGRATED among them was followed by other ends of it */
  g_assert_cmpuint (
    count (fixture, "migration-stock", NULL) + count (fixture, "arrival-abandoned", NULL), ==, 1);
}

static void
test_out_of_order (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->host->libvirt;

  /* the end of a life before its beginning: nobody's departure */
  emit (fixture, WEB, STOPPED_MIGRATED);
  emit (fixture, WEB, RESUMED_MIGRATED);
  WAIT_UNTIL (count (fixture, "domain-not-ready", "Domain not found") == 1);
  arrive (fixture);
  stand_in_libvirt_set_state (libvirt, WEB, STATE_RUNNING);
  emit (fixture, WEB, RESUMED_POSTCOPY);
  emit (fixture, WEB, RESUMED_MIGRATED);
  bus_host_boot_and_wait (fixture->host, MAIL, "mail", ID_OF (2));

  g_assert_cmpuint (count (fixture, "departure-unclaimed", NULL), ==, 0);
  g_assert_cmpuint (count (fixture, "migration-stock", NULL), ==, 1);
}

static void
test_arrived_paused (Fixture *fixture, gconstpointer data)
{
  arrive (fixture);
  emit (fixture, WEB, SUSPENDED_PAUSED);
  WAIT_UNTIL (count (fixture, "migration-stock", "REASON=arrived-paused") == 1);
}

static void
test_did_not_arrive (Fixture *fixture, gconstpointer data)
{
  arrive (fixture);
  emit (fixture, WEB, STOPPED_FAILED);
  WAIT_UNTIL (count (fixture, "arrival-abandoned", "DOMAIN=" WEB) == 1);
  g_assert_cmpuint (count (fixture, "migration-stock", NULL), ==, 0);
}

/* The daemon comes up in mid-migration. */
static void
test_arriving_at_start (Fixture *fixture, gconstpointer data)
{
  stand_in_libvirt_add_domain (fixture->host->libvirt, WEB, "web", ID_OF (1));
  stand_in_libvirt_set_state (fixture->host->libvirt, WEB, STATE_PAUSED_MIGRATION);
  fixture->daemon = bus_host_start_daemon (fixture->host);
  WAIT_UNTIL (count (fixture, "arrival-announced", "DOMAIN=" WEB) == 1);
}

/* One guest's clock is not for two to set. */
static void
test_second_daemon (Fixture *fixture, gconstpointer data)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  DaemonProcess *second = daemon_process_try (folder, private_bus_get_address (fixture->host->bus),
                                              daemon_process_reserve_port ());

  g_assert_cmpuint (daemon_process_count (second, "daemon-ready", NULL), ==, 0);
  g_assert_cmpuint (daemon_process_count (second, NULL, "another clockferryd runs on this host"),
                    ==, 1);
  g_assert_cmpint (daemon_process_wait (second), ==, 1);

  /* the first one does not mind */
  bus_host_boot_and_wait (fixture->host, WEB, "web", ID_OF (1));
}

/* It came up in mid-migration on the other side: the first event of a domain that is leaving. */
static void
test_leaving_at_first_sight (Fixture *fixture, gconstpointer data)
{
  StandInLibvirt *libvirt = fixture->host->libvirt;

  stand_in_libvirt_add_domain (libvirt, WEB, "web", ID_OF (1));
  stand_in_libvirt_set_state (libvirt, WEB, STATE_PAUSED_MIGRATION);
  emit (fixture, WEB, SUSPENDED_MIGRATED);
  WAIT_UNTIL (stand_in_libvirt_count (libvirt, "GetState", WEB) == 1);
  bus_host_boot_and_wait (fixture->host, MAIL, "mail", ID_OF (2));
  emit (fixture, WEB, STOPPED_MIGRATED);
  WAIT_UNTIL (count (fixture, "departure-unclaimed", "DOMAIN=" WEB) == 1);
  g_assert_cmpuint (count (fixture, "arrival-announced", NULL), ==, 0);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

#define ADD(path, start, function)                                                                 \
  g_test_add ("/daemon/" path, Fixture, NULL, start, function, tear_down)
  ADD ("advertises", set_up_host, test_advertises);
  ADD ("reuses-ticket", set_up, test_reuses_ticket);
  ADD ("replaces-foreign-element", set_up, test_replaces_foreign_element);
  ADD ("emulated-domain", set_up, test_emulated_domain);
  ADD ("emulated-migrations", set_up, test_emulated_migrations);
  ADD ("refused-metadata", set_up, test_refused_metadata);
  ADD ("late-answers", set_up, test_late_answers);
  ADD ("events/twice", set_up, test_events_twice);
  ADD ("events/odd", set_up, test_odd_events);
  ADD ("events/out-of-order", set_up, test_out_of_order);
  ADD ("arrived-paused", set_up, test_arrived_paused);
  ADD ("did-not-arrive", set_up, test_did_not_arrive);
  ADD ("arriving-at-start", set_up_host, test_arriving_at_start);
  ADD ("leaving-at-first-sight", set_up, test_leaving_at_first_sight);
  ADD ("second-daemon", set_up, test_second_daemon);
#undef ADD
  return g_test_run ();
}
