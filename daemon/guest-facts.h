/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * guest-facts - what libvirt told of a domain, for as long as it is true
 */

#include "domain-info.h"

typedef struct {
  char *name;           /* NULL until libvirt told */
  int id;               /* libvirt's number of it, -1 until it told */
  gboolean is_emulated; /* not KVM: QEMU keeps its clocks itself */
  char *policy;         /* what its own policy says, NULL without */
  char *policy_problem; /* what was said of its policy, NULL while nothing is wrong with it */
} GuestFacts;

/* Nothing was told. */
void guest_facts_init (GuestFacts *facts);
void guest_facts_clear (GuestFacts *facts);

/*
 * Take over what @info says of the domain @uuid. The journal is told of a policy that is not valid:
 * where the domain lives already, while it can be mended in peace, and once where it arrives.
 */
void guest_facts_take (GuestFacts *facts, const char *uuid, const DomainInfo *info);

/* All but the name belongs to a QEMU that is gone. */
void guest_facts_forget (GuestFacts *facts);
