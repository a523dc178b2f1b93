/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hook-xml - whatever libvirt writes to the hook's standard input, through both of its actions
 *
 * What comes out is nothing, or a document in which LD_PRELOAD is another and all else is the same:
 * that is asked of the canonical form of both without LD_PRELOAD.
 */
#include <libxml/c14n.h>
#include <libxml/parser.h>
#include <libxml/tree.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz-target.h"
#include "hook-filter.h"

#define QEMU_NS "http://libvirt.org/schemas/domain/qemu/1.0"
#define SONAME  "libclockferry-qemu.so"

G_DEFINE_AUTOPTR_CLEANUP_FUNC (xmlDoc, xmlFreeDoc)

/* A document that was changed by one action. */
typedef struct {
  char *text; /* malloc()ed */
  size_t size;
} Output;

static xmlDoc *
parse (const char *xml, size_t size)
{
  return xmlReadMemory (xml, (int) size, NULL, NULL,
                        XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
}

static gboolean
is_qemu (const xmlNode *node, const char *name)
{
  return node->type == XML_ELEMENT_NODE && node->ns != NULL &&
         g_str_equal ((const char *) node->ns->href, QEMU_NS) &&
         g_str_equal ((const char *) node->name, name);
}

static gboolean
is_preload (xmlNode *node)
{
  xmlChar *name = is_qemu (node, "env") ? xmlGetNoNsProp (node, (const xmlChar *) "name") : NULL;
  gboolean is_it = g_strcmp0 ((const char *) name, "LD_PRELOAD") == 0;

  xmlFree (name);
  return is_it;
}

/* Take out every LD_PRELOAD, and every command line without anything on it. */
static void
strip (xmlDoc *doc)
{
  xmlNode *next, *next_env;

  for (xmlNode *node = xmlDocGetRootElement (doc)->children; node != NULL; node = next) {
    next = node->next;
    if (!is_qemu (node, "commandline"))
      continue;
    for (xmlNode *env = node->children; env != NULL; env = next_env) {
      next_env = env->next;
      if (!is_preload (env))
        continue;
      xmlUnlinkNode (env);
      xmlFreeNode (env);
    }
    if (xmlFirstElementChild (node) == NULL) {
      xmlUnlinkNode (node);
      xmlFreeNode (node);
    }
  }
}

/* NULL for what has no canonical form, as with a relative name of a namespace. */
static char *
canonicalise (const char *xml, size_t size)
{
  g_autoptr (xmlDoc) doc = parse (xml, size);
  xmlChar *text = NULL;
  char *copy;

  g_assert_nonnull (doc);
  strip (doc);
  if (xmlC14NDocDumpMemory (doc, NULL, XML_C14N_EXCLUSIVE_1_0, NULL, 1, &text) < 0)
    return NULL;
  copy = g_strdup ((const char *) text);
  xmlFree (text);
  return copy;
}

/* libvirt lets the last one win. Owned by the caller; "" without any. */
static char *
read_preload (const char *xml, size_t size)
{
  g_autoptr (xmlDoc) doc = parse (xml, size);
  char *value = g_strdup ("");

  for (xmlNode *node = xmlDocGetRootElement (doc)->children; node != NULL; node = node->next) {
    for (xmlNode *env = is_qemu (node, "commandline") ? node->children : NULL; env != NULL;
         env = env->next) {
      xmlChar *text = is_preload (env) ? xmlGetNoNsProp (env, (const xmlChar *) "value") : NULL;

      if (is_preload (env)) {
        g_free (value);
        value = g_strdup (text != NULL ? (const char *) text : "");
      }
      xmlFree (text);
    }
  }
  return value;
}

/* The entries that are not the helper's, one line each; *@helpers is how many are. */
static char *
list_others (const char *value, guint *helpers)
{
  g_auto (GStrv) entries = g_strsplit_set (value, ": ", -1);
  GString *others = g_string_new (NULL);

  *helpers = 0;
  for (guint i = 0; entries[i] != NULL; i++) {
    if (hook_filter_is_helper (entries[i], strlen (entries[i]), SONAME))
      (*helpers)++;
    else if (*entries[i] != '\0')
      g_string_append_printf (others, "%s\n", entries[i]);
  }
  return g_string_free (others, FALSE);
}

static void
check_preload (const char *before, const char *after, enum hook_action action)
{
  guint helpers;
  g_autofree char *others_before = list_others (before, &helpers);
  g_autofree char *others_after = list_others (after, &helpers);

  g_assert_cmpstr (others_before, ==, others_after);
  g_assert_cmpuint (helpers, ==, action == HOOK_ADD_HELPER ? 1 : 0);
  /* where ld.so finds a symbol first, it is the helper's */
  if (action == HOOK_ADD_HELPER)
    g_assert_true (g_str_has_prefix (after, SONAME));
}

static void
check_changed (const char *xml, size_t size, enum hook_action action, const Output *output)
{
  g_autofree char *before = canonicalise (xml, size);
  g_autofree char *after = canonicalise (output->text, output->size);
  g_autofree char *preload_before = read_preload (xml, size);
  g_autofree char *preload_after = read_preload (output->text, output->size);

  g_assert_cmpstr (before, ==, after);
  check_preload (preload_before, preload_after, action);
}

/* Returns: whether there is an output, to be freed. */
static gboolean
apply (const char *xml, size_t size, enum hook_action action, Output *output)
{
  const char *reason = NULL;

  *output = (Output){ 0 };
  switch (hook_filter_apply (xml, size, action, SONAME, &output->text, &output->size, &reason)) {
  case HOOK_UNCHANGED:
    break;
  case HOOK_CHANGED:
    g_assert_nonnull (output->text);
    check_changed (xml, size, action, output);
    return TRUE;
  case HOOK_IN_DOUBT:
    g_assert_nonnull (reason);
    break;
  }
  g_assert_null (output->text);
  return FALSE;
}

static void
try_action (const char *xml, size_t size, enum hook_action action)
{
  Output output, again;

  if (!apply (xml, size, action, &output))
    return;
  /* once is enough, and the way back is open: on the way on, a host may be without the helper */
  g_assert_false (apply (output.text, output.size, action, &again));
  if (apply (output.text, output.size,
             action == HOOK_ADD_HELPER ? HOOK_REMOVE_HELPER : HOOK_ADD_HELPER, &again))
    free (again.text);
  else
    g_assert_cmpint (action, ==, HOOK_REMOVE_HELPER); /* no domain of KVM's */
  free (output.text);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  fuzz_begin ();
  try_action ((const char *) data, size, HOOK_ADD_HELPER);
  try_action ((const char *) data, size, HOOK_REMOVE_HELPER);
  return 0;
}
