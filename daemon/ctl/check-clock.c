/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check-host.h"

#include <glib/gi18n.h>

#include "check-remedy.h"
#include "host-clock.h"
#include "systemd-unit.h"

#define CLOCKSOURCE_FOLDER "/sys/devices/system/clocksource/clocksource0/"

/* The clocksources from which KVM makes its master clock (gtod_is_based_on_tsc() in its x86.c). */
static const char *const master_clocksources[] = { "tsc", "hyperv_clocksource_tsc_page", NULL };

/* Programs that keep a clock right, in the order they are proposed. Of the same one under the names
 * of several distributions, the first that exists counts. */
static const struct {
  const char *service;
  const char *status; /* the command that shows what it is at */
} time_daemons[] = {
  { "chrony.service", "chronyc tracking" },
  { "chronyd.service", "chronyc tracking" },
  { "ntpsec.service", "ntpq -p" },
  { "ntp.service", "ntpq -p" },
  { "ntpd.service", "ntpq -p" },
  { "openntpd.service", "ntpctl -s status" },
  { "systemd-timesyncd.service", "timedatectl timesync-status" },
};

typedef struct {
  const char *service; /* NULL: none */
  const char *status;
  gboolean is_active;
} TimeDaemon;

/* The one that runs, else the first that could. */
static TimeDaemon
find_time_daemon (const CheckHost *host)
{
  TimeDaemon found = { 0 };

  for (gsize i = 0; host->bus != NULL && i < G_N_ELEMENTS (time_daemons); i++) {
    g_autoptr (SystemdUnit) unit = systemd_unit_read (host->bus, time_daemons[i].service, NULL);

    if (unit == NULL || !g_str_equal (unit->load_state, "loaded"))
      continue;
    if (found.service == NULL || systemd_unit_is_active (unit))
      found = (TimeDaemon){
        .service = time_daemons[i].service,
        .status = time_daemons[i].status,
        .is_active = systemd_unit_is_active (unit),
      };
    if (found.is_active)
      break;
  }
  return found;
}

static void
check_clocksource (const CheckHost *host, CheckList *list)
{
  g_autofree char *current = check_host_read_line (host, CLOCKSOURCE_FOLDER "current_clocksource");
  g_autofree char *available =
    check_host_read_line (host, CLOCKSOURCE_FOLDER "available_clocksource");
  g_auto (GStrv) choices = g_strsplit (available != NULL ? available : "", " ", -1);

  check_list_begin (list, "clocksource", _ ("clocksource"));
  if (current == NULL)
    check_list_warn (list, NULL, _ ("the kernel does not tell it in %s"),
                     CLOCKSOURCE_FOLDER "current_clocksource");
  else if (g_strv_contains (master_clocksources, current))
    check_list_ok (list, "%s", current);
  else if (g_strv_contains ((const char *const *) choices, "tsc"))
    check_list_warn (list, "echo tsc > " CLOCKSOURCE_FOLDER "current_clocksource",
                     _ ("%s: KVM needs tsc for its master clock, which this host could use"),
                     current);
  else
    check_list_warn (list, "journalctl -k --grep='tsc|clocksource'",
                     _ ("%s: KVM needs tsc for its master clock, and the kernel has given the TSC "
                        "up; its messages say why"),
                     current);
}

static void
judge_not_synchronised (const TimeDaemon *daemon, CheckList *list)
{
  g_autofree char *install = NULL;
  g_autofree char *enable = NULL;

  if (daemon->is_active) {
    check_list_warn (
      list, daemon->status,
      _ ("not synchronised, though %s runs: it has not found the time yet, or has no "
         "server; the distance between hosts is measured at each migration"),
      daemon->service);
  } else if (daemon->service != NULL) {
    enable = remedy_format ("systemctl enable --now %s", daemon->service);
    check_list_warn (list, enable,
                     _ ("not synchronised, and %s does not run; the distance between hosts is "
                        "measured at each migration"),
                     daemon->service);
  } else {
    install = remedy_install (PACKAGE_TIME_DAEMON);
    check_list_warn (list, install,
                     _ ("not synchronised, and no NTP client is installed; the distance between "
                        "hosts is measured at each migration"));
  }
}

static void
check_synchronisation (const CheckHost *host, CheckList *list)
{
  g_autoptr (GError) error = NULL;
  TimeDaemon daemon;
  HostClockState state;
  double bound_ms;

  check_list_begin (list, "clock-synchronised", _ ("this host's clock"));
  if (!host_clock_read_state (&state, &error)) {
    check_list_warn (list, NULL, "%s", error->message);
    return;
  }
  daemon = find_time_daemon (host);
  bound_ms = (double) state.max_error_us / 1000;
  if (!state.synchronised)
    judge_not_synchronised (&daemon, list);
  else if (daemon.is_active)
    /* TRANSLATORS: %s is a systemd unit, chrony.service for instance */
    check_list_ok (list, _ ("synchronised by %s, within ± %.1f ms by the kernel's estimate"),
                   daemon.service, bound_ms);
  else
    check_list_ok (list, _ ("synchronised, within ± %.1f ms by the kernel's estimate"), bound_ms);
}

/* public functions */

void
check_clock (CheckHost *host, CheckList *list)
{
  check_clocksource (host, list);
  check_synchronisation (host, list);
}
