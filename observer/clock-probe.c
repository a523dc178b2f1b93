/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "clock-probe.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <gio/gio.h>
#include <glib-unix.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "btf-merge.h"
#include "clock-sight.h"
#include "clock-watch.skel.h"

struct ClockProbe {
  struct clock_watch *program;
  struct ring_buffer *ring;
  struct bpf_link *link; /* NULL while nothing is watched */
  gboolean sees_all_calls;
  guint watch_count;
  guint linger_ms;
  guint detach_id;
  guint ring_id;
  SightCollector *collector;
};

/* what libbpf says */

static char *last_words; /* the last line that libbpf, or the kernel's verifier by it, wrote */

G_GNUC_PRINTF (2, 0)
static int
on_libbpf_print (enum libbpf_print_level level, const char *format, va_list arguments)
{
  g_autofree char *text = g_strdup_vprintf (format, arguments);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  if (level != LIBBPF_WARN)
    return 0;
  for (guint i = 0; lines[i] != NULL; i++) {
    const char *line = g_strstrip (lines[i]);

    /* the verifier's own count, and libbpf's frame around what it says */
    if (*line == '\0' || g_str_has_prefix (line, "processed ") || strstr (line, "-- ") != NULL ||
        strstr (line, ": failed to load") != NULL || strstr (line, "failed to load ") != NULL ||
        strstr (line, "permission error while") != NULL)
      continue;
    g_free (last_words);
    last_words = g_strdup (line);
  }
  return 0;
}

/* why the kernel has none of it */

static gboolean
has_capability (guint number)
{
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
  struct __user_cap_data_struct data[2] = { { 0 } };

  if (syscall (SYS_capget, &header, data) < 0)
    return FALSE;
  return (data[number / 32].effective & (1u << (number % 32))) != 0;
}

static gboolean
is_locked_down (void)
{
  g_autofree char *text = NULL;

  return g_file_get_contents ("/sys/kernel/security/lockdown", &text, NULL, NULL) &&
         strstr (text, "[confidentiality]") != NULL;
}

static void
set_load_error (int failure, GError **error)
{
  const char *words = last_words != NULL ? last_words : g_strerror (failure);

  if (!has_capability (CAP_BPF) || !has_capability (CAP_PERFMON))
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
                 "the observer lacks the capability %s",
                 has_capability (CAP_BPF) ? "CAP_PERFMON" : "CAP_BPF");
  else if (is_locked_down ())
    g_set_error_literal (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
                         "this kernel is locked down (confidentiality), and lets nobody read it");
  else if (failure == EPERM)
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_PERMISSION_DENIED,
                 "this kernel does not permit the observer's program: %s", words);
  else
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                 "this kernel refused the observer's program: %s", words);
}

/* the kernel's types */

static GBytes *
read_btf (const char *dir, const char *name, GError **error)
{
  g_autofree char *path = g_build_filename (dir, name, NULL);
  char *data;
  gsize size;

  if (!g_file_get_contents (path, &data, &size, error))
    return NULL;
  return g_bytes_new_take (data, size);
}

static gboolean
has_kvm (GBytes *kernel)
{
  gsize size;
  const void *data = g_bytes_get_data (kernel, &size);
  struct btf *btf = btf__new (data, (guint32) size);
  gboolean found = btf != NULL && btf__find_by_name_kind (btf, "kvm_vcpu", BTF_KIND_STRUCT) > 0;

  btf__free (btf);
  return found;
}

/* The types of kernel and KVM, wherever that is. NULL with @error. */
static GBytes *
read_types (const char *dir, GError **error)
{
  g_autoptr (GError) module_error = NULL;
  g_autoptr (GBytes) kernel = read_btf (dir, "vmlinux", NULL);
  g_autoptr (GBytes) module = NULL;

  if (kernel == NULL) {
    g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
                 "this kernel does not tell its types: there is no %s/vmlinux "
                 "(CONFIG_DEBUG_INFO_BTF)",
                 dir);
    return NULL;
  }
  module = read_btf (dir, "kvm", &module_error);
  if (module != NULL)
    return btf_merge (kernel, module, error);
  if (has_kvm (kernel))
    return g_steal_pointer (&kernel);
  g_set_error (error, G_IO_ERROR, G_IO_ERROR_NOT_SUPPORTED,
               "this kernel does not tell KVM's types: there is no %s/kvm "
               "(CONFIG_DEBUG_INFO_BTF_MODULES), or KVM is not loaded",
               dir);
  return NULL;
}

static int
open_memfd (GBytes *bytes, GError **error)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (bytes, &size);
  int fd = memfd_create ("clockferry-btf", MFD_CLOEXEC);
  gsize done = 0;

  while (fd >= 0 && done < size) {
    gssize written = write (fd, data + done, size - done);

    if (written > 0) {
      done += (gsize) written;
    } else if (written == 0 || errno != EINTR) {
      close (fd);
      fd = -1;
    }
  }
  if (fd < 0)
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno),
                 "no memory for the kernel's types: %s", g_strerror (errno));
  return fd;
}

/* loading */

static struct bpf_program *
get_program (const struct clock_watch *program, gboolean sees_all_calls)
{
  return sees_all_calls ? program->progs.on_syscall_return : program->progs.on_ioctl_return;
}

/* Some kernels accept a program and only then find out that they cannot attach it. */
static gboolean
try_to_attach (const ClockProbe *probe)
{
  struct bpf_link *link = bpf_program__attach (get_program (probe->program, probe->sees_all_calls));

  return link != NULL && bpf_link__destroy (link) == 0;
}

#ifndef __clang__
#pragma GCC diagnostic push
/* what the skeleton allocates hangs on what it returns, by more pointers than gcc 12 follows */
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

/* FALSE with errno. */
static gboolean
load_program (ClockProbe *probe, const char *btf_path)
{
  LIBBPF_OPTS (bpf_object_open_opts, options, .btf_custom_path = btf_path);
  int failure;

  probe->program = clock_watch__open_opts (&options);
  if (probe->program == NULL)
    return FALSE;
  bpf_program__set_autoload (get_program (probe->program, !probe->sees_all_calls), FALSE);
  if (clock_watch__load (probe->program) == 0 && try_to_attach (probe))
    return TRUE;
  failure = errno;
  g_clear_pointer (&probe->program, clock_watch__destroy);
  errno = failure;
  return FALSE;
}

#ifndef __clang__
#pragma GCC diagnostic pop
#endif

/* The first way is cheaper; some kernels are built without what it takes. */
static gboolean
load (ClockProbe *probe, int btf_fd, GError **error)
{
  g_autofree char *btf_path = g_strdup_printf ("/proc/self/fd/%d", btf_fd);

  if (load_program (probe, btf_path))
    return TRUE;
  probe->sees_all_calls = TRUE;
  if (load_program (probe, btf_path))
    return TRUE;
  set_load_error (errno, error);
  return FALSE;
}

static int
on_sight (void *context, void *data, size_t size)
{
  sight_collector_take (context, data, size);
  return 0;
}

static gboolean
on_ring_readable (int fd, GIOCondition condition, gpointer user_data)
{
  ClockProbe *probe = user_data;

  (void) ring_buffer__consume (probe->ring); /* on_sight() never fails, nor does this */
  return G_SOURCE_CONTINUE;
}

/* attaching */

static gboolean
attach (ClockProbe *probe)
{
  g_clear_handle_id (&probe->detach_id, g_source_remove);
  if (probe->link == NULL)
    probe->link = bpf_program__attach (get_program (probe->program, probe->sees_all_calls));
  if (probe->link == NULL)
    g_warning ("cannot attach the program: %s",
               last_words != NULL ? last_words : g_strerror (errno));
  return probe->link != NULL;
}

static void
detach (ClockProbe *probe)
{
  g_clear_handle_id (&probe->detach_id, g_source_remove);
  bpf_link__destroy (probe->link);
  probe->link = NULL;
}

static gboolean
on_linger_over (gpointer user_data)
{
  ClockProbe *probe = user_data;

  probe->detach_id = 0;
  detach (probe);
  return G_SOURCE_REMOVE;
}

/* public functions */

ClockProbe *
clock_probe_new (const char *btf_dir, guint linger_ms, SightRecordFunc func, gpointer user_data,
                 GError **error)
{
  g_autoptr (ClockProbe) probe = g_new0 (ClockProbe, 1);
  g_autoptr (GBytes) types = read_types (btf_dir, error);
  int btf_fd;
  gboolean is_loaded;

  if (types == NULL)
    return NULL;
  probe->linger_ms = linger_ms;
  libbpf_set_print (on_libbpf_print);
  btf_fd = open_memfd (types, error);
  if (btf_fd < 0)
    return NULL;
  is_loaded = load (probe, btf_fd, error);
  close (btf_fd);
  if (!is_loaded)
    return NULL;

  probe->collector = sight_collector_new (func, user_data);
  probe->ring =
    ring_buffer__new (bpf_map__fd (probe->program->maps.sights), on_sight, probe->collector, NULL);
  if (probe->ring == NULL) {
    g_set_error (error, G_IO_ERROR, g_io_error_from_errno (errno),
                 "cannot read what the program sees: %s", g_strerror (errno));
    return NULL;
  }
  probe->ring_id =
    g_unix_fd_add (ring_buffer__epoll_fd (probe->ring), G_IO_IN, on_ring_readable, probe);
  return g_steal_pointer (&probe);
}

void
clock_probe_free (ClockProbe *probe)
{
  g_clear_handle_id (&probe->ring_id, g_source_remove);
  detach (probe);
  ring_buffer__free (probe->ring);
  if (probe->program != NULL)
    clock_watch__destroy (probe->program);
  g_clear_pointer (&probe->collector, sight_collector_free);
  g_free (probe);
}

enum observer_reason
clock_probe_watch (ClockProbe *probe, gint32 pid)
{
  guint32 key = (guint32) pid;
  struct clock_sight_budget value = { 0 };

  if (bpf_map__update_elem (probe->program->maps.watched, &key, sizeof key, &value, sizeof value,
                            BPF_NOEXIST) < 0)
    return OBSERVER_REASON_TOO_MANY;
  if (!attach (probe)) {
    (void) bpf_map__delete_elem (probe->program->maps.watched, &key, sizeof key, 0);
    return OBSERVER_REASON_NOT_ATTACHED;
  }
  probe->watch_count++;
  return OBSERVER_REASON_NONE;
}

void
clock_probe_unwatch (ClockProbe *probe, gint32 pid)
{
  guint32 key = (guint32) pid;

  if (bpf_map__delete_elem (probe->program->maps.watched, &key, sizeof key, 0) < 0)
    return;
  sight_collector_drop (probe->collector, pid);
  if (--probe->watch_count > 0)
    return;
  if (probe->linger_ms == 0)
    detach (probe);
  else
    probe->detach_id = g_timeout_add (probe->linger_ms, on_linger_over, probe);
}

gboolean
clock_probe_is_attached (const ClockProbe *probe)
{
  return probe->link != NULL;
}

const char *
clock_probe_get_place (const ClockProbe *probe)
{
  return probe->sees_all_calls ? "all-system-calls" : "ioctl";
}
