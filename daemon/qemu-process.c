/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu-process.h"

#include <string.h>

#include "error.h"
#include "helper-protocol.h"
#include "names.h"

#define PID_MAX_LIMIT 4194304 /* of 64-bit Linux, include/linux/threads.h */

static char *
make_run_path (const QemuFolders *folders, const char *name, const char *suffix)
{
  const char *run_dir = folders->run_dir != NULL ? folders->run_dir : LIBVIRT_QEMU_RUN_DIR;
  g_autofree char *file_name = g_strconcat (name, suffix, NULL);

  return g_build_filename (run_dir, file_name, NULL);
}

/* public functions */

char *
qemu_process_make_status_path (const QemuFolders *folders, const char *name)
{
  return make_run_path (folders, name, ".xml");
}

pid_t
qemu_process_read_pid (const QemuFolders *folders, const char *name, GError **error)
{
  g_autofree char *path = make_run_path (folders, name, ".pid");
  g_autofree char *text = NULL;
  gint64 pid = 0;

  if (!g_file_get_contents (path, &text, NULL, error))
    return -1;
  if (!g_ascii_string_to_signed (g_strstrip (text), 10, 1, PID_MAX_LIMIT, &pid, NULL)) {
    g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NO_QEMU, "%s holds no pid", path);
    return -1;
  }
  return (pid_t) pid;
}

char *
qemu_process_find_socket (const QemuFolders *folders, const char *name, int id, GError **error)
{
  const char *state_dir = folders->state_dir != NULL ? folders->state_dir : LIBVIRT_QEMU_STATE_DIR;
  /* The id is unique among the running domains, but after a power failure there may be folders of
   * earlier ones. libvirt cuts the name behind it by characters of its own locale. */
  g_autofree char *prefix = g_strdup_printf ("domain-%d-", id);
  g_autoptr (GDir) dir = g_dir_open (state_dir, 0, error);
  const char *entry;

  if (dir == NULL)
    return NULL;
  while ((entry = g_dir_read_name (dir)) != NULL) {
    g_autofree char *path = NULL;

    if (!g_str_has_prefix (entry, prefix) || !g_str_has_prefix (name, entry + strlen (prefix)))
      continue;
    path = g_build_filename (state_dir, entry, HELPER_SOCKET_NAME, NULL);
    if (g_file_test (path, G_FILE_TEST_EXISTS))
      return g_steal_pointer (&path);
  }
  g_set_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_NO_HELPER,
               "no helper in its QEMU: there is no %s/%s*/" HELPER_SOCKET_NAME, state_dir, prefix);
  return NULL;
}
