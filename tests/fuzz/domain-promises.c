/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain-promises.h"

#include <string.h>

#include "domain-check.h"
#include "domain-info.h"
#include "error.h"
#include "fuzz-target.h"
#include "settings.h"

/* A problem quotes some 40 characters, of which each may be escaped, and names what is allowed. */
#define PROBLEM_MAX_BYTES 400

#define HEX_256_LENGTH 64
#define HEX_DIGITS     "0123456789abcdef"

static gboolean
is_hex_256 (const char *text)
{
  return strlen (text) == HEX_256_LENGTH && strspn (text, HEX_DIGITS) == HEX_256_LENGTH;
}

/* A line for a journal. */
static void
check_problem (const char *problem)
{
  if (problem == NULL)
    return;
  g_assert_cmpuint (strlen (problem), <=, PROBLEM_MAX_BYTES);
  g_assert_true (g_utf8_validate (problem, -1, NULL));
  for (const char *c = problem; *c != '\0'; c++)
    g_assert_false (g_ascii_iscntrl (*c));
}

/* What one daemon writes another one reads. */
static void
check_source (const SourceElement *source)
{
  g_autofree char *element = source_element_to_xml (source);
  g_autofree char *xml =
    g_strconcat ("<domain><name>n</name><uuid>6c2c1d3e-7f5a-4b7e-9d0c-0123456789ab</uuid><metadata>"
                 "<c:source xmlns:c='https://clockferry.org/domain/1'",
                 element + strlen ("<source"), "</metadata></domain>", NULL);
  g_autoptr (DomainInfo) again = NULL;

  g_assert_true (g_str_has_prefix (element, "<source "));
  g_assert_cmpuint (strlen (source->address), >, 0);
  g_assert_cmpuint (source->port, >, 0);
  g_assert_true (is_hex_256 (source->pin));
  g_assert_true (is_hex_256 (source->ticket));

  again = domain_info_parse (xml, NULL);
  g_assert_nonnull (again);
  g_assert_nonnull (again->source);
  g_assert_cmpstr (again->source->address, ==, source->address);
  g_assert_cmpuint (again->source->port, ==, source->port);
  g_assert_cmpstr (again->source->pin, ==, source->pin);
  g_assert_cmpstr (again->source->ticket, ==, source->ticket);
}

static void
check_policy (const DomainPolicy *policy)
{
  const char *text = domain_policy_get_text (policy);
  ClockTerms terms = { .mode = SETTINGS_MODE_APPLY, .max_advance_s = SETTINGS_MAX_ADVANCE_LIMIT_S };

  domain_policy_override (policy, &terms);
  g_assert_cmpuint (terms.mode, <=, SETTINGS_MODE_OBSERVE);
  g_assert_cmpuint (terms.max_advance_s, >=, 1);
  g_assert_cmpuint (terms.max_advance_s, <=, SETTINGS_MAX_ADVANCE_LIMIT_S);
  /* the text is made of the terms, and of nothing that somebody wrote */
  g_assert_true ((strstr (text, "mode=observe") != NULL) == (terms.mode == SETTINGS_MODE_OBSERVE));
  g_assert_true ((strstr (text, "guestsWithoutKvmclock=advance") != NULL) ==
                 (terms.advances_without_kvmclock != FALSE));
}

static void
check_info (const DomainInfo *info)
{
  g_assert_nonnull (info->name);
  g_assert_true (g_uuid_string_is_valid (info->uuid));
  g_assert_cmpint (info->id, >=, -1);
  g_assert_false (info->source != NULL && info->source_problem != NULL);
  g_assert_false (info->policy != NULL && info->policy_problem != NULL);
  check_problem (info->source_problem);
  check_problem (info->policy_problem);
  if (info->source != NULL)
    check_source (info->source);
  if (info->policy != NULL)
    check_policy (info->policy);
}

/* public functions */

void
domain_promises_check (const char *xml)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (DomainInfo) info = domain_info_parse (xml, &error);
  g_autoptr (DomainFacts) facts = domain_facts_parse (xml, NULL);

  if (info == NULL) {
    g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_XML);
    g_assert_null (facts);
    return;
  }
  check_info (info);
  g_assert_nonnull (facts);
  g_assert_cmpstr (facts->name, ==, info->name);
  g_assert_cmpstr (facts->uuid, ==, info->uuid);
}
