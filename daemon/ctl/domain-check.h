/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * domain-check - what would happen to the clocks of one guest at its next migration
 *
 * By libvirt's word on the domain and the daemon's, as far as this host is concerned: whether the
 * destination runs clockferry nobody knows here.
 */

#include <gio/gio.h>

#include "host-check.h"

typedef enum {
  PV_CLOCK_KVM,    /* kvmclock is offered */
  PV_CLOCK_HYPERV, /* only the reference time of Hyper-V is */
  PV_CLOCK_NONE,
} PvClock;

/* What a domain's XML says. */
typedef struct {
  char *name;
  char *uuid;
  gboolean is_running;
  gboolean is_kvm;
  gboolean has_helper; /* in QEMU's environment */
  PvClock pv_clock;
  char *tsc_frequency; /* Hz; NULL: not given */
  char *policy;        /* what the policy in the metadata says; NULL: none, or not a valid one */
  char *policy_problem;
  gboolean is_observed; /* by that policy */
  gboolean advances_without_pv_clock;
} DomainFacts;

void domain_facts_free (DomainFacts *facts);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DomainFacts, domain_facts_free)

/* Read @xml as libvirt formats it; NULL with CLOCKFERRY_ERROR_INVALID_XML. Pure. */
DomainFacts *domain_facts_parse (const char *xml, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* What the daemon says. */
typedef struct {
  gboolean is_known; /* the daemon runs, and has the domain */
  gboolean is_ready;
  gboolean has_link; /* to its helper */
  char *problem;     /* why it is not ready, or why nothing is known; or NULL */
} DomainState;

typedef enum {
  DOMAIN_FIXED,    /* with an exception where there are warnings */
  DOMAIN_OBSERVED, /* its policy wants no more */
  DOMAIN_STOCK,    /* there are failures */
  DOMAIN_EMULATED, /* QEMU keeps its clocks itself */
} DomainVerdict;

/* "fixed", "observed", "stock" or "emulated": as in JSON. */
const char *domain_verdict_name (DomainVerdict verdict);

typedef struct {
  DomainFacts *facts;      /* as it runs, or else as it is defined */
  DomainFacts *definition; /* as it is started next; NULL: it is not defined, or does not run */
  DomainState state;
} DomainCheck;

/*
 * Ask libvirt-dbus on @bus, and the daemon, about the domain that is called @domain, by UUID or by
 * name. NULL with CTL_ERROR_NOT_FOUND, or CTL_ERROR_FAILED where libvirt could not be asked.
 */
DomainCheck *domain_check_new (GDBusConnection *bus, const char *domain, GError **error)
  G_GNUC_WARN_UNUSED_RESULT;

void domain_check_free (DomainCheck *check);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DomainCheck, domain_check_free)

/* Add what was found to @list, which must be empty. */
DomainVerdict domain_check_judge (const DomainCheck *check, CheckList *list);

/* The verdict as a sentence, translated, with its first reason from @list. Owned by the caller. */
char *domain_check_describe (const DomainCheck *check, DomainVerdict verdict,
                             const CheckList *list);
