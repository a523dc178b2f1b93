/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hook-filter.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define QEMU_NS     "http://libvirt.org/schemas/domain/qemu/1.0"
#define QEMU_PREFIX "qemu"
#define VARIABLE    "LD_PRELOAD"

/* What ld.so takes for separators in LD_PRELOAD, ld.so(8). */
#define SEPARATORS ": "

/* LD_PRELOAD in the environment that a document gives to QEMU. */
struct preload {
  xmlNodePtr effective; /* the last of several: libvirt lets it win */
  unsigned int count;
};

/* internal methods: parsing */

/* libvirt writes no DOCTYPE; whoever did wants entities, and gets none. */
static void
stop_at_doctype (void *user_data, const xmlChar *name, const xmlChar *external_id,
                 const xmlChar *system_id)
{
  xmlStopParser (user_data);
}

static xmlDocPtr
parse_document (const char *xml, size_t size)
{
  xmlParserCtxtPtr parser;
  xmlDocPtr doc;

  if (size > INT_MAX)
    return NULL;
  parser = xmlNewParserCtxt ();
  if (parser == NULL)
    return NULL;
  parser->sax->internalSubset = stop_at_doctype;
  doc = xmlCtxtReadMemory (parser, xml, (int) size, NULL, NULL,
                           XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
  /* a prefix that nobody declared: a declaration of ours would give it a meaning */
  if (doc != NULL && !parser->nsWellFormed) {
    xmlFreeDoc (doc);
    doc = NULL;
  }
  xmlFreeParserCtxt (parser);
  return doc;
}

static bool
node_is (xmlNodePtr node, const char *ns, const char *name)
{
  const char *node_ns = node->ns == NULL ? NULL : (const char *) node->ns->href;

  if (node->type != XML_ELEMENT_NODE || strcmp ((const char *) node->name, name) != 0)
    return false;
  return ns == NULL ? node_ns == NULL : node_ns != NULL && strcmp (node_ns, ns) == 0;
}

static bool
attribute_is (xmlNodePtr node, const char *name, const char *value)
{
  xmlChar *text = xmlGetNoNsProp (node, (const xmlChar *) name);
  bool same = text != NULL && strcmp ((const char *) text, value) == 0;

  xmlFree (text);
  return same;
}

static xmlNodePtr
find_commandline (xmlNodePtr domain)
{
  for (xmlNodePtr node = domain->children; node != NULL; node = node->next) {
    if (node_is (node, QEMU_NS, "commandline"))
      return node;
  }
  return NULL;
}

static bool
is_preload (xmlNodePtr node)
{
  return node_is (node, QEMU_NS, "env") && attribute_is (node, "name", VARIABLE);
}

static struct preload
find_preload (xmlNodePtr domain)
{
  struct preload preload = { 0 };

  for (xmlNodePtr node = domain->children; node != NULL; node = node->next) {
    if (!node_is (node, QEMU_NS, "commandline"))
      continue;
    for (xmlNodePtr env = node->children; env != NULL; env = env->next) {
      if (is_preload (env)) {
        preload.effective = env;
        preload.count++;
      }
    }
  }
  return preload;
}

/* internal methods: the value */

/* How often the helper is in @value, and whether it is the very first entry, as a bare soname. */
static unsigned int
count_helper (const char *value, const char *soname, bool *is_first)
{
  unsigned int count = 0;

  *is_first = false;
  for (const char *entry = value; *entry != '\0';) {
    size_t length = strcspn (entry, SEPARATORS);

    if (hook_filter_is_helper (entry, length, soname)) {
      count++;
      *is_first |= entry == value && length == strlen (soname) &&
                   strncmp (entry, soname, length) == 0;
    }
    entry += length;
    entry += strspn (entry, SEPARATORS);
  }
  return count;
}

/* The entries of @value but the helper's, after the helper if @action adds it. NULL: no memory. */
static char *
make_value (const char *value, enum hook_action action, const char *soname)
{
  /* every entry is copied once, with one separator before it */
  char *made = malloc (strlen (soname) + 1 + strlen (value) + 1);
  char *end = made;

  if (made == NULL)
    return NULL;
  if (action == HOOK_ADD_HELPER)
    end = stpcpy (end, soname);
  for (const char *entry = value; *entry != '\0';) {
    size_t length = strcspn (entry, SEPARATORS);

    if (length > 0 && !hook_filter_is_helper (entry, length, soname)) {
      if (end != made)
        *end++ = ':';
      end = mempcpy (end, entry, length);
    }
    entry += length;
    entry += strspn (entry, SEPARATORS);
  }
  *end = '\0';
  return made;
}

/* internal methods: editing */

static void
remove_node (xmlNodePtr node)
{
  xmlUnlinkNode (node);
  xmlFreeNode (node);
}

/* Remove every LD_PRELOAD but @keep, and each <qemu:commandline> that this empties. */
static void
remove_preloads (xmlNodePtr domain, xmlNodePtr keep)
{
  xmlNodePtr next_node;
  xmlNodePtr next_env;

  for (xmlNodePtr node = domain->children; node != NULL; node = next_node) {
    bool removed = false;

    next_node = node->next;
    if (!node_is (node, QEMU_NS, "commandline"))
      continue;
    for (xmlNodePtr env = node->children; env != NULL; env = next_env) {
      next_env = env->next;
      if (env == keep || !is_preload (env))
        continue;
      remove_node (env);
      removed = true;
    }
    if (removed && xmlFirstElementChild (node) == NULL)
      remove_node (node);
  }
}

/* Returns: the new, empty <qemu:env>, in the document; NULL if the document has no room for it. */
static xmlNodePtr
add_preload (xmlNodePtr domain)
{
  xmlNodePtr commandline = find_commandline (domain);
  xmlNodePtr env;
  xmlNsPtr ns;

  if (commandline == NULL) {
    ns = xmlSearchNsByHref (domain->doc, domain, (const xmlChar *) QEMU_NS);
    if (ns == NULL)
      ns = xmlNewNs (domain, (const xmlChar *) QEMU_NS, (const xmlChar *) QEMU_PREFIX);
    if (ns == NULL)
      return NULL;
    commandline = xmlNewChild (domain, ns, (const xmlChar *) "commandline", NULL);
  }
  if (commandline == NULL)
    return NULL;
  env = xmlNewChild (commandline, commandline->ns, (const xmlChar *) "env", NULL);
  if (env == NULL || xmlNewProp (env, (const xmlChar *) "name", (const xmlChar *) VARIABLE) == NULL)
    return NULL;
  return env;
}

/* Give QEMU @value, or no LD_PRELOAD at all if it is empty. */
static bool
set_preload (xmlNodePtr domain, xmlNodePtr effective, const char *value)
{
  if (*value == '\0') {
    remove_preloads (domain, NULL);
    return true;
  }
  if (effective == NULL)
    effective = add_preload (domain);
  if (effective == NULL ||
      xmlSetProp (effective, (const xmlChar *) "value", (const xmlChar *) value) == NULL)
    return false;
  remove_preloads (domain, effective);
  return true;
}

static bool
serialise (xmlDocPtr doc, char **output, size_t *output_size)
{
  xmlChar *text = NULL;
  int size = 0;

  xmlDocDumpMemoryEnc (doc, &text, &size, "UTF-8");
  if (text == NULL || size <= 0) {
    xmlFree (text);
    return false;
  }
  /* xmlFree() is free() unless a program sets another, and this one does not */
  *output = (char *) text;
  *output_size = (size_t) size;
  return true;
}

static enum hook_result
edit_document (xmlDocPtr doc, enum hook_action action, const char *soname, char **output,
               size_t *output_size, const char **reason)
{
  xmlNodePtr domain = xmlDocGetRootElement (doc);
  struct preload preload;
  xmlChar *value = NULL;
  char *new_value = NULL;
  bool is_first = false;
  unsigned int count = 0;
  bool done;

  if (domain == NULL || !node_is (domain, NULL, "domain")) {
    *reason = "this is not the XML of a domain";
    return HOOK_IN_DOUBT;
  }
  /* the clocks of other kinds of domains are not KVM's */
  if (action == HOOK_ADD_HELPER && !attribute_is (domain, "type", "kvm"))
    return HOOK_UNCHANGED;

  preload = find_preload (domain);
  if (preload.effective != NULL)
    value = xmlGetNoNsProp (preload.effective, (const xmlChar *) "value");
  if (value != NULL)
    count = count_helper ((const char *) value, soname, &is_first);
  if (action == HOOK_ADD_HELPER ? count == 1 && is_first : count == 0) {
    xmlFree (value);
    return HOOK_UNCHANGED;
  }

  new_value = make_value (value == NULL ? "" : (const char *) value, action, soname);
  done = new_value != NULL && set_preload (domain, preload.effective, new_value) &&
         serialise (doc, output, output_size);
  free (new_value);
  xmlFree (value);
  if (done)
    return HOOK_CHANGED;
  *reason = "the XML cannot be changed (out of memory, or the prefix \"" QEMU_PREFIX
            "\" means something else)";
  return HOOK_IN_DOUBT;
}

/* public methods */

bool
hook_filter_is_helper (const char *entry, size_t length, const char *soname)
{
  const char *slash = memrchr (entry, '/', length);
  const char *name = slash == NULL ? entry : slash + 1;
  size_t name_length = length - (size_t) (name - entry);
  size_t soname_length = strlen (soname);

  return name_length >= soname_length && strncmp (name, soname, soname_length) == 0 &&
         (name_length == soname_length || name[soname_length] == '.');
}

enum hook_result
hook_filter_apply (const char *xml, size_t size, enum hook_action action, const char *soname,
                   char **output, size_t *output_size, const char **reason)
{
  xmlDocPtr doc = parse_document (xml, size);
  enum hook_result result;

  if (doc == NULL) {
    *reason = "the XML on standard input is malformed";
    return HOOK_IN_DOUBT;
  }
  result = edit_document (doc, action, soname, output, output_size, reason);
  xmlFreeDoc (doc);
  return result;
}
