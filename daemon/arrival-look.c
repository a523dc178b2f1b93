/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "arrival-look.h"

#include <libvirt/libvirt.h>

#include "libvirt-calls.h"

typedef struct {
  const HostContext *host;
  char *uuid;
  ArrivalLook look;
} Looking;

static void
looking_free (Looking *looking)
{
  g_free (looking->uuid);
  g_free (looking);
}

static MigrationInput
input_from_state (const LibvirtDomainState *state)
{
  if (state->state == VIR_DOMAIN_RUNNING)
    return MIGRATION_INPUT_RESUMED_MIGRATED;
  if (state->state == VIR_DOMAIN_PAUSED && state->reason != VIR_DOMAIN_PAUSED_MIGRATION)
    return MIGRATION_INPUT_PAUSED;
  return MIGRATION_INPUT_NONE;
}

static void
on_state (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Looking *looking = g_task_get_task_data (task);
  GError *error = NULL;
  LibvirtDomainState state = { 0 };

  if (!libvirt_get_state_finish (G_DBUS_CONNECTION (source), result, &state, &error)) {
    g_task_return_error (task, error);
    return;
  }
  looking->look.input = input_from_state (&state);
  g_task_return_boolean (task, TRUE);
}

static void
on_xml (GObject *source, GAsyncResult *result, gpointer user_data)
{
  g_autoptr (GTask) task = user_data;
  Looking *looking = g_task_get_task_data (task);
  GError *error = NULL;
  g_autoptr (DomainInfo)
    info = libvirt_get_info_finish (G_DBUS_CONNECTION (source), result, &error);

  if (info == NULL) {
    g_task_return_error (task, error);
    return;
  }
  looking->look.id = info->id;
  libvirt_get_state_async (looking->host->bus, looking->host->driver_path, looking->uuid,
                           LIBVIRT_CALL_URGENT, g_task_get_cancellable (task), on_state,
                           g_object_ref (task));
}

/* public functions */

void
arrival_look_async (const HostContext *host, const char *uuid, GCancellable *cancellable,
                    GAsyncReadyCallback callback, gpointer user_data)
{
  GTask *task = g_task_new (NULL, cancellable, callback, user_data);
  Looking *looking = g_new0 (Looking, 1);

  looking->host = host;
  looking->uuid = g_strdup (uuid);
  g_task_set_source_tag (task, arrival_look_async);
  g_task_set_task_data (task, looking, (GDestroyNotify) looking_free);
  libvirt_get_xml_async (host->bus, host->driver_path, uuid, LIBVIRT_CALL_URGENT, cancellable,
                         on_xml, task);
}

gboolean
arrival_look_finish (GAsyncResult *result, ArrivalLook *look, GError **error)
{
  const Looking *looking = g_task_get_task_data (G_TASK (result));

  g_return_val_if_fail (g_task_is_valid (result, NULL), FALSE);

  *look = looking->look;
  return g_task_propagate_boolean (G_TASK (result), error);
}
