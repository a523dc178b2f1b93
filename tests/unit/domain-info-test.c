/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <string.h>

#include "domain-info.h"
#include "error.h"

#define UUID   "4dea22b3-1d52-d8f3-2516-782e98ab3fa0"
#define HEX_64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define NS     "https://clockferry.org/domain/1"

/* what libvirt makes of an element it was given: SetMetadata injects prefix and namespace */
static char *
make_domain_xml (const char *metadata)
{
  return g_strdup_printf ("<domain type='kvm' id='7'>\n"
                          "  <name>web</name>\n"
                          "  <uuid>" UUID "</uuid>\n"
                          "  <metadata>%s</metadata>\n"
                          "  <devices/>\n"
                          "</domain>\n",
                          metadata);
}

static DomainInfo *
parse (const char *metadata)
{
  g_autofree char *xml = make_domain_xml (metadata);
  g_autoptr (GError) error = NULL;
  DomainInfo *info = domain_info_parse (xml, &error);

  g_assert_no_error (error);
  g_assert_nonnull (info);
  return info;
}

static char *
inject_namespace (const char *element_xml)
{
  g_assert_true (g_str_has_prefix (element_xml, "<source "));
  return g_strconcat ("<clockferry:source xmlns:clockferry='" NS "' ",
                      element_xml + strlen ("<source "), NULL);
}

static void
assert_round_trip (const char *address, guint16 port)
{
  SourceElement element = {
    .address = (char *) address, .port = port, .pin = (char *) HEX_64, .ticket = (char *) HEX_64
  };
  g_autofree char *xml = source_element_to_xml (&element);
  g_autofree char *metadata = inject_namespace (xml);
  g_autoptr (DomainInfo) info = parse (metadata);
  g_autoptr (SourceElement) copy = NULL;

  g_assert_cmpstr (info->source_problem, ==, NULL);
  g_assert_nonnull (info->source);
  copy = source_element_copy (info->source);
  g_assert_cmpstr (copy->address, ==, address);
  g_assert_cmpuint (copy->port, ==, port);
  g_assert_cmpstr (copy->pin, ==, HEX_64);
  g_assert_cmpstr (copy->ticket, ==, HEX_64);
}

static void
test_domain (void)
{
  g_autoptr (DomainInfo) info = parse ("");

  g_assert_cmpstr (info->name, ==, "web");
  g_assert_cmpstr (info->uuid, ==, UUID);
  g_assert_cmpint (info->id, ==, 7);
  g_assert_true (info->is_kvm);
  g_assert_null (info->source);
  g_assert_null (info->source_problem);
}

static void
test_round_trip (void)
{
  assert_round_trip ("kvm1.example.org", 16520);
  assert_round_trip ("192.0.2.7", 1);
  assert_round_trip ("fe80::1%br0", 65535);
}

/* An address that has to be escaped is not a host name: it comes back as XML, and is refused. */
static void
test_escaping (void)
{
  SourceElement element = {
    .address = (char *) "a'/><x y=\"&", .port = 1, .pin = (char *) HEX_64, .ticket = (char *) HEX_64
  };
  g_autofree char *xml = source_element_to_xml (&element);
  g_autofree char *metadata = inject_namespace (xml);
  g_autoptr (DomainInfo) info = parse (metadata);

  g_assert_null (strstr (xml, "<x"));
  g_assert_null (info->source);
  g_assert_nonnull (strstr (info->source_problem, "address"));
}

typedef struct {
  const char *attributes;
  const char *named; /* in the problem */
} BadElement;

static const BadElement bad_elements[] = {
  { "port='1' pin='" HEX_64 "' ticket='" HEX_64 "'", "address" },
  { "address='' port='1' pin='" HEX_64 "' ticket='" HEX_64 "'", "address" },
  { "address='a b' port='1' pin='" HEX_64 "' ticket='" HEX_64 "'", "address" },
  { "address='a&#10;b' port='1' pin='" HEX_64 "' ticket='" HEX_64 "'", "address" },
  { "address='a' pin='" HEX_64 "' ticket='" HEX_64 "'", "port" },
  { "address='a' port='0' pin='" HEX_64 "' ticket='" HEX_64 "'", "port" },
  { "address='a' port='65536' pin='" HEX_64 "' ticket='" HEX_64 "'", "port" },
  { "address='a' port='-1' pin='" HEX_64 "' ticket='" HEX_64 "'", "port" },
  { "address='a' port='16520x' pin='" HEX_64 "' ticket='" HEX_64 "'", "port" },
  { "address='a' port='1' ticket='" HEX_64 "'", "pin" },
  { "address='a' port='1' pin='" HEX_64 "0' ticket='" HEX_64 "'", "pin" },
  { "address='a' port='1' pin='0123' ticket='" HEX_64 "'", "pin" },
  { "address='a' port='1' pin='" HEX_64 "'", "ticket" },
  { "address='a' port='1' pin='" HEX_64 "' ticket=''", "ticket" },
  { "", "address" },
};

static void
test_bad_attributes (void)
{
  for (gsize i = 0; i < G_N_ELEMENTS (bad_elements); i++) {
    g_autofree char *metadata =
      g_strdup_printf ("<c:source xmlns:c='" NS "' %s/>", bad_elements[i].attributes);
    g_autoptr (DomainInfo) info = parse (metadata);

    g_test_message ("%s: %s", bad_elements[i].attributes, info->source_problem);
    g_assert_null (info->source);
    g_assert_nonnull (info->source_problem);
    g_assert_true (g_str_has_prefix (info->source_problem, bad_elements[i].named));
  }
}

/* upper-case digits would make two spellings of one ticket */
static void
test_upper_case_digits (void)
{
  g_autofree char *upper = g_ascii_strup (HEX_64, -1);
  g_autofree char *metadata = g_strdup_printf (
    "<c:source xmlns:c='" NS "' address='a' port='1' pin='" HEX_64 "' ticket='%s'/>", upper);
  g_autoptr (DomainInfo) info = parse (metadata);

  g_assert_null (info->source);
  g_assert_true (g_str_has_prefix (info->source_problem, "ticket"));
}

static void
test_other_namespaces (void)
{
  g_autoptr (DomainInfo) info =
    parse ("<source address='a'/><o:source xmlns:o='https://clockferry.org/domain/2'/>"
           "<libosinfo:libosinfo xmlns:libosinfo='http://libosinfo.org/1.0'><c:source xmlns:c='" NS
           "'/></libosinfo:libosinfo>"
           "<c:other xmlns:c='" NS "'/>");

  g_assert_null (info->source);
  g_assert_null (info->source_problem);
}

/* any prefix will do: the namespace is what counts */
static void
test_among_others (void)
{
  g_autoptr (DomainInfo) info = parse (
    "<o:thing xmlns:o='urn:other'/> text <!-- and a comment --> "
    "<x:source xmlns:x='" NS "' address='h' port='2' pin='" HEX_64 "' ticket='" HEX_64 "'/>");

  g_assert_null (info->source_problem);
  g_assert_nonnull (info->source);
  g_assert_cmpstr (info->source->address, ==, "h");
}

static void
test_not_kvm_not_running (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (DomainInfo) info = domain_info_parse (
    "<domain type='qemu'><name>a &amp; b</name><uuid>" UUID "</uuid></domain>", &error);

  g_assert_no_error (error);
  g_assert_cmpstr (info->name, ==, "a & b");
  g_assert_cmpint (info->id, ==, -1);
  g_assert_false (info->is_kvm);
}

static void
test_not_a_domain (void)
{
  const char *const texts[] = {
    "",
    "no xml",
    "<domain>",
    "<network><name>a</name><uuid>" UUID "</uuid></network>",
    "<domain><uuid>" UUID "</uuid></domain>",
    "<domain><name>a</name></domain>",
    "<domain><name>a</name><uuid>not-a-uuid</uuid></domain>",
    "<d:domain xmlns:d='urn:x'><d:name>a</d:name></d:domain>",
  };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (DomainInfo) info = domain_info_parse (texts[i], &error);

    g_test_message ("%s", texts[i]);
    g_assert_null (info);
    g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_XML);
  }
}

/* An entity that expands to a file, or to gigabytes, stays unexpanded. */
static void
test_entities (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (DomainInfo)
    info = domain_info_parse ("<!DOCTYPE domain [<!ENTITY e SYSTEM 'file:///etc/hostname'>]>"
                              "<domain type='kvm'><name>a&e;b</name><uuid>" UUID "</uuid></domain>",
                              &error);

  g_assert_no_error (error);
  g_assert_cmpstr (info->name, ==, "ab");
}

static void
test_tickets (void)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *one = source_element_make_ticket (&error);
  g_autofree char *other = source_element_make_ticket (&error);

  g_assert_no_error (error);
  g_assert_cmpuint (strlen (one), ==, 64);
  g_assert_cmpuint (strspn (one, "0123456789abcdef"), ==, 64);
  g_assert_cmpstr (one, !=, other);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/domain-info/domain", test_domain);
  g_test_add_func ("/domain-info/round-trip", test_round_trip);
  g_test_add_func ("/domain-info/escaping", test_escaping);
  g_test_add_func ("/domain-info/bad-attributes", test_bad_attributes);
  g_test_add_func ("/domain-info/upper-case-digits", test_upper_case_digits);
  g_test_add_func ("/domain-info/other-namespaces", test_other_namespaces);
  g_test_add_func ("/domain-info/among-others", test_among_others);
  g_test_add_func ("/domain-info/not-kvm-not-running", test_not_kvm_not_running);
  g_test_add_func ("/domain-info/not-a-domain", test_not_a_domain);
  g_test_add_func ("/domain-info/entities", test_entities);
  g_test_add_func ("/domain-info/tickets", test_tickets);
  return g_test_run ();
}
