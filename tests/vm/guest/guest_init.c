/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_init.c - the guest's only program: reads its clocks about every 20 ms and writes them out
 *
 * It goes out through a virtio port, a line a write: a serial port costs an exit a byte, which under emulation takes
 * longer than the 20 ms. The lines, in decimal:
 *
 *   S <cpus> <clocksource>                             once, at the start
 *   C <sequence> <clocksource>                         now and then
 *   P <sequence> <cpu> <tsc> <width> <raw> <tsc> <width> <realtime>
 *       a pair with CLOCK_MONOTONIC_RAW and one with CLOCK_REALTIME: TSC ticks before the reading, ticks from then to
 *       after it, and the clock in ns
 */
#define _GNU_SOURCE

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../host_tools/tight_pair.h"

#define PORT_NAME                  "org.clockferry.yardstick"
#define PORTS_DIR                  "/sys/class/virtio-ports"
#define CLOCKSOURCE_FILE           "/sys/devices/system/clocksource/clocksource0/current_clocksource"
#define INTERVAL_NS                20000000
#define PAIR_TRIES                 8
#define LINES_PER_CLOCKSOURCE_LINE 50
/* With several CPUs, every so many lines one of the others is read instead of CPU 0. */
#define LINES_PER_OTHER_CPU_LINE 4

static void
die (const char *what)
{
  /* The kernel panics when its init exits, which puts this message at the end of the console. */
  fprintf (stderr, "guest-init: %s: %s\n", what, strerror (errno));
  exit (1);
}

static void
mount_file_system (const char *type, const char *where)
{
  mkdir (where, 0755);
  if (mount (type, where, type, 0, NULL) < 0)
    die (where);
}

static void
load_modules (void)
{
  struct dirent **entries;
  int count = scandir ("/modules", &entries, NULL, alphasort);

  if (count < 0)
    die ("/modules");
  for (int i = 0; i < count; i++) {
    char path[512];
    int fd;

    if (entries[i]->d_name[0] == '.')
      continue;
    snprintf (path, sizeof path, "/modules/%s", entries[i]->d_name);
    fd = open (path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || syscall (SYS_finit_module, fd, "", 0) < 0)
      die (path);
    close (fd);
  }
}

static void
read_first_word (const char *path, char *word, size_t size)
{
  FILE *file = fopen (path, "re");

  word[0] = '\0';
  if (!file)
    return;
  if (fgets (word, size, file))
    word[strcspn (word, " \n")] = '\0';
  fclose (file);
}

/* The port's device appears when the host has told its name, some time after the driver was loaded. */
static int
open_port (void)
{
  for (;;) {
    DIR *ports = opendir (PORTS_DIR);
    struct dirent *entry;

    while (ports && (entry = readdir (ports))) {
      char path[512], name[64];
      int fd;

      snprintf (path, sizeof path, PORTS_DIR "/%s/name", entry->d_name);
      read_first_word (path, name, sizeof name);
      if (strcmp (name, PORT_NAME))
        continue;
      snprintf (path, sizeof path, "/dev/%s", entry->d_name);
      fd = open (path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
      if (fd >= 0) {
        closedir (ports);
        return fd;
      }
    }
    if (ports)
      closedir (ports);
    usleep (10000);
  }
}

static void
write_line (int fd, const char *line, size_t length)
{
  while (write (fd, line, length) < 0) {
    struct pollfd writable = { .fd = fd, .events = POLLOUT };

    if (errno != EAGAIN && errno != EINTR)
      die ("writing to " PORT_NAME);
    poll (&writable, 1, -1);
  }
}

static void
pin_to_cpu (int cpu)
{
  cpu_set_t set;

  CPU_ZERO (&set);
  CPU_SET (cpu, &set);
  if (sched_setaffinity (0, sizeof set, &set) < 0)
    die ("sched_setaffinity");
}

static int
choose_cpu (uint64_t sequence, int cpus)
{
  if (cpus == 1 || sequence % LINES_PER_OTHER_CPU_LINE)
    return 0;
  return 1 + sequence / LINES_PER_OTHER_CPU_LINE % (cpus - 1);
}

static void
write_pairs (int fd, uint64_t sequence, int cpu)
{
  struct tight_pair raw, realtime;
  char line[256];
  int length;

  pin_to_cpu (cpu);
  raw = tight_pair_take (CLOCK_MONOTONIC_RAW, PAIR_TRIES);
  realtime = tight_pair_take (CLOCK_REALTIME, PAIR_TRIES);
  length = snprintf (line, sizeof line,
                     "P %" PRIu64 " %d %" PRIu64 " %" PRIu64 " %" PRId64 " %" PRIu64 " %" PRIu64
                     " %" PRId64 "\n",
                     sequence, cpu, raw.tsc_before_ticks, raw.width_ticks, raw.clock_ns,
                     realtime.tsc_before_ticks, realtime.width_ticks, realtime.clock_ns);
  write_line (fd, line, length);
}

int
main (void)
{
  const struct timespec interval = { .tv_nsec = INTERVAL_NS };
  int cpus;
  char clocksource[64], line[128];
  int fd;

  mount_file_system ("devtmpfs", "/dev");
  mount_file_system ("sysfs", "/sys");
  load_modules ();
  fd = open_port ();

  read_first_word (CLOCKSOURCE_FILE, clocksource, sizeof clocksource);
  cpus = sysconf (_SC_NPROCESSORS_ONLN);
  write_line (fd, line, snprintf (line, sizeof line, "S %d %s\n", cpus, clocksource));

  for (uint64_t sequence = 1;; sequence++) {
    write_pairs (fd, sequence, choose_cpu (sequence, cpus));
    if (sequence % LINES_PER_CLOCKSOURCE_LINE == 0) {
      read_first_word (CLOCKSOURCE_FILE, clocksource, sizeof clocksource);
      write_line (fd, line,
                  snprintf (line, sizeof line, "C %" PRIu64 " %s\n", sequence, clocksource));
    }
    nanosleep (&interval, NULL);
  }
}
