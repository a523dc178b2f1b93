/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain-policy.h"

#include "names.h"

#define ELEMENT_NAME "policy"
/* Longest piece of what somebody wrote that is repeated in a problem, characters. */
#define QUOTE_MAX 40

typedef enum {
  TERM_MODE,
  TERM_MAX_ADVANCE,
  TERM_WITHOUT_KVMCLOCK,
  TERM_COUNT,
} Term;

struct DomainPolicy {
  gboolean is_said[TERM_COUNT];
  ClockTerms terms; /* of those that are said */
  char *text;
};

typedef struct {
  const char *name;
  gboolean (*parse) (ClockTerms *terms, const char *value);
  const char *allowed; /* completes "must be ..." */
} Attribute;

/* values */

static gboolean
parse_mode (ClockTerms *terms, const char *value)
{
  return settings_mode_parse (value, &terms->mode);
}

static gboolean
parse_max_advance (ClockTerms *terms, const char *value)
{
  guint64 seconds = 0;

  if (!g_ascii_string_to_unsigned (value, 10, 1, SETTINGS_MAX_ADVANCE_LIMIT_S, &seconds, NULL))
    return FALSE;
  terms->max_advance_s = (guint) seconds;
  return TRUE;
}

static gboolean
parse_without_kvmclock (ClockTerms *terms, const char *value)
{
  terms->advances_without_kvmclock = g_str_equal (value, "advance");
  return terms->advances_without_kvmclock || g_str_equal (value, "stock");
}

static const Attribute attributes[] = {
  [TERM_MODE] = { "mode", parse_mode, "one of apply, observe" },
  [TERM_MAX_ADVANCE] = { "maxAdvanceSec", parse_max_advance,
                         "a number of seconds from 1 to " G_STRINGIFY (
                           SETTINGS_MAX_ADVANCE_LIMIT_S) },
  [TERM_WITHOUT_KVMCLOCK] = { "guestsWithoutKvmclock", parse_without_kvmclock,
                              "one of stock, advance" },
};

G_STATIC_ASSERT (G_N_ELEMENTS (attributes) == TERM_COUNT);

#define ATTRIBUTES_ALLOWED "mode, maxAdvanceSec, guestsWithoutKvmclock"

/* the element */

/* Whatever somebody wrote, as one short line. */
static char *
quote (const char *text)
{
  glong length = g_utf8_strlen (text, -1);
  g_autofree char *start = g_utf8_substring (text, 0, MIN (length, QUOTE_MAX));
  g_autofree char *line = g_strescape (start, NULL);

  return g_strdup_printf ("\"%s%s\"", line, length > QUOTE_MAX ? "..." : "");
}

/* libvirt keeps one element of a namespace; any name, so that a misspelt one is noticed. */
static const xmlNode *
find_element (const xmlNode *metadata)
{
  for (const xmlNode *node = metadata->children; node != NULL; node = node->next) {
    if (node->type == XML_ELEMENT_NODE && node->ns != NULL &&
        g_strcmp0 ((const char *) node->ns->href, CLOCKFERRY_POLICY_NS) == 0)
      return node;
  }
  return NULL;
}

static gboolean
has_content (const xmlNode *element)
{
  for (const xmlNode *node = element->children; node != NULL; node = node->next) {
    if (node->type != XML_COMMENT_NODE && !xmlIsBlankNode (node))
      return TRUE;
  }
  return FALSE;
}

/* An attribute of any namespace is not one of ours: they have none. */
static Term
find_term (const xmlAttr *attribute)
{
  Term term = 0;

  while (
    term < TERM_COUNT &&
    (attribute->ns != NULL || !g_str_equal ((const char *) attribute->name, attributes[term].name)))
    term++;
  return term;
}

static gboolean
parse_attribute (DomainPolicy *policy, const xmlAttr *attribute, char **problem)
{
  const char *name = (const char *) attribute->name;
  Term term = find_term (attribute);
  g_autofree char *quoted = NULL;
  xmlChar *value;

  if (term == TERM_COUNT) {
    quoted = quote (name);
    *problem = g_strdup_printf ("there is no attribute %s, only " ATTRIBUTES_ALLOWED, quoted);
    return FALSE;
  }
  value = xmlNodeListGetString (attribute->doc, attribute->children, 1);
  policy->is_said[term] =
    attributes[term].parse (&policy->terms, value != NULL ? (const char *) value : "");
  if (!policy->is_said[term]) {
    quoted = quote (value != NULL ? (const char *) value : "");
    *problem = g_strdup_printf ("%s=%s: must be %s", name, quoted, attributes[term].allowed);
  }
  xmlFree (value);
  return policy->is_said[term];
}

static char *
make_text (const DomainPolicy *policy)
{
  const ClockTerms *terms = &policy->terms;
  GString *text = g_string_new (NULL);

  if (policy->is_said[TERM_MODE])
    g_string_append_printf (text, " mode=%s", settings_mode_name (terms->mode));
  if (policy->is_said[TERM_MAX_ADVANCE])
    g_string_append_printf (text, " maxAdvanceSec=%u", terms->max_advance_s);
  if (policy->is_said[TERM_WITHOUT_KVMCLOCK])
    g_string_append_printf (text, " guestsWithoutKvmclock=%s",
                            terms->advances_without_kvmclock ? "advance" : "stock");
  return g_strchug (g_string_free (text, FALSE));
}

/* public functions */

DomainPolicy *
domain_policy_parse (const xmlNode *metadata, char **problem)
{
  const xmlNode *element = find_element (metadata);
  g_autoptr (DomainPolicy) policy = NULL;

  if (element == NULL)
    return NULL;
  if (!g_str_equal ((const char *) element->name, ELEMENT_NAME)) {
    g_autofree char *quoted = quote ((const char *) element->name);

    *problem = g_strdup_printf ("the element is called %s, not " ELEMENT_NAME, quoted);
    return NULL;
  }
  if (has_content (element)) {
    *problem = g_strdup ("the element has content: only attributes are allowed, "
                         "of " ATTRIBUTES_ALLOWED);
    return NULL;
  }
  policy = g_new0 (DomainPolicy, 1);
  for (const xmlAttr *attribute = element->properties; attribute != NULL;
       attribute = attribute->next) {
    if (!parse_attribute (policy, attribute, problem))
      return NULL;
  }
  policy->text = make_text (policy);
  return g_steal_pointer (&policy);
}

void
domain_policy_free (DomainPolicy *policy)
{
  g_free (policy->text);
  g_free (policy);
}

void
domain_policy_get_terms (const Settings *settings, ClockTerms *terms)
{
  *terms = (ClockTerms){ .mode = settings->mode, .max_advance_s = settings->max_advance_s };
}

void
domain_policy_override (const DomainPolicy *policy, ClockTerms *terms)
{
  if (policy->is_said[TERM_MODE])
    terms->mode = policy->terms.mode;
  if (policy->is_said[TERM_MAX_ADVANCE])
    terms->max_advance_s = policy->terms.max_advance_s;
  if (policy->is_said[TERM_WITHOUT_KVMCLOCK])
    terms->advances_without_kvmclock = policy->terms.advances_without_kvmclock;
}

const char *
domain_policy_get_text (const DomainPolicy *policy)
{
  return policy->text;
}
