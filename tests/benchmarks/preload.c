/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "helper-protocol.h"
#include "temp-folder.h"

#define EXIT_SKIP 77
#define UUID_TEXT "b3a1c7de-0001-4002-8003-010203040506"

const uint8_t preload_domain[16] = { 0xb3, 0xa1, 0xc7, 0xde, 0, 1, 0x40, 2,
                                     0x80, 3,    1,    2,    3, 4, 5,    6 };

static void
skip (const char *why)
{
  printf ("skip: %s\n", why);
  exit (EXIT_SKIP);
}

static int
offset_ioctl (int vcpu_fd, unsigned long request, uint64_t *ofs_ticks)
{
  struct kvm_device_attr attr = {
    .group = KVM_VCPU_TSC_CTRL,
    .attr = KVM_VCPU_TSC_OFFSET,
    .addr = (uintptr_t) ofs_ticks,
  };

  return ioctl (vcpu_fd, request, &attr);
}

/* Does KVM keep a TSC offset that is written? kvm-pvm does not. */
static bool
kvm_keeps_offsets (void)
{
  int kvm_fd = open ("/dev/kvm", O_RDWR | O_CLOEXEC);
  int vm_fd, vcpu_fd;
  uint64_t before_ticks = 0, ofs_ticks;
  bool keeps;

  if (kvm_fd < 0)
    skip ("/dev/kvm cannot be opened");
  if ((ioctl (kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ADJUST_CLOCK) & KVM_CLOCK_REALTIME) == 0)
    skip ("KVM of a kernel before 5.16");
  vm_fd = ioctl (kvm_fd, KVM_CREATE_VM, NULL);
  vcpu_fd = vm_fd < 0 ? -1 : ioctl (vm_fd, KVM_CREATE_VCPU, NULL);
  if (vcpu_fd < 0)
    skip ("KVM makes no VM");

  g_assert_no_errno (offset_ioctl (vcpu_fd, KVM_GET_DEVICE_ATTR, &before_ticks));
  ofs_ticks = before_ticks + 12345;
  g_assert_no_errno (offset_ioctl (vcpu_fd, KVM_SET_DEVICE_ATTR, &ofs_ticks));
  g_assert_no_errno (offset_ioctl (vcpu_fd, KVM_GET_DEVICE_ATTR, &ofs_ticks));
  keeps = ofs_ticks == before_ticks + 12345;
  close (vcpu_fd);
  close (vm_fd);
  close (kvm_fd);
  return keeps;
}

static void
start_anew (int argc, char **argv, bool needs_offsets)
{
  g_autoptr (GPtrArray) arguments = g_ptr_array_new ();
  gboolean keeps_offsets = kvm_keeps_offsets ();
  const char *libraries = needs_offsets && !keeps_offsets ? HELPER_PATH " " KEPT_OFFSETS_PATH
                                                          : HELPER_PATH;

  g_setenv ("HOME", temp_folder_make (), TRUE);
  g_setenv ("LD_PRELOAD", libraries, TRUE);
  g_setenv ("CLOCKFERRY_PRELOADED", libraries, TRUE);
  for (int i = 0; i < argc; i++)
    g_ptr_array_add (arguments, argv[i]);
  g_ptr_array_add (arguments, (char *) "-uuid");
  g_ptr_array_add (arguments, (char *) UUID_TEXT);
  g_ptr_array_add (arguments, NULL);
  execv ("/proc/self/exe", (char **) arguments->pdata);
  g_error ("cannot start anew: %s", g_strerror (errno));
}

static PreloadIoctl
find_ioctl (const char *library)
{
  void *handle = dlopen (library, RTLD_LAZY | RTLD_NOLOAD);
  void *symbol = handle != NULL ? dlsym (handle, "ioctl") : NULL;
  PreloadIoctl found;

  if (symbol == NULL)
    g_error ("%s was not loaded: %s", library, dlerror ());
  /* ISO C has no cast from an object pointer to a function pointer; this is how dlsym(3) does it */
  *(void **) &found = symbol;
  return found;
}

/* public functions */

void
preload_begin (int argc, char **argv, bool needs_offsets, Preload *preload)
{
  const char *libraries = g_getenv ("CLOCKFERRY_PRELOADED");

  if (libraries == NULL)
    start_anew (argc, argv, needs_offsets);
  preload->keeps_offsets = strstr (libraries, KEPT_OFFSETS_PATH) != NULL;
  preload->helper = find_ioctl (HELPER_PATH);
  preload->stock = find_ioctl (preload->keeps_offsets ? KEPT_OFFSETS_PATH : "libc.so.6");
  /* that it does stand between */
  g_assert_true (preload->helper == (PreloadIoctl) ioctl);
}

int
preload_connect (void)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

  g_snprintf (address.sun_path, sizeof address.sun_path, "%s/%s", g_getenv ("HOME"),
              HELPER_SOCKET_NAME);
  g_assert_no_errno (fd);
  g_assert_no_errno (connect (fd, (struct sockaddr *) &address, sizeof address));
  return fd;
}

void
preload_end (void)
{
  temp_folder_remove (g_strdup (g_getenv ("HOME")));
}
