/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * helper-kvm-test - a hand-over between two VMs of the KVM at hand
 *
 * Two VMs of a few instructions stand for source and destination. The helper's objects get their
 * ioctls as QEMU's would come, and the guest's clocks are read where the guest reads them: RDTSC in the
 * guest, and the pvclock page that KVM writes for it. A third VM, resumed as stock QEMU does, is the
 * control: it must show the error that the fix-up removes.
 *
 * One self-contained executable, to be run on any host. Exits with 77 without a usable /dev/kvm; steps
 * that this KVM can not do are skipped by name.
 */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <inttypes.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock-events.h"
#include "clock-source.h"
#include "helper-peer.h"
#include "host-calls.h"
#include "kvm-vm.h"

#define EXIT_SKIP 77

#define VCPU_COUNT   2
#define MEMORY_SIZE  0x10000
#define CODE_AT      0x1000
#define TSC_AT       0x2000
#define PVCLOCK_AT   0x3000
#define PVCLOCK_STEP 64

/* arch/x86/include/uapi/asm/kvm_para.h */
#define MSR_KVM_SYSTEM_TIME_NEW 0x4b564d01u
#define PVCLOCK_TSC_STABLE      1u
#define KVM_PVCLOCK_ENABLED     1u

#define NS_PER_MS   1000000ull
#define BLACKOUT_NS (400 * NS_PER_MS)
/* What reading host clocks around a guest exit may be off by, on an emulated host under load */
#define SAMPLE_TOLERANCE_NS (20 * NS_PER_MS)
/* kvmclock against the TSC, both read in one guest: no sampling error, some rounding of multipliers */
#define COHERENCE_TOLERANCE_NS 20000

/* arch/x86/include/asm/pvclock-abi.h */
struct pvclock_page {
  uint32_t version;
  uint32_t pad0;
  uint64_t tsc_timestamp;
  uint64_t system_time;
  uint32_t tsc_to_system_mul;
  int8_t tsc_shift;
  uint8_t flags;
  uint8_t pad[2];
};

struct guest {
  int vm_fd;
  int vcpu_fds[VCPU_COUNT];
  struct kvm_run *runs[VCPU_COUNT];
  size_t run_size;
  uint8_t *memory;
};

/* The guest's clocks at one RDTSC of the guest, and the host's time around it. */
struct sample {
  uint64_t tsc_ticks;
  uint64_t kvmclock_ns;
  uint64_t real_before_ns;
  uint64_t real_after_ns;
  uint8_t pvclock_flags;
};

static const uint8_t guest_code[] = {
  0x0f, 0x31,                   /* rdtsc */
  0x66, 0xa3, 0x00, 0x20,       /* mov %eax, TSC_AT */
  0x66, 0x89, 0x16, 0x04, 0x20, /* mov %edx, TSC_AT + 4 */
  0xe6, 0x80,                   /* out %al, $0x80: leave to the host */
  0xeb, 0xf1,                   /* and again */
};

static void
say (const char *verdict, const char *step, const char *why)
{
  printf ("%s %s%s%s\n", verdict, step, why != NULL ? ": " : "", why != NULL ? why : "");
  fflush (stdout);
}

static int
must_ioctl (int fd, unsigned long request, void *arg, const char *what)
{
  int result = clock_events_ioctl (fd, request, arg);

  if (result < 0)
    g_error ("%s: %s", what, g_strerror (errno));
  return result;
}

static void
vcpu_set_up (struct guest *guest, int index)
{
  int fd = guest->vcpu_fds[index];
  struct kvm_sregs sregs;
  struct kvm_regs regs = { .rip = CODE_AT, .rflags = 2 };

  guest->runs[index] = mmap (NULL, guest->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  g_assert_true (guest->runs[index] != MAP_FAILED);
  must_ioctl (fd, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS");
  sregs.cs.base = 0;
  sregs.cs.selector = 0;
  must_ioctl (fd, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS");
  must_ioctl (fd, KVM_SET_REGS, &regs, "KVM_SET_REGS");
  g_assert_cmpint (
    kvm_vcpu_set_msr (fd, MSR_KVM_SYSTEM_TIME_NEW,
                      (PVCLOCK_AT + PVCLOCK_STEP * (unsigned) index) | KVM_PVCLOCK_ENABLED),
    ==, 0);
}

static void
guest_new (struct guest *guest, int kvm_fd)
{
  struct kvm_userspace_memory_region region = { .memory_size = MEMORY_SIZE };

  guest->vm_fd = must_ioctl (kvm_fd, KVM_CREATE_VM, NULL, "KVM_CREATE_VM");
  guest->memory =
    mmap (NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  g_assert_true (guest->memory != MAP_FAILED);
  memcpy (guest->memory + CODE_AT, guest_code, sizeof guest_code);
  region.userspace_addr = (uintptr_t) guest->memory;
  /* VMX without unrestricted guests needs a place for real mode; others have no use for it */
  ioctl (guest->vm_fd, KVM_SET_TSS_ADDR, (void *) 0xfffbd000);
  must_ioctl (guest->vm_fd, KVM_SET_USER_MEMORY_REGION, &region, "KVM_SET_USER_MEMORY_REGION");
  guest->run_size =
    (size_t) must_ioctl (kvm_fd, KVM_GET_VCPU_MMAP_SIZE, NULL, "KVM_GET_VCPU_MMAP_SIZE");
  for (int i = 0; i < VCPU_COUNT; i++)
    guest->vcpu_fds[i] =
      must_ioctl (guest->vm_fd, KVM_CREATE_VCPU, (void *) (uintptr_t) i, "KVM_CREATE_VCPU");
  for (int i = 0; i < VCPU_COUNT; i++)
    vcpu_set_up (guest, i);
}

static void
guest_free (struct guest *guest)
{
  for (int i = 0; i < VCPU_COUNT; i++) {
    munmap (guest->runs[i], guest->run_size);
    close (guest->vcpu_fds[i]);
  }
  close (guest->vm_fd);
  munmap (guest->memory, MEMORY_SIZE);
}

static uint64_t
pvclock_at (const struct pvclock_page *page, uint64_t tsc_ticks)
{
  uint64_t delta = tsc_ticks - page->tsc_timestamp;

  if (page->tsc_shift >= 0)
    delta <<= page->tsc_shift;
  else
    delta >>= -page->tsc_shift;
  return page->system_time + (uint64_t) ((unsigned __int128) delta * page->tsc_to_system_mul >> 32);
}

/* One round of the guest's loop. False if this KVM does not run such a guest. */
static bool
guest_sample (struct guest *guest, int index, struct sample *sample)
{
  struct pvclock_page page;
  int result;

  sample->real_before_ns = host_calls.clock_ns (CLOCK_REALTIME);
  do
    result = ioctl (guest->vcpu_fds[index], KVM_RUN, NULL);
  while (result < 0 && errno == EINTR);
  sample->real_after_ns = host_calls.clock_ns (CLOCK_REALTIME);
  if (result < 0 || guest->runs[index]->exit_reason != KVM_EXIT_IO)
    return false;
  memcpy (&sample->tsc_ticks, guest->memory + TSC_AT, sizeof sample->tsc_ticks);
  memcpy (&page, guest->memory + PVCLOCK_AT + PVCLOCK_STEP * index, sizeof page);
  sample->kvmclock_ns = pvclock_at (&page, sample->tsc_ticks);
  sample->pvclock_flags = page.flags;
  return true;
}

/* As QEMU loads the incoming VM: each vCPU's TSC by its MSR. */
static void
guest_load (struct guest *guest, const uint64_t *tsc_ticks)
{
  for (int i = 0; i < VCPU_COUNT; i++)
    g_assert_cmpint (kvm_vcpu_set_msr (guest->vcpu_fds[i], MSR_TSC, tsc_ticks[i]), ==, 0);
}

/* How far the guest's kvmclock has fallen behind CLOCK_REALTIME between two samples. */
static int64_t
behind_ns (const struct sample *before, const struct sample *after)
{
  int64_t real_ns = (int64_t) (after->real_after_ns - before->real_after_ns);

  return real_ns - (int64_t) (after->kvmclock_ns - before->kvmclock_ns);
}

/* How far the guest's TSC has moved away from its kvmclock between two samples. */
static int64_t
torn_ns (const struct sample *before, const struct sample *after, uint32_t freq_khz)
{
  __int128 ticks = (__int128) (int64_t) (after->tsc_ticks - before->tsc_ticks);

  return (int64_t) (ticks * 1000000 / freq_khz) -
         (int64_t) (after->kvmclock_ns - before->kvmclock_ns);
}

static int
resume (const struct guest *guest, uint64_t clock_ns)
{
  struct kvm_clock_data clock = { .clock = clock_ns };

  return clock_events_ioctl (guest->vm_fd, KVM_SET_CLOCK, &clock);
}

static void
check_stock (struct guest *guest, const struct helper_report *report, uint64_t clock_ns)
{
  struct kvm_clock_data clock;

  must_ioctl (guest->vm_fd, KVM_GET_CLOCK, &clock, "KVM_GET_CLOCK");
  g_assert_cmpuint (clock.clock - clock_ns, <, BLACKOUT_NS / 2);
  for (uint32_t i = 0; i < report->vcpu_count; i++) {
    uint64_t ofs_ticks = 0;

    g_assert_cmpint (kvm_vcpu_get_tsc_offset (guest->vcpu_fds[i], &ofs_ticks), ==, 0);
    g_assert_cmphex (ofs_ticks, ==, report->vcpus[i].ofs_before_ticks);
  }
}

static void
check_fixed (struct guest *guest, const struct sample *before, uint32_t freq_khz)
{
  for (int i = 0; i < VCPU_COUNT; i++) {
    struct sample after;
    int64_t behind, torn;

    g_assert_true (guest_sample (guest, i, &after));
    behind = behind_ns (before, &after);
    torn = torn_ns (before, &after, freq_khz);
    printf ("# vCPU %d: kvmclock %" PRId64 " ns behind CLOCK_REALTIME, TSC %" PRId64
            " ns off kvmclock\n",
            i, behind, torn);
    g_assert_cmpint (llabs (behind), <, (int64_t) SAMPLE_TOLERANCE_NS);
    g_assert_cmpint (llabs (torn), <, COHERENCE_TOLERANCE_NS);
    g_assert_cmpuint (after.pvclock_flags & PVCLOCK_TSC_STABLE, !=, 0);
  }
  say ("ok", "continuity", NULL);
  say ("ok", "coherence", NULL);
  say ("ok", "master-clock", NULL);
}

/* Without the helper's work the guest is behind by the blackout, or this test proves nothing. */
static void
check_control (int kvm_fd, const uint64_t *tsc_ticks, uint64_t clock_ns,
               const struct sample *before)
{
  struct guest guest;
  struct sample after;
  int64_t behind;

  guest_new (&guest, kvm_fd);
  guest_load (&guest, tsc_ticks);
  g_assert_cmpint (resume (&guest, clock_ns), ==, 0);
  g_assert_true (guest_sample (&guest, 0, &after));
  behind = behind_ns (before, &after);
  printf ("# stock: kvmclock %" PRId64 " ns behind CLOCK_REALTIME\n", behind);
  g_assert_cmpint (behind, >=, (int64_t) BLACKOUT_NS);
  guest_free (&guest);
  say ("ok", "control", NULL);
}

static void
hand_over (int kvm_fd, int daemon)
{
  struct guest source, destination;
  struct sample before = { 0 };
  struct kvm_clock_data clock;
  uint64_t tsc_ticks[VCPU_COUNT];
  bool runs = true;
  g_autofree struct helper_record *message = NULL;
  g_autofree struct helper_fixup *fixup = NULL;
  g_autofree struct helper_report *report = NULL;

  guest_new (&source, kvm_fd);
  for (int i = VCPU_COUNT - 1; i >= 0; i--)
    runs = runs && guest_sample (&source, i, &before);
  if (!runs) {
    /* its clock is decided at the first KVM_SET_CLOCK, if not by running */
    clock = (struct kvm_clock_data){ .clock = 5 * 1000 * NS_PER_MS };
    must_ioctl (source.vm_fd, KVM_SET_CLOCK, &clock, "KVM_SET_CLOCK");
  }

  /* pause */
  for (int i = 0; i < VCPU_COUNT; i++)
    g_assert_cmpint (kvm_vcpu_get_msr (source.vcpu_fds[i], MSR_TSC, &tsc_ticks[i]), ==, 0);
  must_ioctl (source.vm_fd, KVM_GET_CLOCK, &clock, "KVM_GET_CLOCK");
  message = helper_peer_expect (daemon, HELPER_MESSAGE_RECORD);
  g_assert_cmpuint (message->record.guest_src_ns, ==, clock.clock);
  g_assert_cmpuint (message->record.vcpu_count, ==, VCPU_COUNT);
  printf ("# record: freq %u kHz, flags %#x, ratio %#" PRIx64 " >> %u, KVM clock flags %#x\n",
          message->record.freq_khz, message->record.flags, message->record.tsc_ratio,
          message->record.tsc_frac_bits, clock.flags);
  if (clock_has_master (&clock))
    g_assert_cmphex (message->record.flags, ==, CLOCK_RECORD_MASTER_CLOCK);
  say ("ok", "record", NULL);

  /* the blackout, and the destination as QEMU loads it */
  g_usleep (BLACKOUT_NS / 1000);
  guest_new (&destination, kvm_fd);
  guest_load (&destination, tsc_ticks);
  fixup = helper_peer_fixup (&message->record);
  helper_peer_send (daemon, fixup, fixup->header.length);
  g_assert_cmpint (resume (&destination, clock.clock), ==, 0);
  report = helper_peer_expect (daemon, HELPER_MESSAGE_REPORT);
  printf ("# report: %s (%s), advance %" PRId64 " ns, residual %" PRId64
          " ns, %u attempts, %" PRIu64 " ns spent\n",
          helper_verdict_name (report->verdict), helper_reason_name (report->reason),
          report->advance_ns, report->residual_ns, report->attempts, report->spent_ns);

  switch ((enum helper_verdict) report->verdict) {
  case HELPER_VERDICT_FIXED:
    say ("ok", "fixed", NULL);
    g_assert_cmpint (report->advance_ns, >=, (int64_t) BLACKOUT_NS);
    if (runs)
      check_fixed (&destination, &before, message->record.freq_khz);
    else
      say ("skip", "continuity coherence master-clock", "this KVM does not run a real-mode guest");
    break;
  case HELPER_VERDICT_KVMCLOCK_ONLY:
    g_assert_cmpstr (helper_reason_name (report->reason), ==, "no-master-clock");
    say ("skip", "fixed continuity coherence master-clock", "this KVM has no master clock");
    break;
  case HELPER_VERDICT_STOCK:
    g_assert_cmpstr (helper_reason_name (report->reason), ==, "offset-dropped");
    check_stock (&destination, report, clock.clock);
    say ("ok", "left-as-stock", NULL);
    say ("skip", "fixed continuity coherence master-clock", "this KVM drops TSC offsets");
    break;
  case HELPER_VERDICT_OBSERVED:
  default:
    g_error ("unexpected verdict %u", report->verdict);
  }

  if (runs)
    check_control (kvm_fd, tsc_ticks, clock.clock, &before);
  else
    say ("skip", "control", "this KVM does not run a real-mode guest");
  guest_free (&destination);
  guest_free (&source);
}

int
main (void)
{
  struct helper_process process = { 0 };
  int kvm_fd = open ("/dev/kvm", O_RDWR | O_CLOEXEC);
  int daemon;

  if (kvm_fd < 0) {
    say ("skip", "everything", "no /dev/kvm");
    return EXIT_SKIP;
  }
  if ((ioctl (kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_ADJUST_CLOCK) & KVM_CLOCK_REALTIME) == 0) {
    say ("skip", "everything", "KVM of a kernel before 5.16");
    return EXIT_SKIP;
  }
  helper_peer_start ();
  process.home = helper_peer_directory ();
  memcpy (process.domain, helper_peer_domain, sizeof process.domain);
  clock_events_start (&process);
  daemon = helper_peer_connect ();

  hand_over (kvm_fd, daemon);

  close (daemon);
  clock_events_stop ();
  helper_peer_stop ();
  close (kvm_fd);
  return EXIT_SUCCESS;
}
