/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hook-filter.h"

#include <glib.h>
#include <libxml/parser.h>
#include <stdlib.h>
#include <string.h>

#define SONAME "libclockferry-qemu.so"

#define QEMU(inside)                                                                               \
  "<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>a</name>"      \
  "<qemu:commandline>" inside "</qemu:commandline></domain>"
#define ENV(value) "<qemu:env name='LD_PRELOAD' value='" value "'/>"

/* what QEMU's LD_PRELOAD will be, read from a document as libvirt does */

static char *
read_preload (const char *xml)
{
  g_autofree char *copy = g_strdup (xml);
  xmlDocPtr doc = xmlReadMemory (copy, (int) strlen (copy), NULL, NULL, XML_PARSE_NONET);
  char *found = NULL;

  g_assert_nonnull (doc);
  for (xmlNodePtr node = xmlDocGetRootElement (doc)->children; node != NULL; node = node->next) {
    if (node->type != XML_ELEMENT_NODE || !g_str_equal (node->name, "commandline"))
      continue;
    g_assert_cmpstr ((const char *) node->ns->href, ==,
                     "http://libvirt.org/schemas/domain/qemu/1.0");
    for (xmlNodePtr env = node->children; env != NULL; env = env->next) {
      xmlChar *name;
      xmlChar *value;

      if (env->type != XML_ELEMENT_NODE || !g_str_equal (env->name, "env"))
        continue;
      name = xmlGetNoNsProp (env, (const xmlChar *) "name");
      value = xmlGetNoNsProp (env, (const xmlChar *) "value");
      if (g_str_equal (name, "LD_PRELOAD")) {
        g_free (found);
        found = g_strdup (value == NULL ? "" : (const char *) value);
      }
      xmlFree (name);
      xmlFree (value);
    }
  }
  xmlFreeDoc (doc);
  return found;
}

static enum hook_result
apply (const char *xml, enum hook_action action, char **output, const char **reason)
{
  char *made = NULL;
  size_t size = 0;
  enum hook_result result =
    hook_filter_apply (xml, strlen (xml), action, SONAME, &made, &size, reason);

  if (result == HOOK_CHANGED) {
    *output = g_strndup (made, size);
    g_assert_cmpuint (strlen (*output), ==, size);
    free (made);
  }
  return result;
}

/* @want is the LD_PRELOAD afterwards, NULL for none; applying it again must change nothing. */
static void
assert_preload (const char *xml, enum hook_action action, const char *want)
{
  g_autofree char *output = NULL;
  g_autofree char *again = NULL;
  g_autofree char *preload = NULL;
  const char *reason = NULL;

  g_assert_cmpint (apply (xml, action, &output, &reason), ==, HOOK_CHANGED);
  g_assert_nonnull (output);
  preload = read_preload (output);
  g_assert_cmpstr (preload, ==, want);
  g_assert_cmpint (apply (output, action, &again, &reason), ==, HOOK_UNCHANGED);
}

static void
assert_unchanged (const char *xml, enum hook_action action)
{
  g_autofree char *output = NULL;
  const char *reason = NULL;

  g_assert_cmpint (apply (xml, action, &output, &reason), ==, HOOK_UNCHANGED);
}

static void
assert_in_doubt (const char *xml)
{
  g_autofree char *output = NULL;
  const char *reason = NULL;

  g_assert_cmpint (apply (xml, HOOK_ADD_HELPER, &output, &reason), ==, HOOK_IN_DOUBT);
  g_assert_nonnull (reason);
}

/* tests */

static void
test_adds (void)
{
  assert_preload ("<domain type='kvm'><name>a</name></domain>", HOOK_ADD_HELPER, SONAME);
  assert_preload ("<domain type=\"kvm\"/>", HOOK_ADD_HELPER, SONAME);
  assert_preload (QEMU (""), HOOK_ADD_HELPER, SONAME);
  assert_preload (QEMU ("<qemu:env name='OTHER' value='1'/>"), HOOK_ADD_HELPER, SONAME);
  assert_preload (QEMU ("<qemu:env name='LD_PRELOAD'/>"), HOOK_ADD_HELPER, SONAME);
  assert_preload ("<domain type='kvm' xmlns:q='http://libvirt.org/schemas/domain/qemu/1.0'/>",
                  HOOK_ADD_HELPER, SONAME);
}

static void
test_merges (void)
{
  assert_preload (QEMU (ENV ("/a.so")), HOOK_ADD_HELPER, SONAME ":/a.so");
  assert_preload (QEMU (ENV ("a.so b.so:c.so")), HOOK_ADD_HELPER, SONAME ":a.so:b.so:c.so");
  assert_preload (QEMU (ENV (" :a.so: ")), HOOK_ADD_HELPER, SONAME ":a.so");
  assert_preload (QEMU (ENV ("a&amp;&lt;.so")), HOOK_ADD_HELPER, SONAME ":a&<.so");
}

static void
test_replaces_its_own (void)
{
  assert_preload (QEMU (ENV ("/opt/x/" SONAME)), HOOK_ADD_HELPER, SONAME);
  assert_preload (QEMU (ENV (SONAME ".0.9:a.so")), HOOK_ADD_HELPER, SONAME ":a.so");
  assert_preload (QEMU (ENV ("a.so:" SONAME)), HOOK_ADD_HELPER, SONAME ":a.so");
  assert_preload (QEMU (ENV (SONAME " " SONAME)), HOOK_ADD_HELPER, SONAME);
  /* and nobody else's */
  assert_preload (QEMU (ENV ("my" SONAME)), HOOK_ADD_HELPER, SONAME ":my" SONAME);
  assert_preload (QEMU (ENV ("libclockferry-qemu.sox")), HOOK_ADD_HELPER,
                  SONAME ":libclockferry-qemu.sox");
}

static void
test_is_idempotent (void)
{
  assert_unchanged (QEMU (ENV (SONAME)), HOOK_ADD_HELPER);
  assert_unchanged (QEMU (ENV (SONAME ":a.so")), HOOK_ADD_HELPER);
  assert_unchanged (QEMU (ENV (SONAME " a.so")), HOOK_ADD_HELPER);
}

/* The last one is what libvirt gives to QEMU. */
static void
test_several (void)
{
  assert_preload (QEMU (ENV ("a.so") ENV ("b.so")), HOOK_ADD_HELPER, SONAME ":b.so");
  assert_preload (QEMU (ENV (SONAME) ENV ("b.so")), HOOK_ADD_HELPER, SONAME ":b.so");
  assert_unchanged (QEMU (ENV ("a.so") ENV (SONAME)), HOOK_ADD_HELPER);
  assert_preload (QEMU (ENV ("a.so") ENV (SONAME)), HOOK_REMOVE_HELPER, NULL);
  assert_preload (QEMU (ENV (SONAME) ENV (SONAME ":b.so")), HOOK_REMOVE_HELPER, "b.so");
  assert_unchanged (QEMU (ENV (SONAME) ENV ("b.so")), HOOK_REMOVE_HELPER);
  assert_preload (QEMU (ENV ("a.so") "</qemu:commandline><qemu:commandline>" ENV ("b.so")),
                  HOOK_ADD_HELPER, SONAME ":b.so");
}

static void
test_removes (void)
{
  g_autofree char *output = NULL;
  const char *reason = NULL;

  assert_preload (QEMU (ENV (SONAME)), HOOK_REMOVE_HELPER, NULL);
  assert_preload (QEMU (ENV ("/old/" SONAME ":a.so")), HOOK_REMOVE_HELPER, "a.so");
  assert_unchanged (QEMU (ENV ("a.so b.so")), HOOK_REMOVE_HELPER);
  assert_unchanged (QEMU (""), HOOK_REMOVE_HELPER);
  assert_unchanged ("<domain type='kvm'/>", HOOK_REMOVE_HELPER);

  /* nothing is left of what was only there for the helper */
  g_assert_cmpint (apply (QEMU (ENV (SONAME)), HOOK_REMOVE_HELPER, &output, &reason), ==,
                   HOOK_CHANGED);
  g_assert_null (strstr (output, "commandline"));
}

static void
test_keeps_the_rest (void)
{
  const char *xml =
    "<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0' id='7'>"
    "<name>na\xc3\xafve &amp; &lt;b&gt;</name><metadata><x:y xmlns:x='urn:x' a='&#10;'>"
    "<qemu:env name='LD_PRELOAD' value='not here'/></x:y></metadata>"
    "<devices><graphics passwd='s&quot;e'/></devices>"
    "<qemu:commandline><qemu:arg value='-foo'/><qemu:env name='A' value='b'/>"
    "</qemu:commandline></domain>";
  const char *const kept[] = {
    "<name>na\xc3\xafve &amp; &lt;b&gt;</name>",
    "<x:y xmlns:x=\"urn:x\" a=\"&#10;\"><qemu:env name=\"LD_PRELOAD\" value=\"not here\"/></x:y>",
    "passwd=\"s&quot;e\"",
    "<qemu:commandline><qemu:arg value=\"-foo\"/><qemu:env name=\"A\" value=\"b\"/>"
    "<qemu:env name=\"LD_PRELOAD\" value=\"" SONAME "\"/></qemu:commandline></domain>",
  };
  g_autofree char *output = NULL;
  const char *reason = NULL;

  g_assert_cmpint (apply (xml, HOOK_ADD_HELPER, &output, &reason), ==, HOOK_CHANGED);
  g_assert_nonnull (output);
  for (gsize i = 0; i < G_N_ELEMENTS (kept); i++) {
    if (strstr (output, kept[i]) == NULL)
      g_error ("\"%s\" is missing in %s", kept[i], output);
  }
  assert_preload (xml, HOOK_ADD_HELPER, SONAME);
}

static void
test_other_domains (void)
{
  assert_unchanged ("<domain type='qemu'/>", HOOK_ADD_HELPER);
  assert_unchanged ("<domain type='xen'/>", HOOK_ADD_HELPER);
  assert_unchanged ("<domain/>", HOOK_ADD_HELPER);
}

static void
test_doubt (void)
{
  g_autoptr (GString) deep = g_string_new ("<domain type='kvm'>");

  assert_in_doubt ("");
  assert_in_doubt ("no XML");
  assert_in_doubt ("<domain type='kvm'>");
  assert_in_doubt ("<domain type='kvm'></domain><domain/>");
  assert_in_doubt ("<network type='kvm'/>");
  assert_in_doubt ("<domain type='kvm' xmlns='urn:other'/>");
  assert_in_doubt ("<domain type='kvm'>\xff</domain>");
  assert_in_doubt ("<domain type='kvm' xmlns:qemu='urn:other'/>");
  assert_in_doubt ("<domain type='kvm'>&unknown;</domain>");
  assert_in_doubt ("<domain type='kvm'><qemu:commandline/></domain>");

  for (guint i = 0; i < 10000; i++)
    g_string_append (deep, "<a>");
  assert_in_doubt (deep->str);
}

static void
test_entities (void)
{
  assert_in_doubt ("<!DOCTYPE domain><domain type='kvm'/>");
  assert_in_doubt ("<!DOCTYPE domain SYSTEM '/etc/hostname'><domain type='kvm'/>");
  assert_in_doubt ("<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/hostname'>]>"
                   "<domain type='kvm'>&x;</domain>");
  assert_in_doubt ("<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;'>]>"
                   "<domain type='kvm' a='&b;'/>");
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/hook-filter/adds", test_adds);
  g_test_add_func ("/hook-filter/merges", test_merges);
  g_test_add_func ("/hook-filter/replaces-its-own", test_replaces_its_own);
  g_test_add_func ("/hook-filter/is-idempotent", test_is_idempotent);
  g_test_add_func ("/hook-filter/several", test_several);
  g_test_add_func ("/hook-filter/removes", test_removes);
  g_test_add_func ("/hook-filter/keeps-the-rest", test_keeps_the_rest);
  g_test_add_func ("/hook-filter/other-domains", test_other_domains);
  g_test_add_func ("/hook-filter/doubt", test_doubt);
  g_test_add_func ("/hook-filter/entities", test_entities);
  return g_test_run ();
}
