/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is said of a KVM follows from what was tried on it; and the trying is real, on this
 * machine's own KVM where it has one.
 */
#include "check-kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <unistd.h>

#include "ctl-check-expect.h"
#include "temp-folder.h"

#define ALL_FLAGS (KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)

#define NEW_KERNEL "6.1.0-28-amd64"
#define OLD_KERNEL "5.10.0-33-amd64"

/* A KVM that can do everything. */
static const KvmProbe good = {
  .offered_clock_flags = ALL_FLAGS,
  .clock_flags = ALL_FLAGS,
  .has_tsc_offset = TRUE,
  .keeps_tsc_offset = TRUE,
  .tsc_khz = 2600000,
  .has_vm_tsc_khz = TRUE,
  .has_scaling = TRUE,
};

/* What is said of @probe on a host with these CPU flags. */
static CheckList *
judge (const KvmProbe *probe, const char *release, const char *cpu_flags, gboolean is_root)
{
  g_autoptr (TempFolder) root = temp_folder_make ();
  g_autofree char *cpuinfo = g_strdup_printf (
    "processor\t: 0\nvmx flags\t: vnmi\nflags\t\t: fpu %s tsc\nbugs\t\t:\n", cpu_flags);
  g_autofree char *path = temp_folder_write (root, "proc/cpuinfo", cpuinfo);
  g_autoptr (CheckHost) host = check_host_new_for_test (root, NULL);
  CheckList *list = check_list_new (NULL, NULL);

  host->is_root = is_root;
  check_kvm_judge (host, release, probe, list);
  check_list_finish (list, "sudo clockferryctl check");
  check_expect_commands (list);
  return list;
}

static void
test_release (void)
{
  g_assert_true (check_kvm_release_is_new ("5.16.0"));
  g_assert_true (check_kvm_release_is_new ("5.16-rc1"));
  g_assert_true (check_kvm_release_is_new ("6.1.0-28-amd64"));
  g_assert_true (check_kvm_release_is_new ("10.0"));
  g_assert_false (check_kvm_release_is_new ("5.15.167"));
  g_assert_false (check_kvm_release_is_new ("4.19.0"));
  g_assert_false (check_kvm_release_is_new ("strange"));
}

static void
test_all_well (void)
{
  g_autoptr (CheckList) list = judge (&good, NEW_KERNEL, "svm", TRUE);

  g_assert_cmpint (check_list_get_status (list), ==, CHECK_OK);
  check_expect (list, "kernel-version", CHECK_OK, NEW_KERNEL, NULL);
  check_expect (list, "kvm-master-clock", CHECK_OK, NULL, NULL);
  check_expect (list, "kvm-tsc-frequency", CHECK_OK, "2600000 kHz", NULL);
  check_expect (list, "kvm-tsc-scaling", CHECK_OK, "any", NULL);
}

static void
test_no_device (void)
{
  KvmProbe probe = { .open_errno = ENOENT };
  g_autoptr (CheckList) amd = judge (&probe, NEW_KERNEL, "svm", TRUE);
  g_autoptr (CheckList) intel = judge (&probe, NEW_KERNEL, "vmx", TRUE);
  g_autoptr (CheckList) virtual = judge (&probe, NEW_KERNEL, "hypervisor", TRUE);
  g_autoptr (CheckList) firmware = judge (&probe, NEW_KERNEL, "sse", TRUE);

  check_expect (amd, "kvm-device", CHECK_FAILURE, "/dev/kvm is missing", "modprobe kvm_amd");
  check_expect (intel, "kvm-device", CHECK_FAILURE, "/dev/kvm is missing", "modprobe kvm_intel");
  check_expect (virtual, "kvm-device", CHECK_FAILURE, "nested", NULL);
  check_expect (firmware, "kvm-device", CHECK_FAILURE, "firmware",
                "systemctl reboot --firmware-setup");
  check_expect_none (amd, "kvm-clock");
  check_expect_none (amd, "kvm-tsc-offset");
}

static void
test_not_permitted (void)
{
  KvmProbe probe = { .open_errno = EACCES };
  g_autoptr (CheckList) user = judge (&probe, NEW_KERNEL, "svm", FALSE);
  g_autoptr (CheckList) root = judge (&probe, NEW_KERNEL, "svm", TRUE);

  check_expect_none (user, "kvm-device");
  check_expect (user, "not-root", CHECK_WARNING, "KVM", "sudo clockferryctl check");
  check_expect (root, "kvm-device", CHECK_FAILURE, "/dev/kvm", NULL);
}

static void
test_call_fails (void)
{
  KvmProbe busy = { .failed_call = "KVM_CREATE_VM", .call_errno = EBUSY };
  KvmProbe odd = { .failed_call = "KVM_GET_CLOCK", .call_errno = EIO };
  g_autoptr (CheckList) taken = judge (&busy, NEW_KERNEL, "vmx", TRUE);
  g_autoptr (CheckList) broken = judge (&odd, NEW_KERNEL, "vmx", TRUE);

  check_expect (taken, "kvm-device", CHECK_FAILURE, "another hypervisor", NULL);
  check_expect (broken, "kvm-device", CHECK_FAILURE, "KVM_GET_CLOCK", NULL);
  check_expect_none (broken, "kvm-tsc-offset");
}

/* Linux before 5.16, but for those of distributions that have the newer KVM. */
static void
test_old_kernel (void)
{
  KvmProbe old = {
    .offered_clock_flags = KVM_CLOCK_TSC_STABLE,
    .clock_flags = KVM_CLOCK_TSC_STABLE,
    .tsc_khz = 2600000,
  };
  g_autoptr (CheckList) list = judge (&old, OLD_KERNEL, "svm", TRUE);
  g_autoptr (CheckList) backported = judge (&good, OLD_KERNEL, "svm", TRUE);
  const CheckResult *kernel = check_expect_find (list, "kernel-version");

  g_assert_cmpint (kernel->status, ==, CHECK_FAILURE);
  g_assert_nonnull (strstr (kernel->finding, "migrate the guests away and reboot"));
  g_assert_true (kernel->remedy == NULL || strstr (kernel->remedy, "reboot") == NULL);
  check_expect (list, "kvm-clock", CHECK_FAILURE, "KVM_CAP_ADJUST_CLOCK is 2, not 14",
                kernel->remedy);
  check_expect (list, "kvm-tsc-offset", CHECK_FAILURE, "KVM_VCPU_TSC_OFFSET", kernel->remedy);
  /* the master clock is there: nothing has to be said of it */
  check_expect_none (list, "kvm-master-clock");
  g_assert_cmpint (check_list_get_status (backported), ==, CHECK_OK);
}

static void
test_no_master_clock (void)
{
  KvmProbe probe = good;
  g_autoptr (CheckList) list = NULL;

  probe.clock_flags = 0;
  probe.keeps_tsc_offset = FALSE;
  list = judge (&probe, NEW_KERNEL, "svm", TRUE);
  check_expect (list, "kvm-master-clock", CHECK_WARNING, "kvmclock alone", NULL);
  check_expect (list, "kvm-tsc-offset", CHECK_WARNING, "not stable", NULL);
  g_assert_cmpint (check_list_get_status (list), ==, CHECK_WARNING);
}

static void
test_dropped_offset (void)
{
  KvmProbe probe = good;
  g_autoptr (CheckList) list = NULL;

  probe.keeps_tsc_offset = FALSE;
  list = judge (&probe, NEW_KERNEL, "svm", TRUE);
  check_expect (list, "kvm-tsc-offset", CHECK_FAILURE, "drops it", NULL);
}

static void
test_scaling (void)
{
  KvmProbe probe = good;
  g_autoptr (CheckList) opaque = NULL;
  g_autoptr (CheckList) none = NULL;

  probe.has_vm_tsc_khz = FALSE;
  opaque = judge (&probe, NEW_KERNEL, "svm", TRUE);
  g_assert_cmpint (check_expect_find (opaque, "kvm-tsc-frequency")->status, ==, CHECK_WARNING);
  probe.has_scaling = FALSE;
  none = judge (&probe, NEW_KERNEL, "svm", TRUE);
  check_expect (none, "kvm-tsc-frequency", CHECK_OK, NULL, NULL);
  check_expect (none, "kvm-tsc-scaling", CHECK_OK, "250 ppm", NULL);
}

/* How many files this process has open. */
static guint
count_fds (void)
{
  g_autoptr (GDir) dir = g_dir_open ("/proc/self/fd", 0, NULL);
  guint count = 0;

  while (g_dir_read_name (dir) != NULL)
    count++;
  return count;
}

/* Nothing is left out: a host without KVM has its own result. */
static void
test_this_machine (void)
{
  g_autoptr (CheckHost) host = check_host_new_for_test ("", NULL);
  g_autoptr (CheckList) list = check_list_new (NULL, NULL);
  int fd = open ("/dev/kvm", O_RDWR | O_CLOEXEC);
  int open_errno = fd < 0 ? errno : 0;
  guint fds_before;
  KvmProbe probe;

  if (fd >= 0)
    close (fd);
  fds_before = count_fds ();
  kvm_probe_run ("/dev/kvm", &probe);
  g_assert_cmpuint (count_fds (), ==, fds_before);
  g_assert_cmpint (probe.open_errno, ==, open_errno);

  host->is_root = geteuid () == 0;
  check_kvm (host, list);
  check_list_finish (list, "sudo clockferryctl check");
  check_expect_commands (list);
  if (open_errno == EACCES && !host->is_root) {
    check_expect (list, "not-root", CHECK_WARNING, "KVM", "sudo clockferryctl check");
    return;
  }
  if (open_errno != 0) {
    g_assert_cmpint (check_expect_find (list, "kvm-device")->status, ==, CHECK_FAILURE);
    return;
  }
  check_expect (list, "kvm-device", CHECK_OK, NULL, NULL);
  g_assert_cmpuint (probe.tsc_khz, >, 100000);
  /* the selftests of Linux 5.16 and newer say that there are these */
  if (check_expect_find (list, "kernel-version")->status == CHECK_OK) {
    check_expect (list, "kvm-clock", CHECK_OK, NULL, NULL);
    g_assert_true (probe.has_tsc_offset);
  }
  g_test_message ("offset kept: %s, clock flags: %u", probe.keeps_tsc_offset ? "yes" : "no",
                  probe.clock_flags);
}

static void
test_not_a_device (void)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autofree char *file = temp_folder_write (folder, "kvm", "");
  g_autofree char *missing = g_build_filename (folder, "missing", NULL);
  KvmProbe probe;

  kvm_probe_run (missing, &probe);
  g_assert_cmpint (probe.open_errno, ==, ENOENT);
  kvm_probe_run (file, &probe);
  g_assert_cmpint (probe.open_errno, ==, 0);
  g_assert_cmpstr (probe.failed_call, ==, "KVM_CREATE_VM");
  g_assert_cmpint (probe.call_errno, ==, ENOTTY);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/ctl-check-kvm/release", test_release);
  g_test_add_func ("/ctl-check-kvm/all-well", test_all_well);
  g_test_add_func ("/ctl-check-kvm/no-device", test_no_device);
  g_test_add_func ("/ctl-check-kvm/not-permitted", test_not_permitted);
  g_test_add_func ("/ctl-check-kvm/call-fails", test_call_fails);
  g_test_add_func ("/ctl-check-kvm/old-kernel", test_old_kernel);
  g_test_add_func ("/ctl-check-kvm/no-master-clock", test_no_master_clock);
  g_test_add_func ("/ctl-check-kvm/dropped-offset", test_dropped_offset);
  g_test_add_func ("/ctl-check-kvm/scaling", test_scaling);
  g_test_add_func ("/ctl-check-kvm/this-machine", test_this_machine);
  g_test_add_func ("/ctl-check-kvm/not-a-device", test_not_a_device);
  return g_test_run ();
}
