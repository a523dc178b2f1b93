/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "domain-info.h"

#include <libxml/parser.h>
#include <libxml/tree.h>
#include <string.h>
#include <sys/random.h>

#include "error.h"
#include "names.h"

#define TICKET_BYTES   32
#define HEX_256_LENGTH 64

G_DEFINE_AUTOPTR_CLEANUP_FUNC (xmlDoc, xmlFreeDoc)

/* XML helpers */

static xmlNode *
find_child (xmlNode *parent, const char *name, const char *namespace_uri)
{
  for (xmlNode *node = parent->children; node != NULL; node = node->next) {
    const char *uri = node->ns != NULL ? (const char *) node->ns->href : NULL;

    if (node->type == XML_ELEMENT_NODE && g_str_equal ((const char *) node->name, name) &&
        g_strcmp0 (uri, namespace_uri) == 0)
      return node;
  }
  return NULL;
}

/* libxml2 allocates with its own allocator: hand out memory that g_free() may take. */
static char *
take_xml_string (xmlChar *string)
{
  char *copy = g_strdup ((const char *) string);

  xmlFree (string);
  return copy;
}

static char *
get_attribute (xmlNode *node, const char *name)
{
  return take_xml_string (xmlGetNoNsProp (node, (const xmlChar *) name));
}

static char *
get_child_text (xmlNode *parent, const char *name)
{
  xmlNode *child = find_child (parent, name, NULL);

  return child != NULL ? take_xml_string (xmlNodeGetContent (child)) : NULL;
}

/* the source element */

static gboolean
is_hex_256 (const char *text)
{
  return text != NULL && strlen (text) == HEX_256_LENGTH &&
         strspn (text, "0123456789abcdef") == HEX_256_LENGTH;
}

static gboolean
is_address (const char *text)
{
  return text != NULL && *text != '\0' && strlen (text) <= 255 &&
         strpbrk (text, " \t\r\n/<>&'\"") == NULL;
}

static SourceElement *
parse_source_element (xmlNode *node, char **problem)
{
  g_autoptr (SourceElement) element = g_new0 (SourceElement, 1);
  g_autofree char *port = get_attribute (node, "port");
  guint64 port_number = 0;

  element->address = get_attribute (node, "address");
  element->pin = get_attribute (node, "pin");
  element->ticket = get_attribute (node, "ticket");

  if (!is_address (element->address))
    *problem = g_strdup ("address is missing or not a host name");
  else if (port == NULL ||
           !g_ascii_string_to_unsigned (port, 10, 1, G_MAXUINT16, &port_number, NULL))
    *problem = g_strdup ("port is missing or not from 1 to 65535");
  else if (!is_hex_256 (element->pin))
    *problem = g_strdup ("pin is missing or not 64 hexadecimal digits");
  else if (!is_hex_256 (element->ticket))
    *problem = g_strdup ("ticket is missing or not 64 hexadecimal digits");

  if (*problem != NULL)
    return NULL;
  element->port = (guint16) port_number;
  return g_steal_pointer (&element);
}

void
source_element_free (SourceElement *element)
{
  g_free (element->address);
  g_free (element->pin);
  g_free (element->ticket);
  g_free (element);
}

SourceElement *
source_element_copy (const SourceElement *element)
{
  SourceElement *copy = g_new0 (SourceElement, 1);

  copy->address = g_strdup (element->address);
  copy->port = element->port;
  copy->pin = g_strdup (element->pin);
  copy->ticket = g_strdup (element->ticket);
  return copy;
}

char *
source_element_to_xml (const SourceElement *element)
{
  return g_markup_printf_escaped ("<source address='%s' port='%u' pin='%s' ticket='%s'/>",
                                  element->address, (guint) element->port, element->pin,
                                  element->ticket);
}

char *
source_element_make_ticket (GError **error)
{
  guint8 bytes[TICKET_BYTES];
  GString *text;

  /* up to 256 bytes are never short once the pool is ready (getrandom(2)) */
  if (getrandom (bytes, sizeof bytes, 0) != sizeof bytes) {
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno),
                 "cannot make a ticket: getrandom: %s", g_strerror (errno));
    return NULL;
  }
  text = g_string_sized_new (HEX_256_LENGTH + 1);
  for (gsize i = 0; i < sizeof bytes; i++)
    g_string_append_printf (text, "%02x", bytes[i]);
  return g_string_free (text, FALSE);
}

/* the domain */

void
domain_info_free (DomainInfo *info)
{
  g_free (info->name);
  g_free (info->uuid);
  g_clear_pointer (&info->source, source_element_free);
  g_free (info->source_problem);
  g_clear_pointer (&info->policy, domain_policy_free);
  g_free (info->policy_problem);
  g_free (info);
}

DomainInfo *
domain_info_parse (const char *xml, GError **error)
{
  g_autoptr (DomainInfo) info = g_new0 (DomainInfo, 1);
  g_autoptr (xmlDoc) document = xmlReadMemory (
    xml, (int) strlen (xml), NULL, NULL, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
  xmlNode *root = document != NULL ? xmlDocGetRootElement (document) : NULL;
  g_autofree char *type = NULL;
  g_autofree char *id = NULL;
  gint64 number = -1;
  xmlNode *metadata, *source;

  if (root == NULL || !g_str_equal ((const char *) root->name, "domain")) {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_XML,
                 "libvirt's answer is not the XML of a domain");
    return NULL;
  }
  info->name = get_child_text (root, "name");
  info->uuid = get_child_text (root, "uuid");
  if (info->name == NULL || info->uuid == NULL || !g_uuid_string_is_valid (info->uuid)) {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_XML,
                 "the domain's XML has no name or no valid UUID");
    return NULL;
  }
  id = get_attribute (root, "id");
  if (id != NULL)
    g_ascii_string_to_signed (id, 10, 0, G_MAXINT, &number, NULL);
  info->id = (int) number;
  type = get_attribute (root, "type");
  info->is_kvm = g_strcmp0 (type, "kvm") == 0;

  metadata = find_child (root, "metadata", NULL);
  source = metadata != NULL ? find_child (metadata, "source", CLOCKFERRY_DOMAIN_NS) : NULL;
  if (source != NULL)
    info->source = parse_source_element (source, &info->source_problem);
  if (metadata != NULL)
    info->policy = domain_policy_parse (metadata, &info->policy_problem);
  return g_steal_pointer (&info);
}
