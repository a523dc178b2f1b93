/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * observer-test - what the observer sees of a KVM_GET_CLOCK is what the helper says of the same one
 *
 * The observer's own objects, with the two capabilities that its unit has and no other, watch this
 * very process, in which the helper stands between the test and KVM as it does in a QEMU. Where
 * KVM's own attributes tell the same things, these are asked as well.
 */

#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock-probe.h"
#include "vm-hand-over.h"
#include "wait-until.h"

#define EXIT_SKIP 77

/* Each of the two reads CLOCK_REALTIME and CLOCK_BOOTTIME one after the other. */
#define BOOT_APART_MAX_NS 20000

/* Time for what must not come. */
#define SILENCE_US 200000

/* Rounds with and without the program attached, in turn, and KVM_RUNs in each. */
#define COST_ROUNDS  31
#define RUNS_A_ROUND 1000
/* Twice what it is under emulation, where the program's few instructions take longest beside KVM's: from 4.6 to 10.9 percent of
 * 50 to 80 us on one machine. It is 0.1 us on a processor. Were each ioctl looked at more closely, it would be a multiple. */
#define COST_MAX_SHARE 0.22
#define COST_MAX_NS    300

/* As in clock-watch.bpf.c. */
#define SIGHTS_BURST 16
#define SIGHTS_PER_S 4

#define FLOOD_THREADS 4
#define FLOOD_ASKED   1000

static ClockProbe *probe;

/* The last word of the observer. */
static struct {
  guint count;
  gint32 pid;
  struct clock_record *record; /* NULL: none, for reason */
  enum observer_reason reason;
} told;

static void
on_told (gint32 pid, const struct clock_record *record, gsize size, enum observer_reason reason,
         guint32 detail, gpointer user_data)
{
  g_free (told.record);
  told.record = record != NULL ? g_memdup2 (record, size) : NULL;
  told.count++;
  told.pid = pid;
  told.reason = reason;
}

/* The only capabilities that are in effect from here on. */
static void
keep_capabilities (void)
{
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
  struct __user_cap_data_struct data[2] = { { 0 } };

  data[1].effective = (1u << (CAP_BPF - 32)) | (1u << (CAP_PERFMON - 32));
  data[1].permitted = data[1].effective;
  if (syscall (SYS_capset, &header, data) < 0)
    printf ("# capabilities stay as they are: %s\n", g_strerror (errno));
}

static void
watch_begin (void)
{
  g_assert_cmpint (clock_probe_watch (probe, getpid ()), ==, OBSERVER_REASON_NONE);
  g_assert_true (clock_probe_is_attached (probe));
  told.count = 0;
}

static void
watch_end (void)
{
  clock_probe_unwatch (probe, getpid ());
  g_assert_false (clock_probe_is_attached (probe));
}

/* What the helper said and what was seen of the same KVM_GET_CLOCK. */
static void
expect_agreement (const struct clock_record *helper, const struct clock_record *seen)
{
  int64_t boot_apart_ns = (int64_t) (seen->boot_src_ns - helper->boot_src_ns);

  printf ("# %u vCPUs, kvmclock %" PRIu64 " ns, TSC %" PRIu64 ", ratio %" PRIx64
          "/%u, %u kHz, flags %x; "
          "boottime %+" PRId64 " ns apart\n",
          seen->vcpu_count, seen->guest_src_ns, seen->tsc_src_ticks, seen->tsc_ratio,
          seen->tsc_frac_bits, seen->freq_khz, seen->flags, boot_apart_ns);
  g_assert_cmpuint (seen->guest_src_ns, ==, helper->guest_src_ns);
  if ((helper->flags & CLOCK_RECORD_MASTER_CLOCK) != 0)
    g_assert_cmpuint (seen->host_src_ns, ==, helper->host_src_ns);
  g_assert_cmpuint (seen->tsc_src_ticks, ==, helper->tsc_src_ticks);
  g_assert_cmpuint (seen->tsc_ratio, ==, helper->tsc_ratio);
  g_assert_cmpuint (seen->tsc_frac_bits, ==, helper->tsc_frac_bits);
  g_assert_cmpuint (seen->freq_khz, ==, helper->freq_khz);
  g_assert_cmpuint (seen->flags, ==, helper->flags | CLOCK_RECORD_OBSERVED);
  g_assert_cmpmem (seen->vcpus, seen->vcpu_count * sizeof seen->vcpus[0], helper->vcpus,
                   helper->vcpu_count * sizeof helper->vcpus[0]);
  if ((helper->flags & CLOCK_RECORD_MASTER_CLOCK) != 0)
    g_assert_cmpint (ABS (boot_apart_ns), <, BOOT_APART_MAX_NS);
}

/* QEMU pauses @vm. */
static void
expect_pause_seen (struct tiny_vm *vm)
{
  struct vm_state state;

  watch_begin ();
  vm_hand_over_pause (vm, &state);
  WAIT_UNTIL (told.count > 0);
  g_assert_cmpint (told.pid, ==, getpid ());
  g_assert_cmpint (told.reason, ==, OBSERVER_REASON_NONE);
  expect_agreement (&state.message->record, told.record);
  for (int i = 0; i < vm->vcpu_count; i++)
    g_assert_cmpuint (told.record->vcpus[i].ofs_ticks, ==, tiny_vcpu_get_offset (vm, i));
  watch_end ();
  vm_state_clear (&state);
}

static void
check_pause (int kvm_fd, int vcpu_count)
{
  struct tiny_vm vm;

  vm_hand_over_begin (&vm, kvm_fd, vcpu_count, false);
  expect_pause_seen (&vm);
  tiny_vm_clear (&vm);
}

static void
test_one_vcpu (int kvm_fd)
{
  check_pause (kvm_fd, 1);
}

static void
test_vcpus (int kvm_fd)
{
  check_pause (kvm_fd, GUEST_VCPUS_MAX);
}

static void
test_offsets_apart (int kvm_fd)
{
  struct tiny_vm vm;

  vm_hand_over_begin (&vm, kvm_fd, 3, false);
  for (int i = 0; i < vm.vcpu_count; i++)
    tiny_vcpu_set_offset (&vm, i, tiny_vcpu_get_offset (&vm, i) - (uint64_t) i * 123456789);
  expect_pause_seen (&vm);
  g_assert_cmpuint (told.record->vcpus[2].ofs_ticks, !=, told.record->vcpus[0].ofs_ticks);
  tiny_vm_clear (&vm);
}

/* KVM decides on its master clock when the clock is set, or a vCPU first runs. */
static void
test_no_master_clock (int kvm_fd)
{
  struct tiny_vm vm;

  tiny_vm_init (&vm, kvm_fd, 2, false, vm_hand_over_ioctl);
  expect_pause_seen (&vm);
  g_assert_cmpuint (told.record->flags & CLOCK_RECORD_MASTER_CLOCK, ==, 0);
  tiny_vm_clear (&vm);
}

/* KVM scales, or sets the guest's TSC right at each exit, or neither: by what the host can. */
static void
check_frequency (int kvm_fd, uint32_t percent)
{
  struct tiny_vm vm;

  tiny_vm_init (&vm, kvm_fd, 2, false, vm_hand_over_ioctl);
  for (int i = 0; i < vm.vcpu_count; i++) {
    uint32_t khz = (uint32_t) ((uint64_t) vm.khz * percent / 100);

    if (ioctl (vm.vcpus[i].fd, KVM_SET_TSC_KHZ, (unsigned long) khz) < 0)
      printf ("# vCPU %d is not given %u kHz: %s\n", i, khz, g_strerror (errno));
  }
  tiny_vm_set_clock (&vm, (uint64_t) NS_PER_S, 0);
  expect_pause_seen (&vm);
  g_assert_cmpint (ioctl (vm.vcpus[0].fd, KVM_GET_TSC_KHZ), ==, (int) told.record->freq_khz);
  tiny_vm_clear (&vm);
}

static void
test_slower (int kvm_fd)
{
  check_frequency (kvm_fd, 75);
}

static void
test_faster (int kvm_fd)
{
  check_frequency (kvm_fd, 150);
}

static void
test_many_vcpus (int kvm_fd)
{
  static const int count = 130; /* more than the kernel keeps in one node */
  int vm_fd = ioctl (kvm_fd, KVM_CREATE_VM, 0);
  g_autofree int *fds = g_new (int, count);
  struct kvm_clock_data clock = { 0 };

  g_assert_cmpint (vm_fd, >=, 0);
  for (int i = 0; i < count; i++) {
    /* the highest id first, as plugging may have it */
    fds[i] = ioctl (vm_fd, KVM_CREATE_VCPU, (unsigned long) (count - 1 - i));
    g_assert_cmpint (fds[i], >=, 0);
  }
  watch_begin ();
  g_assert_cmpint (ioctl (vm_fd, KVM_GET_CLOCK, &clock), ==, 0);
  WAIT_UNTIL (told.count > 0);
  g_assert_cmpint (told.reason, ==, OBSERVER_REASON_NONE);
  g_assert_cmpuint (told.record->guest_src_ns, ==, clock.clock);
  g_assert_cmpuint (told.record->vcpu_count, ==, count);
  for (int i = 0; i < count; i++) {
    struct tiny_vm vm = { .vcpus[0].fd = fds[count - 1 - i] };

    g_assert_cmpuint (told.record->vcpus[i].id, ==, i);
    g_assert_cmpuint (told.record->vcpus[i].ofs_ticks, ==, tiny_vcpu_get_offset (&vm, 0));
  }
  watch_end ();
  for (int i = 0; i < count; i++)
    close (fds[i]);
  close (vm_fd);
}

static void
test_no_vcpus (int kvm_fd)
{
  int vm_fd = ioctl (kvm_fd, KVM_CREATE_VM, 0);
  struct kvm_clock_data clock = { 0 };

  watch_begin ();
  g_assert_cmpint (ioctl (vm_fd, KVM_GET_CLOCK, &clock), ==, 0);
  WAIT_UNTIL (told.count > 0);
  g_assert_cmpint (told.reason, ==, OBSERVER_REASON_NO_VCPUS);
  watch_end ();
  close (vm_fd);
}

static void
let_pass (void)
{
  gint64 end_us = g_get_monotonic_time () + SILENCE_US;

  while (g_get_monotonic_time () < end_us) {
    g_main_context_iteration (NULL, FALSE);
    g_usleep (1000);
  }
}

static void
expect_silence (void)
{
  let_pass ();
  g_assert_cmpuint (told.count, ==, 0);
}

/* Another process that nobody asked for, with a VM of its own. */
static void
test_other_process (int kvm_fd)
{
  pid_t child;
  int status;

  watch_begin ();
  child = fork ();
  if (child == 0) {
    struct kvm_clock_data clock = { 0 };
    int vm_fd = ioctl (kvm_fd, KVM_CREATE_VM, 0);

    _exit (ioctl (vm_fd, KVM_CREATE_VCPU, 0) >= 0 && ioctl (vm_fd, KVM_GET_CLOCK, &clock) == 0 ? 0
                                                                                               : 1);
  }
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  g_assert_cmpint (status, ==, 0);
  expect_silence ();
  watch_end ();
}

/* What is no KVM_GET_CLOCK of a VM: one that failed, one to another file, one when nobody watches. */
static void
test_silence (int kvm_fd)
{
  struct tiny_vm vm;
  struct kvm_clock_data clock = { 0 };

  tiny_vm_init (&vm, kvm_fd, 1, false, NULL);
  watch_begin ();
  g_assert_cmpint (ioctl (vm.fd, KVM_GET_CLOCK, NULL), ==, -1);
  g_assert_cmpint (ioctl (vm.vcpus[0].fd, KVM_GET_CLOCK, &clock), ==, -1);
  g_assert_cmpint (ioctl (vm.fd, KVM_GET_TSC_KHZ, NULL), >, 0);
  expect_silence ();
  watch_end ();
  g_assert_cmpint (ioctl (vm.fd, KVM_GET_CLOCK, &clock), ==, 0);
  expect_silence ();
  tiny_vm_clear (&vm);
}

static gpointer
ask_again_and_again (gpointer vm_fd)
{
  struct kvm_clock_data clock = { 0 };

  for (int i = 0; i < FLOOD_ASKED; i++)
    g_assert_cmpint (ioctl (GPOINTER_TO_INT (vm_fd), KVM_GET_CLOCK, &clock), ==, 0);
  return NULL;
}

/* A process with a VM of its own that asks once, when it is told to by @fd. */
static pid_t
start_quiet_process (int kvm_fd, int *fd)
{
  int fds[2];
  pid_t child;

  g_assert_cmpint (socketpair (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
  child = fork ();
  g_assert_cmpint (child, >=, 0);
  if (child == 0) {
    struct kvm_clock_data clock = { 0 };
    int vm_fd = ioctl (kvm_fd, KVM_CREATE_VM, 0);
    char byte;

    close (fds[0]);
    _exit (ioctl (vm_fd, KVM_CREATE_VCPU, 0) >= 0 && read (fds[1], &byte, 1) == 1 &&
               ioctl (vm_fd, KVM_GET_CLOCK, &clock) == 0
             ? 0
             : 1);
  }
  close (fds[1]);
  *fd = fds[0];
  return child;
}

/* A QEMU that a guest has taken over asks for the clock as fast as it can, and no other is overlooked for it. */
static void
test_flood (int kvm_fd)
{
  gint64 start_us = g_get_monotonic_time ();
  GThread *threads[FLOOD_THREADS];
  struct tiny_vm vm;
  double passed_s;
  int quiet_fd, status;
  pid_t quiet = start_quiet_process (kvm_fd, &quiet_fd);

  tiny_vm_init (&vm, kvm_fd, FLOOD_THREADS, false, NULL);
  watch_begin ();
  g_assert_cmpint (clock_probe_watch (probe, quiet), ==, OBSERVER_REASON_NONE);
  for (int i = 0; i < FLOOD_THREADS; i++)
    threads[i] = g_thread_new ("flood", ask_again_and_again, GINT_TO_POINTER (vm.fd));
  for (int i = 0; i < FLOOD_THREADS; i++)
    g_thread_join (threads[i]);
  let_pass ();
  passed_s = (double) (g_get_monotonic_time () - start_us) / 1e6;
  printf ("# %d asked for, %u told in %.2f s\n", FLOOD_THREADS * FLOOD_ASKED, told.count, passed_s);
  g_assert_cmpuint (told.count, >=, SIGHTS_BURST);
  g_assert_cmpfloat (told.count, <=, SIGHTS_BURST + SIGHTS_PER_S * passed_s + FLOOD_THREADS);

  g_assert_cmpint (write (quiet_fd, "", 1), ==, 1);
  WAIT_UNTIL (told.pid == quiet);
  g_assert_cmpint (told.reason, ==, OBSERVER_REASON_NONE);
  g_assert_cmpint (waitpid (quiet, &status, 0), ==, quiet);
  g_assert_cmpint (status, ==, 0);
  close (quiet_fd);
  clock_probe_unwatch (probe, quiet);
  watch_end ();
  tiny_vm_clear (&vm);
}

static double
measure_run_ns (struct tiny_vm *vm)
{
  struct timespec start;
  struct timespec end;

  clock_gettime (CLOCK_MONOTONIC_RAW, &start);
  for (int i = 0; i < RUNS_A_ROUND; i++) {
    if (ioctl (vm->vcpus[0].fd, KVM_RUN, NULL) < 0 && errno != EINTR)
      g_error ("KVM_RUN: %s", g_strerror (errno));
  }
  clock_gettime (CLOCK_MONOTONIC_RAW, &end);
  return ((double) (end.tv_sec - start.tv_sec) * 1e9 + (double) (end.tv_nsec - start.tv_nsec)) /
         RUNS_A_ROUND;
}

static int
compare_doubles (const void *a, const void *b)
{
  const double *first = a;
  const double *second = b;

  return (*first > *second) - (*first < *second);
}

static double
median (double *samples, gsize count)
{
  qsort (samples, count, sizeof samples[0], compare_doubles);
  return samples[count / 2];
}

/* A guest that leaves to the host at once and is entered again: each KVM_RUN is a system call. */
static void
test_cost (int kvm_fd)
{
  double without_ns[COST_ROUNDS];
  double more_ns[COST_ROUNDS]; /* with it, than right before */
  double cost_ns;
  gint64 attach_us = 0;
  gint64 detach_us = 0;
  struct tiny_vm vm;

  tiny_vm_init (&vm, kvm_fd, 1, false, NULL);
  g_assert_true (tiny_vcpu_run (&vm, 0, guest_read_clocks));
  for (int i = 0; i < COST_ROUNDS; i++) {
    gint64 start_us;

    without_ns[i] = measure_run_ns (&vm);
    start_us = g_get_monotonic_time ();
    watch_begin ();
    attach_us = MAX (attach_us, g_get_monotonic_time () - start_us);
    more_ns[i] = measure_run_ns (&vm) - without_ns[i];
    start_us = g_get_monotonic_time ();
    watch_end ();
    detach_us = MAX (detach_us, g_get_monotonic_time () - start_us);
  }
  cost_ns = median (more_ns, COST_ROUNDS);
  printf ("# KVM_RUN: median %.1f ns unwatched, %+.1f ns watched (at the return of %s); attaching "
          "took %.2f ms at most, detaching %.2f ms\n",
          median (without_ns, COST_ROUNDS), cost_ns, clock_probe_get_place (probe),
          (double) attach_us / 1000, (double) detach_us / 1000);
  g_assert_cmpfloat (cost_ns, <, COST_MAX_SHARE * median (without_ns, COST_ROUNDS) + COST_MAX_NS);
  tiny_vm_clear (&vm);
}

int
main (void)
{
  static const struct kvm_case cases[] = {
    { "one-vcpu", test_one_vcpu },
    { "vcpus", test_vcpus },
    { "offsets-apart", test_offsets_apart, .needs = KVM_ABILITY_OFFSETS },
    { "no-master-clock", test_no_master_clock },
    { "slower", test_slower },
    { "faster", test_faster },
    { "many-vcpus", test_many_vcpus },
    { "no-vcpus", test_no_vcpus },
    { "other-process", test_other_process },
    { "silence", test_silence },
    { "flood", test_flood },
    { "cost", test_cost },
  };
  g_autoptr (GError) error = NULL;
  gint64 start_us = g_get_monotonic_time ();
  int status;

  keep_capabilities ();
  probe = clock_probe_new (CLOCK_PROBE_BTF_DIR, 0, on_told, NULL, &error);
  if (probe == NULL) {
    printf ("skip everything: %s\n", error->message);
    return EXIT_SKIP;
  }
  printf ("# loaded in %.1f ms, to be attached at the return of %s\n",
          (double) (g_get_monotonic_time () - start_us) / 1000, clock_probe_get_place (probe));
  status = vm_hand_over_run_cases (cases, G_N_ELEMENTS (cases));
  clock_probe_free (probe);
  g_free (told.record);
  return status;
}
