/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check-kvm.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "check-remedy.h"

#define DEVICE "/dev/kvm"

#define CLOCK_FLAGS_NEEDED (KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)

/* since when KVM_GET_CLOCK tells the TSC and CLOCK_REALTIME (kernel commit c68dc1b577ea) */
#define KERNEL_MAJOR 5
#define KERNEL_MINOR 16

/* Is @word among the flags of this host's first CPU? */
static gboolean
cpu_has_flag (const CheckHost *host, const char *word)
{
  g_autofree char *path = check_host_path (host, "/proc/cpuinfo");
  g_autofree char *text = NULL;
  g_auto (GStrv) words = NULL;
  char *flags;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return FALSE;
  flags = strstr (text, "\nflags");
  if (flags == NULL)
    return FALSE;
  flags++;
  flags[strcspn (flags, "\n")] = '\0';
  words = g_strsplit_set (flags, " \t", -1);
  return g_strv_contains ((const char *const *) words, word);
}

static void
judge_kernel (const char *release, const KvmProbe *probe, CheckList *list)
{
  g_autofree char *remedy = NULL;
  gboolean has_flags = (probe->offered_clock_flags & CLOCK_FLAGS_NEEDED) == CLOCK_FLAGS_NEEDED;

  check_list_begin (list, "kernel-version", _ ("kernel"));
  /* distributions have taken the new KVM into older kernels */
  if (check_kvm_release_is_new (release) || has_flags) {
    check_list_ok (list, _ ("Linux %s"), release);
    return;
  }
  remedy = remedy_install (PACKAGE_KERNEL);
  check_list_fail (
    list, remedy,
    _ (
      "Linux %s: only since %d.%d KVM tells the TSC and the host's time together; once a newer one "
      "is installed, migrate the guests away and reboot"),
    release, KERNEL_MAJOR, KERNEL_MINOR);
}

static void
judge_missing_device (const CheckHost *host, CheckList *list)
{
  if (cpu_has_flag (host, "svm"))
    check_list_fail (list, "modprobe kvm_amd", _ ("%s is missing: KVM is not loaded"), DEVICE);
  else if (cpu_has_flag (host, "vmx"))
    check_list_fail (list, "modprobe kvm_intel", _ ("%s is missing: KVM is not loaded"), DEVICE);
  else if (cpu_has_flag (host, "hypervisor"))
    check_list_fail (list, NULL,
                     _ ("%s is missing: this host is a virtual machine, and its own host does not "
                        "let it run others; turn on nested virtualisation there"),
                     DEVICE);
  else
    check_list_fail (list, "systemctl reboot --firmware-setup",
                     _ ("%s is missing: the CPU offers no virtualisation; turn on AMD-V (SVM) or "
                        "VT-x in the firmware's settings"),
                     DEVICE);
}

/* FALSE: there is no KVM to say anything else about. */
static gboolean
judge_device (const CheckHost *host, const KvmProbe *probe, CheckList *list)
{
  check_list_begin (list, "kvm-device", _ ("KVM"));
  if (probe->open_errno == ENOENT || probe->open_errno == ENODEV || probe->open_errno == ENXIO)
    judge_missing_device (host, list);
  else if (probe->open_errno != 0 && !host->is_root)
    check_list_skip (list);
  else if (probe->open_errno != 0)
    check_list_fail (list, NULL, _ ("%s cannot be opened: %s"), DEVICE,
                     g_strerror (probe->open_errno));
  else if (probe->failed_call != NULL && probe->call_errno == EBUSY)
    check_list_fail (list, NULL, _ ("%s fails with “%s”: another hypervisor has the CPU; stop it"),
                     probe->failed_call, g_strerror (probe->call_errno));
  else if (probe->failed_call != NULL)
    check_list_fail (list, NULL, _ ("%s fails on a virtual machine made for this check: %s"),
                     probe->failed_call, g_strerror (probe->call_errno));
  else
    check_list_ok (list, _ ("a virtual machine can be made"));
  return probe->open_errno == 0 && probe->failed_call == NULL;
}

static void
judge_clock (const KvmProbe *probe, CheckList *list)
{
  g_autofree char *remedy = NULL;

  check_list_begin (list, "kvm-clock", _ ("kvmclock"));
  if ((probe->offered_clock_flags & CLOCK_FLAGS_NEEDED) == CLOCK_FLAGS_NEEDED) {
    check_list_ok (list, _ ("KVM reads it together with the TSC and the host's time"));
    return;
  }
  remedy = remedy_install (PACKAGE_KERNEL);
  check_list_fail (
    list, remedy,
    _ ("this KVM cannot read it together with the TSC and the host's time "
       "(KVM_CAP_ADJUST_CLOCK is %u, not %d); once a newer kernel is installed, migrate the "
       "guests away and reboot"),
    probe->offered_clock_flags, KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC);
}

/* TRUE: KVM runs on it. */
static gboolean
judge_master_clock (const KvmProbe *probe, CheckList *list)
{
  const guint wanted = KVM_CLOCK_TSC_STABLE | CLOCK_FLAGS_NEEDED;

  check_list_begin (list, "kvm-master-clock", _ ("KVM's master clock"));
  if ((probe->clock_flags & wanted) == wanted) {
    check_list_ok (list, _ ("in use: kvmclock goes by the host's TSC"));
    return TRUE;
  }
  if ((probe->offered_clock_flags & CLOCK_FLAGS_NEEDED) != CLOCK_FLAGS_NEEDED &&
      (probe->clock_flags & KVM_CLOCK_TSC_STABLE) != 0)
    check_list_drop (list); /* that KVM does not tell, and was reported for it */
  else
    check_list_warn (
      list, NULL,
      _ ("not in use, as this host's time does not come from its TSC (see clocksource): "
         "kvmclock alone would be handed over, and the TSC left as stock QEMU has it"));
  return FALSE;
}

static void
judge_tsc_offset (const KvmProbe *probe, gboolean has_master_clock, CheckList *list)
{
  g_autofree char *remedy = NULL;

  check_list_begin (list, "kvm-tsc-offset", _ ("TSC offset"));
  if (probe->keeps_tsc_offset) {
    check_list_ok (list, _ ("KVM takes one and keeps it"));
  } else if (!probe->has_tsc_offset) {
    remedy = remedy_install (PACKAGE_KERNEL);
    check_list_fail (
      list, remedy,
      _ ("this KVM has no KVM_VCPU_TSC_OFFSET, which Linux has since "
         "5.16: a guest's TSC cannot be set; once a newer kernel is installed, migrate the "
         "guests away and reboot"));
  } else if (!has_master_clock) {
    check_list_warn (list, NULL,
                     _ ("KVM takes one and does not keep it, as this host's TSC is not "
                        "stable"));
  } else {
    check_list_fail (
      list, NULL,
      _ ("KVM takes one and drops it, as kvm-pvm does: every guest that arrives here "
         "would be stock; this host needs KVM on virtualisation hardware"));
  }
}

static void
judge_tsc_rate (const KvmProbe *probe, CheckList *list)
{
  g_autofree char *remedy = NULL;

  check_list_begin (list, "kvm-tsc-frequency", _ ("TSC frequency"));
  if (probe->has_scaling && !probe->has_vm_tsc_khz) {
    remedy = remedy_install (PACKAGE_KERNEL);
    check_list_warn (
      list, remedy,
      _ ("%u kHz; KVM scales, but before Linux 5.18 does not tell the frequency it "
         "scales from: guests "
         "from hosts with another frequency would be stock; once a newer kernel is installed, "
         "migrate the guests away and reboot"),
      probe->tsc_khz);
  } else {
    check_list_ok (list, _ ("%u kHz"), probe->tsc_khz);
  }

  check_list_begin (list, "kvm-tsc-scaling", _ ("TSC scaling"));
  if (probe->has_scaling)
    check_list_ok (list, _ ("guests may come from hosts with any TSC frequency"));
  else
    check_list_ok (list, _ ("none: guests from hosts whose TSC frequency differs by more than "
                            "250 ppm would be stock"));
}

/* public functions */

gboolean
check_kvm_release_is_new (const char *release)
{
  unsigned int major = 0;
  unsigned int minor = 0;

  /* NOLINTNEXTLINE(cert-err34-c): uname(2) has no numbers that would not fit */
  if (sscanf (release, "%u.%u", &major, &minor) != 2)
    return FALSE;
  return major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR);
}

void
check_kvm_judge (const CheckHost *host, const char *release, const KvmProbe *probe, CheckList *list)
{
  gboolean has_master_clock;

  judge_kernel (release, probe, list);
  if (!judge_device (host, probe, list))
    return;
  judge_clock (probe, list);
  has_master_clock = judge_master_clock (probe, list);
  judge_tsc_offset (probe, has_master_clock, list);
  judge_tsc_rate (probe, list);
}

void
check_kvm (CheckHost *host, CheckList *list)
{
  g_autofree char *device = check_host_path (host, DEVICE);
  struct utsname name;
  KvmProbe probe;

  /* cannot fail: the buffer is ours */
  (void) uname (&name);
  kvm_probe_run (device, &probe);
  check_kvm_judge (host, name.release, &probe, list);
}
