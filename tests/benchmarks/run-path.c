/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * run-path - what the helper costs on the path of KVM_RUN
 *
 * Once by the shortest ioctl there is, which the kernel turns down at once, so that nanoseconds can
 * be told; and once by a guest of a few instructions that leaves to the host and is entered again.
 */

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "figures.h"
#include "preload.h"
#include "tiny-guest.h"

#define ROUNDS          4001
#define REFUSED_A_ROUND 300
#define ENTERED_A_ROUND 3

static Preload preload;

static double
now_ns (void)
{
  struct timespec now;

  clock_gettime (CLOCK_MONOTONIC_RAW, &now);
  return (double) now.tv_sec * 1e9 + (double) now.tv_nsec;
}

/* One KVM_RUN, in ns. noinline: both ways through the very same code. */
static __attribute__ ((noinline)) double
measure_refused (PreloadIoctl call)
{
  double start_ns = now_ns ();

  for (int i = 0; i < REFUSED_A_ROUND; i++)
    call (-1, KVM_RUN, NULL);
  return (now_ns () - start_ns) / REFUSED_A_ROUND;
}

static __attribute__ ((noinline)) double
measure_entered (PreloadIoctl call, int vcpu_fd)
{
  double start_ns = now_ns ();

  for (int i = 0; i < ENTERED_A_ROUND; i++) {
    if (call (vcpu_fd, KVM_RUN, NULL) < 0 && errno != EINTR)
      g_error ("KVM_RUN: %s", g_strerror (errno));
  }
  return (now_ns () - start_ns) / ENTERED_A_ROUND;
}

static void
report_refused (void)
{
  g_autoptr (GArray) with = samples_new ();
  g_autoptr (GArray) without = samples_new ();

  g_assert_cmpint (preload.helper (-1, KVM_RUN, NULL), ==, -1);
  g_assert_cmpint (errno, ==, EBADF);
  for (int i = 0; i < ROUNDS; i++) {
    samples_add (without, measure_refused (preload.stock));
    samples_add (with, measure_refused (preload.helper));
  }
  figure_print (&(Figure){
    .part = "helper",
    .what = "ioctl(KVM_RUN) that the kernel turns down at once",
    .unit = "ns",
    .samples = with,
    .against = "the same without the helper",
    .control = without,
    .goal = FIGURE_GOAL_DIFFERENCE,
    .limit = 2,
  });
}

static void
report_entered (int kvm_fd)
{
  g_autoptr (GArray) with = samples_new ();
  g_autoptr (GArray) without = samples_new ();
  struct tiny_vm vm;

  tiny_vm_init (&vm, kvm_fd, 1, false, NULL);
  if (!tiny_vcpu_run (&vm, 0, guest_read_clocks))
    g_error ("this KVM does not run a real-mode guest");
  for (int i = 0; i < ROUNDS; i++) {
    samples_add (without, measure_entered (preload.stock, vm.vcpus[0].fd));
    samples_add (with, measure_entered (preload.helper, vm.vcpus[0].fd));
  }
  tiny_vm_clear (&vm);
  figure_print (&(Figure){
    .part = "helper",
    .what = "ioctl(KVM_RUN) of a guest that leaves to the host at once",
    .unit = "ns",
    .samples = with,
    .against = "the same without the helper",
    .control = without,
    .goal = FIGURE_GOAL_RATIO,
    .limit = 1.01,
  });
}

int
main (int argc, char **argv)
{
  int kvm_fd;

  preload_begin (argc, argv, false, &preload);
  kvm_fd = open ("/dev/kvm", O_RDWR | O_CLOEXEC);
  g_assert_no_errno (kvm_fd);
  report_refused ();
  report_entered (kvm_fd);
  preload_end ();
  return EXIT_SUCCESS;
}
