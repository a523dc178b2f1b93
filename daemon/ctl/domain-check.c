/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain-check.h"

#include <glib/gi18n.h>

#include "check-remedy.h"
#include "ctl-config.h"
#include "ctl-error.h"
#include "names.h"

#define CALL_TIMEOUT_MS 30000 /* libvirt waits as long for a domain that something else holds */

#define XML_INACTIVE 2u /* VIR_DOMAIN_XML_INACTIVE */

/* that of a user who is not root asks the session's libvirt unless told */
#define VIRSH "virsh -c qemu:///system"

#define DAEMON_BUS_NAME     "org.clockferry1"
#define DAEMON_DOMAIN_PATH  "/org/clockferry1/domain/_"
#define DAEMON_DOMAIN_IFACE "org.clockferry1.Domain"

static const char *const verdict_names[] = {
  [DOMAIN_FIXED] = "fixed",
  [DOMAIN_OBSERVED] = "observed",
  [DOMAIN_STOCK] = "stock",
  [DOMAIN_EMULATED] = "emulated",
};

/* asking libvirt */

static GVariant *
call_libvirt (GDBusConnection *bus, const char *path, const char *iface, const char *method,
              GVariant *parameters, const char *reply_type, GError **error)
{
  GVariant *reply = g_dbus_connection_call_sync (
    bus, LIBVIRT_BUS_NAME, path, iface, method, parameters, G_VARIANT_TYPE (reply_type),
    G_DBUS_CALL_FLAGS_NONE, CALL_TIMEOUT_MS, NULL, error);

  if (reply == NULL && error != NULL)
    g_dbus_error_strip_remote_error (*error);
  return reply;
}

static void
set_ask_error (GError **error, const GError *cause)
{
  if (g_error_matches (cause, G_DBUS_ERROR, G_DBUS_ERROR_ACCESS_DENIED))
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED,
                 _ ("only root and members of the group libvirt may ask libvirt-dbus: try "
                    "sudo clockferryctl check"));
  else
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED,
                 _ ("libvirt could not be asked: %s; see clockferryctl check"), cause->message);
}

/* Object path of @domain, or NULL. */
static char *
look_up (GDBusConnection *bus, const char *domain, GError **error)
{
  const char *method = g_uuid_string_is_valid (domain) ? "DomainLookupByUUID"
                                                       : "DomainLookupByName";
  g_autoptr (GError) cause = NULL;
  g_autoptr (GVariant) reply = NULL;
  char *path;

  reply = call_libvirt (bus, LIBVIRT_QEMU_PATH, LIBVIRT_CONNECT_IFACE, method,
                        g_variant_new ("(s)", domain), "(o)", &cause);
  if (reply != NULL) {
    g_variant_get (reply, "(o)", &path);
    return path;
  }
  /* libvirt-dbus hands out no error codes: that libvirt answers something else tells it apart */
  reply = call_libvirt (bus, LIBVIRT_QEMU_PATH, LIBVIRT_CONNECT_IFACE, "ListDomains",
                        g_variant_new ("(u)", 0u), "(ao)", NULL);
  if (reply != NULL)
    g_set_error (error, CTL_ERROR, CTL_ERROR_NOT_FOUND,
                 _ ("there is no domain “%s” here; clockferryctl list shows those that run"),
                 domain);
  else
    set_ask_error (error, cause);
  return NULL;
}

static DomainFacts *
read_facts (GDBusConnection *bus, const char *path, guint flags, GError **error)
{
  g_autoptr (GError) cause = NULL;
  g_autoptr (GVariant) reply = call_libvirt (bus, path, LIBVIRT_DOMAIN_IFACE, "GetXMLDesc",
                                             g_variant_new ("(u)", flags), "(s)", &cause);
  DomainFacts *facts = NULL;
  const char *xml;

  if (reply != NULL) {
    g_variant_get (reply, "(&s)", &xml);
    facts = domain_facts_parse (xml, &cause);
  }
  if (facts == NULL)
    set_ask_error (error, cause);
  return facts;
}

/* asking the daemon */

static void
read_state (GDBusConnection *bus, const char *uuid, DomainState *state)
{
  g_autofree char *path = g_strconcat (DAEMON_DOMAIN_PATH, uuid, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) reply = NULL;
  g_autoptr (GVariant) properties = NULL;
  const char *problem = "";

  g_strdelimit (path, "-", '_');
  reply = g_dbus_connection_call_sync (
    bus, DAEMON_BUS_NAME, path, "org.freedesktop.DBus.Properties", "GetAll",
    g_variant_new ("(s)", DAEMON_DOMAIN_IFACE), G_VARIANT_TYPE ("(a{sv})"),
    G_DBUS_CALL_FLAGS_NO_AUTO_START, CALL_TIMEOUT_MS, NULL, &error);
  if (reply == NULL) {
    g_dbus_error_strip_remote_error (error);
    state->problem = g_strdup (error->message);
    return;
  }
  properties = g_variant_get_child_value (reply, 0);
  state->is_known = TRUE;
  (void) g_variant_lookup (properties, "Ready", "b", &state->is_ready);
  (void) g_variant_lookup (properties, "HelperConnected", "b", &state->has_link);
  (void) g_variant_lookup (properties, "Problem", "&s", &problem);
  state->problem = *problem != '\0' ? g_strdup (problem) : NULL;
}

/* judging */

static void
judge_type (const DomainFacts *facts, CheckList *list)
{
  check_list_begin (list, "domain-type", _ ("kind of domain"));
  if (facts->is_kvm)
    check_list_ok (list, _ ("a guest of KVM"));
  else
    check_list_warn (list, NULL,
                     _ ("it is emulated: QEMU keeps its clocks itself, and they are left alone"));
}

/* Its QEMU has been started without the helper. */
static void
judge_missing_helper (const DomainCheck *check, CheckList *list)
{
  const char *uuid = check->facts->uuid;
  g_autofree char *edit = remedy_format (VIRSH " edit %s", uuid);
  g_autofree char *shut_down = remedy_format (VIRSH " shutdown %s", uuid);

  if (!check->facts->is_running)
    check_list_warn (
      list, edit,
      _ ("it is not in the domain's definition: its first migration takes the observer, "
         "and gives it the helper; or add <qemu:env name='LD_PRELOAD' value='%s'/> to "
         "<qemu:commandline>"),
      CLOCKFERRY_HELPER_SONAME);
  else if (check->definition != NULL && check->definition->has_helper)
    check_list_fail (
      list, shut_down,
      _ ("its QEMU was started without the helper, but it is in the domain's definition: shut "
         "the guest down and start it again, a reboot is not enough"));
  else
    check_list_fail (
      list, edit,
      _ ("its QEMU was started without the helper: the next migration brings it, and "
         "those after it would be fixed; or add <qemu:env name='LD_PRELOAD' "
         "value='%s'/> to <qemu:commandline>, and start it anew"),
      CLOCKFERRY_HELPER_SONAME);
}

static void
judge_helper (const DomainCheck *check, CheckList *list)
{
  check_list_begin (list, "domain-helper", _ ("helper"));
  if (check->state.has_link)
    check_list_ok (list, _ ("in its QEMU, and connected to clockferryd"));
  else if (!check->facts->has_helper && check->state.is_ready)
    check_list_ok (list, _ ("not in its QEMU, which will be observed instead; the next migration "
                            "brings it"));
  else if (!check->facts->has_helper)
    judge_missing_helper (check, list);
  else if (!check->facts->is_running)
    check_list_ok (list, _ ("in the domain's definition"));
  else
    /* why it is not connected is the daemon's to say */
    check_list_ok (list, _ ("its QEMU was started with it"));
}

static void
judge_state (const DomainCheck *check, CheckList *list)
{
  const DomainState *state = &check->state;
  g_autofree char *journal = g_strdup_printf ("journalctl -b -n 20 -u clockferryd "
                                              "CLOCKFERRY_DOMAIN=%s",
                                              check->facts->uuid);

  check_list_begin (list, "domain-ready", _ ("clockferryd"));
  if (state->is_ready)
    check_list_ok (list, _ ("is ready to hand its clocks over"));
  else if (!state->is_known)
    check_list_fail (list, "clockferryctl check", _ ("does not know it: %s"), state->problem);
  else
    check_list_fail (list, journal, _ ("is not ready for it: %s"),
                     state->problem != NULL ? state->problem : "?");
}

static void
judge_clock (const DomainFacts *facts, CheckList *list)
{
  check_list_begin (list, "domain-clock", _ ("its paravirtual clock"));
  if (facts->pv_clock == PV_CLOCK_KVM)
    check_list_ok (list, _ ("kvmclock"));
  else if (facts->pv_clock == PV_CLOCK_HYPERV)
    check_list_ok (list, _ ("Hyper-V's reference time"));
  else if (facts->advances_without_pv_clock)
    check_list_ok (list, _ ("none; by its policy the TSC is advanced all the same"));
  else
    check_list_fail (list, NULL,
                     _ ("none: a TSC without such a clock is not advanced, unless its policy says "
                        "guestsWithoutKvmclock=\"advance\""));
}

static void
judge_policy (const DomainFacts *facts, CheckList *list)
{
  g_autofree char *edit = remedy_format (
    VIRSH " metadata %s --uri " CLOCKFERRY_POLICY_NS " --key clockferry --edit", facts->uuid);

  check_list_begin (list, "domain-policy", _ ("its policy"));
  if (facts->policy_problem != NULL)
    check_list_warn (list, edit, _ ("ignored: %s"), facts->policy_problem);
  else if (facts->is_observed)
    check_list_warn (list, edit, _ ("%s: what would be done is only reported"), facts->policy);
  else if (facts->policy != NULL && *facts->policy != '\0')
    check_list_ok (list, "%s", facts->policy);
  else
    check_list_ok (list, _ ("none of its own: the settings of the destination hold"));
}

static void
judge_tsc (const DomainFacts *facts, CheckList *list)
{
  check_list_begin (list, "domain-tsc", _ ("its TSC"));
  if (facts->tsc_frequency != NULL)
    check_list_ok (list, _ ("%s Hz, as the domain asks for"), facts->tsc_frequency);
  else
    check_list_ok (list, _ ("as fast as that of the host where it was started: the destination's "
                            "must be within 250 ppm, or its KVM scale"));
}

/* public functions */

const char *
domain_verdict_name (DomainVerdict verdict)
{
  g_return_val_if_fail ((guint) verdict < G_N_ELEMENTS (verdict_names), "stock");
  return verdict_names[verdict];
}

DomainCheck *
domain_check_new (GDBusConnection *bus, const char *domain, GError **error)
{
  g_autoptr (DomainCheck) check = g_new0 (DomainCheck, 1);
  g_autofree char *path = look_up (bus, domain, error);

  if (path == NULL)
    return NULL;
  check->facts = read_facts (bus, path, 0, error);
  if (check->facts == NULL)
    return NULL;
  if (check->facts->is_running) {
    /* a transient domain has none */
    check->definition = read_facts (bus, path, XML_INACTIVE, NULL);
    read_state (bus, check->facts->uuid, &check->state);
  }
  return g_steal_pointer (&check);
}

void
domain_check_free (DomainCheck *check)
{
  g_clear_pointer (&check->facts, domain_facts_free);
  g_clear_pointer (&check->definition, domain_facts_free);
  g_free (check->state.problem);
  g_free (check);
}

DomainVerdict
domain_check_judge (const DomainCheck *check, CheckList *list)
{
  judge_type (check->facts, list);
  if (!check->facts->is_kvm)
    return DOMAIN_EMULATED;
  judge_helper (check, list);
  if (check->facts->is_running)
    judge_state (check, list);
  judge_clock (check->facts, list);
  judge_policy (check->facts, list);
  judge_tsc (check->facts, list);
  if (check_list_get_status (list) == CHECK_FAILURE)
    return DOMAIN_STOCK;
  return check->facts->is_observed ? DOMAIN_OBSERVED : DOMAIN_FIXED;
}

char *
domain_check_describe (const DomainCheck *check, DomainVerdict verdict, const CheckList *list)
{
  const char *name = check->facts->name;
  gboolean is_running = check->facts->is_running;
  const CheckResult *reason =
    check_list_find_first (list, verdict == DOMAIN_STOCK ? CHECK_FAILURE : CHECK_WARNING);

  if (reason == NULL)
    return g_strdup_printf (
      is_running ? _ ("%s would be fixed at its next migration, as far as this host is "
                      "concerned")
                 : _ ("%s does not run; once started, it would be fixed at a migration, "
                      "as far as this host is concerned"),
      name);
  if (verdict == DOMAIN_FIXED)
    return g_strdup_printf (
      /* TRANSLATORS: the second %s is what was looked at, the third what was found */
      is_running ? _ ("%s would be fixed at its next migration, except: %s: %s")
                 : _ ("%s does not run; once started, it would be fixed at a migration, "
                      "except: %s: %s"),
      name, reason->subject, reason->finding);
  if (verdict == DOMAIN_EMULATED)
    return g_strdup_printf (_ ("%s is emulated: QEMU keeps its clocks itself"), name);
  if (verdict == DOMAIN_OBSERVED)
    return g_strdup_printf (
      /* TRANSLATORS: the second %s is what was looked at, the third what was found */
      is_running ? _ ("%s would only be observed at its next migration: %s: %s")
                 : _ ("%s does not run; once started, it would only be observed at a migration: "
                      "%s: %s"),
      name, reason->subject, reason->finding);
  return g_strdup_printf (
    is_running
      /* TRANSLATORS: the second %s is what was looked at, the third what was found */
      ? _ ("%s would be stock at its next migration, because: %s: %s")
      : _ ("%s does not run; once started, it would be stock at a migration, "
           "because: %s: %s"),
    name, reason->subject, reason->finding);
}
