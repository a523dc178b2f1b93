/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * domain-policy - what its operator wants for the clocks of one domain (docs/domain-policy.md)
 *
 *   <clockferry:policy xmlns:clockferry="https://clockferry.org/policy/1"
 *                      mode="observe" maxAdvanceSec="60" guestsWithoutKvmclock="advance"/>
 *
 * libvirt keeps it in the domain's metadata and carries it to the destination, whose daemon goes by
 * it in place of its own settings. It can be written by whoever may edit the domain in libvirt, who
 * has power over the whole guest anyway, and not by the guest.
 */

#include <glib.h>
#include <libxml/tree.h>

#include "settings.h"

typedef struct DomainPolicy DomainPolicy;

/* By what a domain's clocks are handed over, after its policy and the settings of this host. */
typedef struct {
  SettingsMode mode;
  guint max_advance_s;                /* 1 to SETTINGS_MAX_ADVANCE_LIMIT_S */
  gboolean advances_without_kvmclock; /* a guest that uses no paravirtual clock as well */
} ClockTerms;

/*
 * The policy in @metadata, a domain's <metadata>, or NULL. One that is not valid to the last
 * attribute is none at all: half a policy may be the opposite of what was meant. Then *@problem is
 * why, on one line and of bounded length, for a journal; owned by the caller. Pure.
 */
DomainPolicy *domain_policy_parse (const xmlNode *metadata, char **problem)
  G_GNUC_WARN_UNUSED_RESULT;

void domain_policy_free (DomainPolicy *policy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DomainPolicy, domain_policy_free)

/* The terms of a domain without a policy. */
void domain_policy_get_terms (const Settings *settings, ClockTerms *terms);

/* Put what @policy says in the place of what is in @terms. */
void domain_policy_override (const DomainPolicy *policy, ClockTerms *terms);

/* "mode=observe maxAdvanceSec=60": what @policy says, in a fixed order; empty if nothing. Owned by
 * @policy. */
const char *domain_policy_get_text (const DomainPolicy *policy);
