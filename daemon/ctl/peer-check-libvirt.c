/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "peer-check-libvirt.h"

#include <glib/gi18n.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdlib.h>

#include "ctl-error.h"
#include "domain-info.h"

/* A person may have to type a password to ssh. */
#define LIBVIRT_S 60

/* More than one, as the daemon there may not have got round to some of them. */
#define DOMAINS_MAX 5

G_DEFINE_AUTOPTR_CLEANUP_FUNC (virConnect, virConnectClose)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (virDomain, virDomainFree)

/* libvirt prints every error on stderr otherwise */
static void
on_libvirt_error (void *user_data, virErrorPtr error)
{
}

/* With what ssh said, that is several lines. */
static void
set_libvirt_error (GError **error)
{
  g_autofree char *message = g_strchomp (g_strdup (virGetLastErrorMessage ()));

  g_set_error_literal (error, CTL_ERROR, CTL_ERROR_FAILED, g_strdelimit (message, "\r\n", ' '));
}

static void
add_domain (GPtrArray *found, virDomain *domain)
{
  char *xml = virDomainGetXMLDesc (domain, 0);
  g_autoptr (DomainInfo) info = xml != NULL ? domain_info_parse (xml, NULL) : NULL;

  free (xml);
  /* gone meanwhile, or without: the next one may do */
  if (info != NULL && info->source != NULL)
    g_ptr_array_add (found, g_steal_pointer (&info));
}

/* The running domains with a source element, of DomainInfo; DOMAINS_MAX at most. */
static GPtrArray *
list_domains (const char *uri, GError **error)
{
  g_autoptr (virConnect)
    connection = virConnectOpenAuth (uri, virConnectAuthPtrDefault, VIR_CONNECT_RO);
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func ((GDestroyNotify) domain_info_free);
  virDomainPtr *domains = NULL;
  int count = -1;

  if (connection != NULL)
    count = virConnectListAllDomains (connection, &domains, VIR_CONNECT_LIST_DOMAINS_ACTIVE);
  if (count < 0) {
    set_libvirt_error (error);
    return NULL;
  }
  for (int i = 0; i < count; i++) {
    g_autoptr (virDomain) domain = domains[i];

    if (found->len < DOMAINS_MAX)
      add_domain (found, domain);
  }
  free (domains);
  return g_steal_pointer (&found);
}

static void
run_list (GTask *task, gpointer source, gpointer uri, GCancellable *cancellable)
{
  GError *error = NULL;
  GPtrArray *found = list_domains (uri, &error);

  if (found == NULL)
    g_task_return_error (task, error);
  else
    g_task_return_pointer (task, found, (GDestroyNotify) g_ptr_array_unref);
}

static void
on_listed (GObject *source, GAsyncResult *result, gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
}

static gboolean
on_libvirt_too_slow (gpointer cancellable)
{
  g_cancellable_cancel (cancellable);
  return G_SOURCE_CONTINUE;
}

/* public functions */

GPtrArray *
peer_check_list_domains (const char *uri, GError **error)
{
  g_autoptr (GCancellable) cancellable = g_cancellable_new ();
  gboolean is_done = FALSE;
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, on_listed, &is_done);
  g_autoptr (GError) libvirt_error = NULL;
  GPtrArray *found;
  guint timer_id;

  virSetErrorFunc (NULL, on_libvirt_error);
  g_task_set_task_data (task, g_strdup (uri), g_free);
  g_task_set_return_on_cancel (task, TRUE);
  timer_id = g_timeout_add_seconds (LIBVIRT_S, on_libvirt_too_slow, cancellable);
  g_task_run_in_thread (task, run_list);
  while (!is_done)
    g_main_context_iteration (NULL, TRUE);
  g_source_remove (timer_id);

  found = g_task_propagate_pointer (task, &libvirt_error);
  if (g_error_matches (libvirt_error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED,
                 /* TRANSLATORS: %s is a libvirt connection URI */
                 _ ("libvirt at %s did not answer within %d s"), uri, LIBVIRT_S);
  else if (libvirt_error != NULL)
    g_set_error (error, CTL_ERROR, CTL_ERROR_FAILED,
                 _ ("libvirt at %s does not answer: %s; try virsh -c %s list"), uri,
                 libvirt_error->message, uri);
  return found;
}
