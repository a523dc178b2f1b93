/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain-check.h"

#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <libxml/xpathInternals.h>
#include <string.h>

#include "ctl-config.h"
#include "domain-info.h"

#define QEMU_NS "http://libvirt.org/schemas/domain/qemu/1.0"

/* libvirt lets the last of several win. */
#define PRELOAD_XPATH                                                                              \
  "string((/domain/qemu:commandline/qemu:env[@name='LD_PRELOAD'])[last()]/@value)"

/* What @path comes to as text; "" where there is nothing. Owned by the caller. */
static char *
evaluate (xmlXPathContext *context, const char *path)
{
  xmlXPathObject *object = xmlXPathEvalExpression ((const xmlChar *) path, context);
  xmlChar *text = object != NULL ? xmlXPathCastToString (object) : NULL;
  char *copy = g_strdup (text != NULL ? (const char *) text : "");

  xmlFree (text);
  xmlXPathFreeObject (object);
  return copy;
}

static gboolean
evaluates_to (xmlXPathContext *context, const char *path, const char *value)
{
  g_autofree char *text = evaluate (context, path);

  return g_str_equal (text, value);
}

/* QEMU offers kvmclock unless it is told not to, or to hide all that KVM adds. */
static PvClock
find_pv_clock (xmlXPathContext *context)
{
  if (!evaluates_to (context, "string(/domain/clock/timer[@name='kvmclock']/@present)", "no") &&
      !evaluates_to (context, "string(/domain/features/kvm/hidden/@state)", "on"))
    return PV_CLOCK_KVM;
  if (evaluates_to (context, "string(/domain/clock/timer[@name='hypervclock']/@present)", "yes"))
    return PV_CLOCK_HYPERV;
  return PV_CLOCK_NONE;
}

static void
read_clocks (xmlXPathContext *context, DomainFacts *facts)
{
  g_autofree char *preload = evaluate (context, PRELOAD_XPATH);
  g_autofree char *frequency =
    evaluate (context, "string(/domain/clock/timer[@name='tsc']/@frequency)");

  facts->has_helper = strstr (preload, CLOCKFERRY_HELPER_SONAME) != NULL;
  facts->pv_clock = find_pv_clock (context);
  if (*frequency != '\0')
    facts->tsc_frequency = g_steal_pointer (&frequency);
}

static void
take_policy (const DomainInfo *info, DomainFacts *facts)
{
  ClockTerms terms = { .mode = SETTINGS_MODE_APPLY };

  facts->policy_problem = g_strdup (info->policy_problem);
  if (info->policy == NULL)
    return;
  facts->policy = g_strdup (domain_policy_get_text (info->policy));
  domain_policy_override (info->policy, &terms);
  facts->is_observed = terms.mode == SETTINGS_MODE_OBSERVE;
  facts->advances_without_pv_clock = terms.advances_without_kvmclock;
}

/* public functions */

void
domain_facts_free (DomainFacts *facts)
{
  g_free (facts->name);
  g_free (facts->uuid);
  g_free (facts->tsc_frequency);
  g_free (facts->policy);
  g_free (facts->policy_problem);
  g_free (facts);
}

DomainFacts *
domain_facts_parse (const char *xml, GError **error)
{
  g_autoptr (DomainInfo) info = domain_info_parse (xml, error);
  DomainFacts *facts;
  xmlDoc *document;
  xmlXPathContext *context;

  if (info == NULL)
    return NULL;
  facts = g_new0 (DomainFacts, 1);
  facts->name = g_strdup (info->name);
  facts->uuid = g_strdup (info->uuid);
  facts->is_running = info->id >= 0;
  facts->is_kvm = info->is_kvm;
  take_policy (info, facts);

  /* domain_info_parse() has read the same text: it can be read */
  document = xmlReadMemory (xml, (int) strlen (xml), NULL, NULL,
                            XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
  context = xmlXPathNewContext (document);
  xmlXPathRegisterNs (context, (const xmlChar *) "qemu", (const xmlChar *) QEMU_NS);
  read_clocks (context, facts);
  xmlXPathFreeContext (context);
  xmlFreeDoc (document);
  return facts;
}
