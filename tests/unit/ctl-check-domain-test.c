/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What would happen to a guest at its next migration follows from its XML, its definition and the
 * daemon's word.
 */
#include "domain-check.h"

#include <string.h>

#include "ctl-check-expect.h"
#include "ctl-config.h"

#define UUID "c7a5fdbd-edaf-9455-926a-d65c16db1809"

#define HELPER                                                                                     \
  "<qemu:commandline><qemu:env name='LD_PRELOAD' value='other.so'/>"                               \
  "<qemu:env name='LD_PRELOAD' value='" CLOCKFERRY_HELPER_SONAME ":other.so'/>"                    \
  "</qemu:commandline>"

#define POLICY(attributes)                                                                         \
  "<metadata><c:policy xmlns:c='https://clockferry.org/policy/1' " attributes "/></metadata>"

/* A domain's XML with @elements in it; it runs as number @id, -1: it does not. */
static char *
make_xml (const char *type, int id, const char *elements)
{
  g_autofree char *number = id >= 0 ? g_strdup_printf (" id='%d'", id) : g_strdup ("");

  return g_strdup_printf (
    "<domain type='%s'%s xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
    "<name>web</name><uuid>" UUID "</uuid>%s</domain>",
    type, number, elements);
}

static DomainFacts *
parse (const char *type, int id, const char *elements)
{
  g_autofree char *xml = make_xml (type, id, elements);
  g_autoptr (GError) error = NULL;
  DomainFacts *facts = domain_facts_parse (xml, &error);

  g_assert_no_error (error);
  return facts;
}

/* facts */

static void
test_facts (void)
{
  g_autoptr (DomainFacts) plain = parse ("kvm", 3, "");
  g_autoptr (DomainFacts)
    rich = parse ("kvm", -1,
                  POLICY ("mode='observe' guestsWithoutKvmclock='advance'") HELPER
                  "<clock offset='utc'><timer name='tsc' frequency='2600000000'/></clock>");
  g_autoptr (DomainFacts) emulated = parse ("qemu", 3, "");
  g_autoptr (DomainFacts) bad = parse ("kvm", 3, POLICY ("mode='maybe'"));
  g_autoptr (GError) error = NULL;

  g_assert_cmpstr (plain->name, ==, "web");
  g_assert_cmpstr (plain->uuid, ==, UUID);
  g_assert_true (plain->is_running);
  g_assert_true (plain->is_kvm);
  g_assert_false (plain->has_helper);
  g_assert_cmpint (plain->pv_clock, ==, PV_CLOCK_KVM);
  g_assert_null (plain->tsc_frequency);
  g_assert_null (plain->policy);
  g_assert_false (plain->is_observed);

  g_assert_false (rich->is_running);
  g_assert_true (rich->has_helper);
  g_assert_cmpstr (rich->tsc_frequency, ==, "2600000000");
  g_assert_cmpstr (rich->policy, ==, "mode=observe guestsWithoutKvmclock=advance");
  g_assert_true (rich->is_observed);
  g_assert_true (rich->advances_without_pv_clock);

  g_assert_false (emulated->is_kvm);
  g_assert_null (bad->policy);
  g_assert_nonnull (bad->policy_problem);

  g_assert_null (domain_facts_parse ("<volume/>", &error));
  g_assert_nonnull (error);
}

/* The last LD_PRELOAD wins, as in libvirt. */
static void
test_overridden_helper (void)
{
  g_autoptr (DomainFacts)
    facts = parse ("kvm", 3,
                   HELPER "<qemu:commandline><qemu:env name='LD_PRELOAD' value='mine.so'/>"
                          "</qemu:commandline>");

  g_assert_false (facts->has_helper);
}

static void
test_pv_clock (void)
{
  static const struct {
    const char *elements;
    PvClock pv_clock;
  } cases[] = {
    { "<clock><timer name='kvmclock' present='yes'/></clock>", PV_CLOCK_KVM },
    { "<clock><timer name='kvmclock' present='no'/></clock>", PV_CLOCK_NONE },
    { "<clock><timer name='kvmclock' present='no'/><timer name='hypervclock' "
      "present='yes'/></clock>",
      PV_CLOCK_HYPERV },
    { "<features><kvm><hidden state='on'/></kvm></features>", PV_CLOCK_NONE },
    { "<features><kvm><hidden state='on'/></kvm></features>"
      "<clock><timer name='hypervclock' present='yes'/></clock>",
      PV_CLOCK_HYPERV },
    { "<features><kvm><hidden state='off'/></kvm></features>", PV_CLOCK_KVM },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (DomainFacts) facts = parse ("kvm", 3, cases[i].elements);

    g_assert_cmpint (facts->pv_clock, ==, cases[i].pv_clock);
  }
}

/* verdicts */

#define JOURNAL "journalctl -b -n 20 -u clockferryd CLOCKFERRY_DOMAIN=" UUID
#define EDIT_POLICY                                                                                \
  "virsh -c qemu:///system metadata " UUID                                                         \
  " --uri https://clockferry.org/policy/1 --key clockferry --edit"

/* A domain that runs with the helper, and that the daemon is ready for. */
static DomainCheck *
make_ready (const char *elements)
{
  DomainCheck *check = g_new0 (DomainCheck, 1);
  g_autofree char *all = g_strconcat (HELPER, elements, NULL);

  check->facts = parse ("kvm", 3, all);
  check->state = (DomainState){ .is_known = TRUE, .is_ready = TRUE, .has_link = TRUE };
  return check;
}

/* Its verdict must be @verdict, and told with @words. Returns the list. */
static CheckList *
judge (const DomainCheck *check, DomainVerdict verdict, const char *words)
{
  CheckList *list = check_list_new (NULL, NULL);
  g_autofree char *sentence = NULL;

  g_assert_cmpint (domain_check_judge (check, list), ==, verdict);
  sentence = domain_check_describe (check, verdict, list);
  if (!g_str_has_prefix (sentence, "web ") || strstr (sentence, words) == NULL)
    g_error ("\"%s\" has no \"%s\"", sentence, words);
  check_expect_commands (list);
  return list;
}

static void
test_fixed (void)
{
  g_autoptr (DomainCheck) check = make_ready ("");
  g_autoptr (CheckList) list = judge (check, DOMAIN_FIXED, "would be fixed");

  g_assert_cmpint (check_list_get_status (list), ==, CHECK_OK);
  check_expect (list, "domain-helper", CHECK_OK, "connected", NULL);
  check_expect (list, "domain-ready", CHECK_OK, NULL, NULL);
  check_expect (list, "domain-policy", CHECK_OK, "none", NULL);
}

static void
test_bad_policy (void)
{
  g_autoptr (DomainCheck) check = make_ready (POLICY ("maxAdvanceSec='0'"));
  g_autoptr (CheckList) list = judge (check, DOMAIN_FIXED, "except");

  check_expect (list, "domain-policy", CHECK_WARNING, "maxAdvanceSec", EDIT_POLICY);
}

static void
test_observed (void)
{
  g_autoptr (DomainCheck) check = make_ready (POLICY ("mode='observe'"));
  g_autoptr (CheckList)
    list = judge (check, DOMAIN_OBSERVED, "would only be observed at its next migration");

  check_expect (list, "domain-policy", CHECK_WARNING, "mode=observe", EDIT_POLICY);
}

/* What is wrong outweighs what is wanted. */
static void
test_observed_in_vain (void)
{
  g_autoptr (DomainCheck) check = make_ready (POLICY ("mode='observe'"));
  g_autoptr (CheckList) list = NULL;

  check->state.is_ready = FALSE;
  check->state.problem = g_strdup ("libvirt is gone");
  list = judge (check, DOMAIN_STOCK, "libvirt is gone");
  g_assert_cmpint (check_list_get_status (list), ==, CHECK_FAILURE);
}

static void
test_no_clock (void)
{
  const char *none = "<clock><timer name='kvmclock' present='no'/></clock>";
  g_autofree char *advanced = g_strconcat (POLICY ("guestsWithoutKvmclock='advance'"), none, NULL);
  g_autoptr (DomainCheck) check = make_ready (none);
  g_autoptr (CheckList) list = judge (check, DOMAIN_STOCK, "guestsWithoutKvmclock");
  g_autoptr (DomainCheck) second = make_ready (advanced);
  g_autoptr (CheckList) second_list = judge (second, DOMAIN_FIXED, "would be fixed");

  check_expect (list, "domain-clock", CHECK_FAILURE, NULL, NULL);
  check_expect (second_list, "domain-clock", CHECK_OK, "none", NULL);
}

static void
test_emulated (void)
{
  g_autoptr (DomainCheck) check = g_new0 (DomainCheck, 1);
  g_autoptr (CheckList) list = NULL;

  check->facts = parse ("qemu", 3, "");
  list = judge (check, DOMAIN_EMULATED, "emulated");
  /* of nothing else it matters how it is */
  g_assert_cmpuint (check_list_get_results (list)->len, ==, 1);
}

static void
test_without_helper (void)
{
  g_autoptr (DomainCheck) check = g_new0 (DomainCheck, 1);
  g_autoptr (CheckList) list = NULL;
  g_autoptr (CheckList) defined_list = NULL;
  g_autoptr (CheckList) off_list = NULL;

  check->facts = parse ("kvm", 3, "");
  check->state = (DomainState){ .is_known = TRUE, .problem = g_strdup ("there is no helper") };
  list = judge (check, DOMAIN_STOCK, "started without");
  check_expect (list, "domain-helper", CHECK_FAILURE, CLOCKFERRY_HELPER_SONAME,
                "virsh -c qemu:///system edit " UUID);
  /* which says why it is not observed instead */
  check_expect (list, "domain-ready", CHECK_FAILURE, "there is no helper", JOURNAL);

  check->definition = parse ("kvm", -1, HELPER);
  defined_list = judge (check, DOMAIN_STOCK, "start it again");
  check_expect (defined_list, "domain-helper", CHECK_FAILURE, NULL,
                "virsh -c qemu:///system shutdown " UUID);

  g_clear_pointer (&check->facts, domain_facts_free);
  check->facts = parse ("kvm", -1, "");
  /* whether it could be observed then is no matter of the domain's */
  off_list = judge (check, DOMAIN_FIXED, "does not run");
  check_expect (off_list, "domain-helper", CHECK_WARNING, "takes the observer",
                "virsh -c qemu:///system edit " UUID);
  check_expect_none (off_list, "domain-ready");
}

/* Its QEMU was started before there was one. */
static void
test_to_be_observed (void)
{
  g_autoptr (DomainCheck) check = make_ready ("");
  g_autoptr (CheckList) list = NULL;

  domain_facts_free (check->facts);
  check->facts = parse ("kvm", 3, "");
  check->state.has_link = FALSE;
  list = judge (check, DOMAIN_FIXED, "would be fixed");
  check_expect (list, "domain-helper", CHECK_OK, "will be observed instead", NULL);
  check_expect (list, "domain-ready", CHECK_OK, NULL, NULL);
}

static void
test_not_ready (void)
{
  g_autoptr (DomainCheck) check = make_ready ("");
  g_autoptr (CheckList) list = NULL;
  g_autoptr (CheckList) unknown_list = NULL;

  check->state.is_ready = FALSE;
  check->state.has_link = FALSE;
  check->state.problem = g_strdup ("another process listens there");
  list = judge (check, DOMAIN_STOCK, "another process listens there");
  check_expect (list, "domain-helper", CHECK_OK, "started with it", NULL);
  check_expect (list, "domain-ready", CHECK_FAILURE, NULL, JOURNAL);

  check->state.is_known = FALSE;
  unknown_list = judge (check, DOMAIN_STOCK, "does not know it");
  check_expect (unknown_list, "domain-ready", CHECK_FAILURE, NULL, "clockferryctl check");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ctl-check-domain/facts", test_facts);
  g_test_add_func ("/ctl-check-domain/overridden-helper", test_overridden_helper);
  g_test_add_func ("/ctl-check-domain/pv-clock", test_pv_clock);
  g_test_add_func ("/ctl-check-domain/fixed", test_fixed);
  g_test_add_func ("/ctl-check-domain/bad-policy", test_bad_policy);
  g_test_add_func ("/ctl-check-domain/observed", test_observed);
  g_test_add_func ("/ctl-check-domain/observed-in-vain", test_observed_in_vain);
  g_test_add_func ("/ctl-check-domain/no-clock", test_no_clock);
  g_test_add_func ("/ctl-check-domain/emulated", test_emulated);
  g_test_add_func ("/ctl-check-domain/without-helper", test_without_helper);
  g_test_add_func ("/ctl-check-domain/to-be-observed", test_to_be_observed);
  g_test_add_func ("/ctl-check-domain/not-ready", test_not_ready);
  return g_test_run ();
}
