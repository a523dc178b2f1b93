/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-facts.h"

#include "event-log.h"

static void
note_policy (GuestFacts *facts, const char *uuid, const DomainInfo *info)
{
  EventEntry *entry;

  if (g_strcmp0 (facts->policy_problem, info->policy_problem) == 0)
    return;
  g_free (facts->policy_problem);
  facts->policy_problem = g_strdup (info->policy_problem);
  if (info->policy_problem == NULL)
    return;
  entry = event_entry_new (EVENT_POLICY_IGNORED, uuid, facts->name);
  event_entry_add (entry, "CLOCKFERRY_REASON", info->policy_problem);
  event_entry_log (entry, "the clock policy in the metadata of %s is ignored: %s", facts->name,
                   info->policy_problem);
}

/* public functions */

void
guest_facts_init (GuestFacts *facts)
{
  *facts = (GuestFacts){ .id = -1 };
}

void
guest_facts_clear (GuestFacts *facts)
{
  guest_facts_forget (facts);
  g_clear_pointer (&facts->name, g_free);
}

void
guest_facts_take (GuestFacts *facts, const char *uuid, const DomainInfo *info)
{
  g_free (facts->name);
  facts->name = g_strdup (info->name);
  facts->id = info->id;
  facts->is_emulated = !info->is_kvm;
  g_free (facts->policy);
  facts->policy = info->policy != NULL ? g_strdup (domain_policy_get_text (info->policy)) : NULL;
  if (info->is_kvm)
    note_policy (facts, uuid, info);
}

void
guest_facts_forget (GuestFacts *facts)
{
  facts->id = -1;
  facts->is_emulated = FALSE;
  g_clear_pointer (&facts->policy, g_free);
  g_clear_pointer (&facts->policy_problem, g_free);
}
