/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * domain-info - what the daemon reads from a domain's XML, and writes into its metadata
 *
 * The source daemon keeps an element <clockferry:source address= port= pin= ticket=/> in the live
 * metadata of every running domain; libvirt carries it to the destination.
 */

#include <gio/gio.h>

#include "domain-policy.h"

/* Where the source daemon listens, how to know it, and the secret that claims this domain. */
typedef struct {
  char *address; /* host name or IP address */
  guint16 port;
  char *pin;    /* SHA-256 of its certificate's public key, 64 lower-case hexadecimal digits */
  char *ticket; /* 256 random bits, 64 lower-case hexadecimal digits */
} SourceElement;

void source_element_free (SourceElement *element);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (SourceElement, source_element_free)

SourceElement *source_element_copy (const SourceElement *element) G_GNUC_WARN_UNUSED_RESULT;

/* The element as XML, for SetMetadata. Owned by the caller. */
char *source_element_to_xml (const SourceElement *element) G_GNUC_WARN_UNUSED_RESULT;

/* A fresh ticket from the kernel's random numbers, or NULL with @error. */
char *source_element_make_ticket (GError **error) G_GNUC_WARN_UNUSED_RESULT;

typedef struct {
  char *name;
  char *uuid;
  int id; /* libvirt's number of the running domain; -1 if it does not run */
  gboolean is_kvm;
  SourceElement *source; /* NULL: none, or not a valid one */
  char *source_problem;  /* why an element that is there was not valid, or NULL */
  DomainPolicy *policy;  /* NULL: none, or not a valid one */
  char *policy_problem;  /* as with source_problem */
} DomainInfo;

void domain_info_free (DomainInfo *info);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (DomainInfo, domain_info_free)

/*
 * Read domain XML as libvirt formats it. NULL with CLOCKFERRY_ERROR_INVALID_XML when it is not a
 * <domain> with a name and a UUID. A bad element in the metadata is not an error: see the problems.
 */
DomainInfo *domain_info_parse (const char *xml, GError **error) G_GNUC_WARN_UNUSED_RESULT;
