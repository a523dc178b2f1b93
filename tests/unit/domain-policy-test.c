/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * domain-policy-test - what an operator may write into a domain's metadata, and what comes of it
 */

#include <libxml/parser.h>
#include <string.h>

#include "domain-policy.h"

/* as `virsh metadata` leaves it */
#define POLICY(attributes)                                                                         \
  "<clockferry:policy xmlns:clockferry='https://clockferry.org/policy/1' " attributes "/>"

static DomainPolicy *
parse (const char *metadata, char **problem)
{
  g_autofree char *xml = g_strdup_printf ("<metadata>%s</metadata>", metadata);
  xmlDoc *document = xmlReadMemory (xml, (int) strlen (xml), NULL, NULL, XML_PARSE_NONET);
  DomainPolicy *policy;

  g_test_message ("%s", xml);
  g_assert_nonnull (document);
  policy = domain_policy_parse (xmlDocGetRootElement (document), problem);
  xmlFreeDoc (document);
  g_assert_false (policy != NULL && *problem != NULL);
  return policy;
}

typedef struct {
  const char *metadata;
  const char *text;
  ClockTerms terms; /* where the settings say observe and 123 s */
} GoodPolicy;

static const GoodPolicy good_policies[] = {
  { POLICY (""), "", { SETTINGS_MODE_OBSERVE, 123, FALSE } },
  { POLICY ("mode='apply'"), "mode=apply", { SETTINGS_MODE_APPLY, 123, FALSE } },
  { POLICY ("mode='observe'"), "mode=observe", { SETTINGS_MODE_OBSERVE, 123, FALSE } },
  { POLICY ("maxAdvanceSec='1'"), "maxAdvanceSec=1", { SETTINGS_MODE_OBSERVE, 1, FALSE } },
  { POLICY ("maxAdvanceSec='400'"), "maxAdvanceSec=400", { SETTINGS_MODE_OBSERVE, 400, FALSE } },
  { POLICY ("guestsWithoutKvmclock='advance'"),
    "guestsWithoutKvmclock=advance",
    { SETTINGS_MODE_OBSERVE, 123, TRUE } },
  { POLICY ("guestsWithoutKvmclock='stock'"),
    "guestsWithoutKvmclock=stock",
    { SETTINGS_MODE_OBSERVE, 123, FALSE } },
  { POLICY ("guestsWithoutKvmclock='advance' maxAdvanceSec='60' mode='apply'"),
    "mode=apply maxAdvanceSec=60 guestsWithoutKvmclock=advance",
    { SETTINGS_MODE_APPLY, 60, TRUE } },
  /* another prefix, other elements around, our own source element among them */
  { "<o:thing xmlns:o='urn:other'/> text <c:source xmlns:c='https://clockferry.org/domain/1'/>"
    "<p:policy xmlns:p='https://clockferry.org/policy/1' mode='apply'/>",
    "mode=apply",
    { SETTINGS_MODE_APPLY, 123, FALSE } },
  /* written by hand, with comments */
  { "<p:policy xmlns:p='https://clockferry.org/policy/1' mode='apply'>\n"
    "  <!-- until the new kernel is in -->\n"
    "</p:policy>",
    "mode=apply",
    { SETTINGS_MODE_APPLY, 123, FALSE } },
};

static void
test_good (void)
{
  const Settings settings = { .mode = SETTINGS_MODE_OBSERVE, .max_advance_s = 123 };

  for (gsize i = 0; i < G_N_ELEMENTS (good_policies); i++) {
    const GoodPolicy *good = &good_policies[i];
    g_autofree char *problem = NULL;
    g_autoptr (DomainPolicy) policy = parse (good->metadata, &problem);
    ClockTerms terms;

    g_assert_cmpstr (problem, ==, NULL);
    g_assert_nonnull (policy);
    g_assert_cmpstr (domain_policy_get_text (policy), ==, good->text);
    domain_policy_get_terms (&settings, &terms);
    domain_policy_override (policy, &terms);
    g_assert_cmpint (terms.mode, ==, good->terms.mode);
    g_assert_cmpuint (terms.max_advance_s, ==, good->terms.max_advance_s);
    g_assert_cmpint (terms.advances_without_kvmclock, ==, good->terms.advances_without_kvmclock);
  }
}

static void
test_none (void)
{
  static const char *const texts[] = {
    "",
    "<policy mode='bad'/>",
    "<p:policy xmlns:p='https://clockferry.org/policy/2' mode='bad'/>",
    "<p:policy xmlns:p='https://clockferry.org/domain/1' mode='bad'/>",
    "<o:wrap xmlns:o='urn:other'>" POLICY ("mode='bad'") "</o:wrap>",
  };
  const Settings settings = { .mode = SETTINGS_MODE_APPLY, .max_advance_s = 7 };
  ClockTerms terms;

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autofree char *problem = NULL;

    g_assert_null (parse (texts[i], &problem));
    g_assert_cmpstr (problem, ==, NULL);
  }
  domain_policy_get_terms (&settings, &terms);
  g_assert_cmpint (terms.mode, ==, SETTINGS_MODE_APPLY);
  g_assert_cmpuint (terms.max_advance_s, ==, 7);
  g_assert_false (terms.advances_without_kvmclock);
}

typedef struct {
  const char *metadata;
  const char *problem;
} BadPolicy;

#define MODES      "must be one of apply, observe"
#define SECONDS    "must be a number of seconds from 1 to 400"
#define ATTRIBUTES "mode, maxAdvanceSec, guestsWithoutKvmclock"
#define CONTENT    "the element has content: only attributes are allowed, of " ATTRIBUTES

static const BadPolicy bad_policies[] = {
  { POLICY ("mode=''"), "mode=\"\": " MODES },
  { POLICY ("mode='Apply'"), "mode=\"Apply\": " MODES },
  { POLICY ("mode=' apply'"), "mode=\" apply\": " MODES },
  { POLICY ("maxAdvanceSec='0'"), "maxAdvanceSec=\"0\": " SECONDS },
  { POLICY ("maxAdvanceSec='401'"), "maxAdvanceSec=\"401\": " SECONDS },
  { POLICY ("maxAdvanceSec='-1'"), "maxAdvanceSec=\"-1\": " SECONDS },
  { POLICY ("maxAdvanceSec='60s'"), "maxAdvanceSec=\"60s\": " SECONDS },
  { POLICY ("maxAdvanceSec='18446744073709551617'"),
    "maxAdvanceSec=\"18446744073709551617\": " SECONDS },
  { POLICY ("guestsWithoutKvmclock='yes'"),
    "guestsWithoutKvmclock=\"yes\": must be one of stock, advance" },
  /* the good half is not taken either */
  { POLICY ("mode='observe' maxAdvanceSec='x'"), "maxAdvanceSec=\"x\": " SECONDS },
  { POLICY ("Mode='apply'"), "there is no attribute \"Mode\", only " ATTRIBUTES },
  { POLICY ("hostClock='trust'"), "there is no attribute \"hostClock\", only " ATTRIBUTES },
  { POLICY ("clockferry:mode='apply'"), "there is no attribute \"mode\", only " ATTRIBUTES },
  { POLICY ("xml:mode='apply'"), "there is no attribute \"mode\", only " ATTRIBUTES },
  { "<p:polciy xmlns:p='https://clockferry.org/policy/1' mode='apply'/>",
    "the element is called \"polciy\", not policy" },
  { "<p:policy xmlns:p='https://clockferry.org/policy/1' mode='apply'>observe</p:policy>",
    CONTENT },
  { "<p:policy xmlns:p='https://clockferry.org/policy/1'><mode>observe</mode></p:policy>",
    CONTENT },
  { "<p:policy xmlns:p='https://clockferry.org/policy/1'><![CDATA[x]]></p:policy>", CONTENT },
  /* for the journal: one line, and not as long as somebody likes */
  { POLICY ("mode='a&#10;b&#133;'"), "mode=\"a\\nb\\302\\205\": " MODES },
  { POLICY ("mode='0123456789012345678901234567890123456789'"),
    "mode=\"0123456789012345678901234567890123456789\": " MODES },
  { POLICY ("mode='01234567890123456789012345678901234567890'"),
    "mode=\"0123456789012345678901234567890123456789...\": " MODES },
};

static void
test_bad (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (bad_policies); i++) {
    g_autofree char *problem = NULL;

    g_assert_null (parse (bad_policies[i].metadata, &problem));
    g_assert_cmpstr (problem, ==, bad_policies[i].problem);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/domain-policy/good", test_good);
  g_test_add_func ("/domain-policy/none", test_none);
  g_test_add_func ("/domain-policy/bad", test_bad);
  return g_test_run ();
}
