/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * helper-threads-test - the helper among the threads of a QEMU that all come at once
 *
 * QEMU makes a vCPU on the vCPU's own thread, and with Xen emulation reads the clock there. Whoever
 * comes while another is at work passes through: every ioctl is QEMU's own, with its own result, and
 * what the daemon receives is whole. Under ThreadSanitizer this is the proof that no state is shared.
 */

#include <errno.h>
#include <glib.h>
#include <linux/kvm.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock-events.h"
#include "helper-channel.h"
#include "helper-peer.h"
#include "host-calls.h"

#define THREADS 6
#define ROUNDS  2000

#define VM_FD        1000
#define VCPU_FD(id)  (VM_FD + 1 + (int) (id))
#define FREQ_KHZ     2600000
#define TICKS_PER_NS 2
#define OFS_TICKS    4711

/* Any time will do: the clock of this host, from whichever thread. */
#define TIME_NS() ((uint64_t) g_get_monotonic_time () * 1000)

static atomic_uint asked_by_qemu;
static atomic_uint reached_kvm;
static _Thread_local bool is_of_qemu; /* this ioctl, rather than the helper's */

static int
fail (int error)
{
  errno = error;
  return -1;
}

static int
give_clock (struct kvm_clock_data *clock)
{
  uint64_t now_ns = TIME_NS ();

  /* each reading in itself a whole: what a record mixes of two does not fit */
  *clock = (struct kvm_clock_data){
    .clock = now_ns,
    .flags = KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC,
    .realtime = now_ns + 1,
    .host_tsc = now_ns * TICKS_PER_NS,
  };
  return 0;
}

static int
give_offset (const struct kvm_device_attr *attr)
{
  *(uint64_t *) (uintptr_t) attr->addr = OFS_TICKS;
  return 0;
}

static int
answer (unsigned long request, void *arg)
{
  switch ((uint32_t) request) {
  case KVM_CREATE_VM:
    return VM_FD;
  case KVM_CREATE_VCPU:
    return VCPU_FD ((uintptr_t) arg);
  case (uint32_t) KVM_GET_CLOCK:
    return give_clock (arg);
  case (uint32_t) KVM_SET_CLOCK:
    return fail (EBUSY);
  case KVM_GET_TSC_KHZ:
    return FREQ_KHZ;
  case KVM_CHECK_EXTENSION:
    return KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
  case KVM_GET_DEVICE_ATTR:
    return give_offset (arg);
  case KVM_SET_DEVICE_ATTR:
    return 0;
  default:
    return fail (ENOTTY);
  }
}

static int
model_ioctl (int fd, unsigned long request, void *arg)
{
  if (is_of_qemu) {
    is_of_qemu = false;
    atomic_fetch_add (&reached_kvm, 1);
  }
  return answer (request, arg);
}

static uint64_t
model_clock_ns (clockid_t clock)
{
  return TIME_NS ();
}

static uint64_t
model_tsc_ticks (void)
{
  return TIME_NS () * TICKS_PER_NS;
}

static uint32_t
no_fds (void)
{
  return 0;
}

static int
qemu_ioctl (int fd, unsigned long request, void *arg)
{
  atomic_fetch_add (&asked_by_qemu, 1);
  is_of_qemu = true;
  return clock_events_ioctl (fd, request, arg);
}

static gpointer
run_vcpu (gpointer data)
{
  guint id = GPOINTER_TO_UINT (data);
  struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL + 1 };
  struct kvm_clock_data clock;

  g_assert_cmpint (qemu_ioctl (VM_FD, KVM_CREATE_VCPU, GUINT_TO_POINTER (id)), ==, VCPU_FD (id));
  for (guint round = 0; round < ROUNDS; round++) {
    errno = 0;
    g_assert_cmpint (qemu_ioctl (VCPU_FD (id), KVM_SET_DEVICE_ATTR, &attr), ==, 0);
    g_assert_cmpint (qemu_ioctl (VM_FD, KVM_GET_CLOCK, &clock), ==, 0);
    g_assert_cmpuint (clock.host_tsc, ==, clock.clock * TICKS_PER_NS);
    g_assert_cmpint (errno, ==, 0);
    g_assert_cmpint (qemu_ioctl (VM_FD, KVM_SET_CLOCK, &clock), ==, -1);
    g_assert_cmpint (errno, ==, EBUSY);
  }
  return NULL;
}

/* What there is to receive: whole records, each of one reading. Returns: how many. */
static guint
receive_records (int fd)
{
  guint count = 0;
  gboolean closed;
  struct helper_record *message;

  while ((message = helper_peer_receive (fd, &closed)) != NULL) {
    if (message->header.type == HELPER_MESSAGE_RECORD) {
      g_assert_cmpuint (message->record.host_src_ns, ==, message->record.guest_src_ns + 1);
      for (guint32 i = 0; i < message->record.vcpu_count; i++)
        g_assert_cmpuint (message->record.vcpus[i].ofs_ticks, ==, OFS_TICKS);
      count++;
    }
    g_free (message);
  }
  g_assert_false (closed);
  return count;
}

static void
test_all_at_once (void)
{
  GThread *threads[THREADS];
  struct kvm_clock_data clock;
  int daemon;

  g_assert_cmpint (qemu_ioctl (0, KVM_CREATE_VM, NULL), ==, VM_FD);
  daemon = helper_peer_connect ();
  for (guint i = 0; i < THREADS; i++)
    threads[i] = g_thread_new ("vcpu", run_vcpu, GUINT_TO_POINTER (i));
  for (guint round = 0; round < ROUNDS; round++) {
    g_assert_cmpint (qemu_ioctl (VM_FD, KVM_GET_CLOCK, &clock), ==, 0);
    (void) receive_records (daemon);
  }
  for (guint i = 0; i < THREADS; i++)
    g_thread_join (threads[i]);

  g_assert_cmpuint (atomic_load (&reached_kvm), ==, atomic_load (&asked_by_qemu));
  /* and it still is at work, with every vCPU noted */
  (void) receive_records (daemon);
  g_assert_cmpint (qemu_ioctl (VM_FD, KVM_GET_CLOCK, &clock), ==, 0);
  g_assert_cmpuint (receive_records (daemon), >, 0);
  g_assert_cmpuint (helper_channel_record ()->vcpu_count, ==, THREADS);
  close (daemon);
}

int
main (int argc, char **argv)
{
  struct helper_process process = { .home = "/nonexistent" };
  int status;

  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/helper-threads/all-at-once", test_all_at_once);

  host_calls.ioctl = model_ioctl;
  host_calls.clock_ns = model_clock_ns;
  host_calls.tsc_ticks = model_tsc_ticks;
  host_calls.fd_limit = no_fds;
  helper_peer_start ();
  clock_events_start (&process);
  status = g_test_run ();
  clock_events_stop ();
  helper_peer_stop ();
  return status;
}
