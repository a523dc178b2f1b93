/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * guest_init.c - the guest's only program: reads its clocks about every 20 ms and writes them out
 *
 * It goes out through a virtio port, a line a write: a serial port costs an exit a byte, which under emulation takes
 * longer than the 20 ms. The lines, in decimal:
 *
 *   S <cpus> <clocksource>                             once, at the start
 *   C <sequence> <clocksource>                         now and then
 *   H <sequence> <page sequence> <scale> <offset>      now and then, with Hyper-V's reference TSC page in use
 *   P <sequence> <cpu> <tsc> <width> <raw> <tsc> <width> <realtime>
 *       a pair with CLOCK_MONOTONIC_RAW and one with CLOCK_REALTIME: TSC ticks before the reading, ticks from then to
 *       after it, and the clock in ns
 *
 * From the kernel's command line: dirty_mib=N keeps writing to that much memory. CPUs that are plugged in are taken into use.
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
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../host_tools/tight_pair.h"

#define PORT_NAME          "org.clockferry.yardstick"
#define PORTS_DIR          "/sys/class/virtio-ports"
#define CLOCKSOURCE_FILE   "/sys/devices/system/clocksource/clocksource0/current_clocksource"
#define HYPERV_CLOCKSOURCE "hyperv_clocksource_tsc_page"
#define CPUS_DIR           "/sys/devices/system/cpu"
#define CPUS_MAX           64
#define PAGE_SIZE_BYTES    4096
/* Pages of [vvar]: the kernel's own, then kvmclock's, then Hyper-V's (arch/x86/entry/vdso/vdso-layout.lds.S). */
#define VVAR_HYPERV_PAGE           2
#define INTERVAL_NS                20000000
#define PAIR_TRIES                 8
#define LINES_PER_CLOCKSOURCE_LINE 50
/* With several CPUs, every so many lines one of the others is read instead of CPU 0. */
#define LINES_PER_OTHER_CPU_LINE 4
#define WAKER_INTERVAL_NS        100000000

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

/* What the TLFS calls HV_REFERENCE_TSC_PAGE; the kernel lets every process read it, for the vDSO. */
struct hyperv_page {
  volatile uint32_t sequence;
  uint32_t reserved;
  volatile uint64_t scale;
  volatile int64_t offset;
};

static const struct hyperv_page *
find_hyperv_page (void)
{
  FILE *maps = fopen ("/proc/self/maps", "re");
  char line[256];
  unsigned long start = 0;

  if (!maps)
    die ("/proc/self/maps");
  while (fgets (line, sizeof line, maps))
    if (strstr (line, "[vvar]"))
      start = strtoul (line, NULL, 16);
  fclose (maps);
  if (!start)
    die ("[vvar]");
  return (const struct hyperv_page *) (start + VVAR_HYPERV_PAGE * PAGE_SIZE_BYTES);
}

static void
write_hyperv_page (int fd, uint64_t sequence, const struct hyperv_page *page)
{
  char line[128];
  uint32_t page_sequence;
  uint64_t scale;
  int64_t offset;

  do {
    page_sequence = page->sequence;
    scale = page->scale;
    offset = page->offset;
  } while (page->sequence != page_sequence);
  write_line (fd, line,
              snprintf (line, sizeof line, "H %" PRIu64 " %" PRIu32 " %" PRIu64 " %" PRId64 "\n",
                        sequence, page_sequence, scale, offset));
}

/* A process that keeps a live migration from converging. */
static void
start_dirtying (const char *mib)
{
  size_t size = mib ? strtoul (mib, NULL, 10) << 20 : 0;
  char *memory;

  if (size == 0 || fork () != 0)
    return;
  memory = mmap (NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED)
    die ("memory to write to");
  if (nice (19) < 0)
    die ("nice");
  for (char value = 1;; value++)
    for (size_t at = 0; at < size; at += PAGE_SIZE_BYTES)
      *(volatile char *) (memory + at) = value;
}

static void
pin_to_cpu (int cpu)
{
  cpu_set_t set;

  CPU_ZERO (&set);
  CPU_SET (cpu, &set);
  /* EINVAL: unplugged a moment ago */
  if (sched_setaffinity (0, sizeof set, &set) < 0 && errno != EINVAL)
    die ("sched_setaffinity");
}

/*
 * A process that wakes its CPU now and then. Before version 9.1, QEMU's emulation forgets at VMRUN that the guest is
 * between `sti` and `hlt` ("target/i386: fix INHIBIT_IRQ/TF/RF handling for VMRUN"), so an interrupt may be taken
 * there, and the guest's CPU then halts in spite of the process that the interrupt woke. Without a tick it sleeps until
 * its next interrupt, which may never come: this one does.
 */
static void
start_waker (int cpu)
{
  const struct timespec interval = { .tv_nsec = WAKER_INTERVAL_NS };
  pid_t pid = fork ();

  if (pid < 0)
    die ("fork");
  if (pid > 0)
    return;
  pin_to_cpu (cpu);
  for (;;)
    nanosleep (&interval, NULL);
}

/* What a desktop's udev does: the kernel leaves a CPU that was plugged in for user space to take into use. */
static void
take_cpus_into_use (void)
{
  for (int cpu = 1; cpu < CPUS_MAX; cpu++) {
    char path[128], online[8];
    int fd;

    snprintf (path, sizeof path, CPUS_DIR "/cpu%d/online", cpu);
    read_first_word (path, online, sizeof online);
    if (strcmp (online, "0"))
      continue;
    fd = open (path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write (fd, "1", 1) < 0)
      fprintf (stderr, "guest-init: %s: %s\n", path, strerror (errno));
    else
      start_waker (cpu);
    if (fd >= 0)
      close (fd);
  }
}

/* CPU 0, or every so many lines one of the others. QEMU plugs them in and out at the end, so they have no gaps. */
static int
choose_cpu (uint64_t sequence)
{
  int cpus = sysconf (_SC_NPROCESSORS_ONLN);

  if (cpus <= 1 || sequence % LINES_PER_OTHER_CPU_LINE)
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
  cpu = sched_getcpu ();
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
  const struct hyperv_page *hyperv_page = NULL;
  char clocksource[64], line[128];
  int fd;

  mount_file_system ("devtmpfs", "/dev");
  mount_file_system ("sysfs", "/sys");
  mount_file_system ("proc", "/proc");
  load_modules ();
  for (int cpu = 0; cpu < sysconf (_SC_NPROCESSORS_ONLN); cpu++)
    start_waker (cpu);
  fd = open_port ();
  start_dirtying (getenv ("dirty_mib"));

  read_first_word (CLOCKSOURCE_FILE, clocksource, sizeof clocksource);
  if (!strcmp (clocksource, HYPERV_CLOCKSOURCE))
    hyperv_page = find_hyperv_page ();
  write_line (
    fd, line,
    snprintf (line, sizeof line, "S %ld %s\n", sysconf (_SC_NPROCESSORS_ONLN), clocksource));

  for (uint64_t sequence = 1;; sequence++) {
    write_pairs (fd, sequence, choose_cpu (sequence));
    if (sequence % LINES_PER_CLOCKSOURCE_LINE == 0) {
      read_first_word (CLOCKSOURCE_FILE, clocksource, sizeof clocksource);
      write_line (fd, line,
                  snprintf (line, sizeof line, "C %" PRIu64 " %s\n", sequence, clocksource));
      if (hyperv_page)
        write_hyperv_page (fd, sequence, hyperv_page);
      take_cpus_into_use ();
    }
    nanosleep (&interval, NULL);
  }
}
