/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helper-link - what a QEMU that is no longer its own sends to the daemon
 *
 * The daemon's link to a socket of this process, which is QEMU by its pid file. What is delivered goes
 * the way of a migration's: a record back as a fix-up, and a report into a journal entry.
 */
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <glib/gstdio.h>

#include "arrival-report.h"
#include "domain-uuid.h"
#include "error.h"
#include "fuzz-target.h"
#include "helper-link.h"

#define UUID      "6c2c1d3e-7f5a-4b7e-9d0c-0123456789ab"
#define NAME      "web"
#define ID        7
#define VM_FOLDER "domain-7-web"

/* Below what the daemon calls a flood, of which it reads no more (helper-link-test). */
#define PACKETS_MAX 500
#define BYTES_MAX   (1024 * 1024)

enum {
  STEP_RAW,       /* a packet */
  STEP_RECORD,    /* its body */
  STEP_REPORT,    /* its body */
  STEP_REFUSED,   /* its body */
  STEP_DRAIN,     /* the daemon reads what is there */
  STEP_LOOP,      /* the daemon's main loop runs */
  STEP_HANG_UP,   /* QEMU ends */
  STEP_FREE_NEXT, /* the daemon lets go of the link from within the next callback */
  STEP_COUNT,
};

static int listen_fd = -1;
static uint8_t domain[DOMAIN_UUID_BYTES];

/* one input's */
static struct {
  HelperLink *link;
  int qemu; /* -1: ended */
  GBytes *record;
  gboolean frees_next;

  /* delivered, and what should have been */
  guint records, reports, ends;
  guint due_records, due_reports, due_ends;
  guint packets;
  gsize bytes;
} state;

/* a QEMU with nothing behind it */

static void
listen_at (const char *path)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };

  g_assert_cmpuint (strlen (path), <, sizeof address.sun_path);
  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  listen_fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  g_assert_cmpint (listen_fd, >=, 0);
  g_assert_cmpint (bind (listen_fd, (struct sockaddr *) &address, sizeof address), ==, 0);
  g_assert_cmpint (listen (listen_fd, 1), ==, 0);
}

static void
make_qemu (void)
{
  g_autofree char *vm_folder = g_build_filename (fuzz_folder (), VM_FOLDER, NULL);
  g_autofree char *path = g_build_filename (vm_folder, HELPER_SOCKET_NAME, NULL);
  g_autofree char *pid = g_strdup_printf ("%d\n", (int) getpid ());

  fuzz_write_file (fuzz_folder (), NAME ".pid", pid, strlen (pid));
  g_assert_cmpint (g_mkdir (vm_folder, 0700), ==, 0);
  domain_uuid_parse (UUID, domain);
  listen_at (path);
}

/* callbacks */

static void
free_link (void)
{
  state.frees_next = FALSE;
  g_clear_pointer (&state.link, helper_link_free);
}

static void
on_record (const struct clock_record *record, gsize size, gpointer user_data)
{
  g_assert_nonnull (state.link);
  g_assert_cmpint (clock_record_check (record, size), ==, CLOCK_RECORD_OK);
  g_clear_pointer (&state.record, g_bytes_unref);
  state.record = g_bytes_new (record, size);
  state.records++;
  if (state.frees_next)
    free_link ();
}

/* The fields of an entry are text for a journal. */
static void
check_entry (const EventEntry *entry)
{
  gsize count;
  const GLogField *fields = event_entry_get_fields (entry, &count);

  for (gsize i = 0; i < count; i++)
    g_assert_true (g_utf8_validate (fields[i].value, -1, NULL));
}

static void
on_report (const struct helper_report *report, gpointer user_data)
{
  g_autoptr (EventEntry)
    entry = event_entry_new (arrival_report_kind (report->verdict), UUID, NAME);
  const ArrivalFixup fixup = { .is_sent = state.record != NULL, .record = state.record };

  g_assert_nonnull (state.link);
  arrival_report_add_fixup (entry, &fixup);
  arrival_report_add_result (entry, report, &fixup);
  check_entry (entry);
  state.reports++;
  if (state.frees_next)
    free_link ();
}

static void
on_closed (const GError *error, gpointer user_data)
{
  g_assert_nonnull (state.link);
  g_assert_nonnull (error);
  g_assert_true (g_utf8_validate (error->message, -1, NULL));
  state.ends++;
  free_link ();
}

/* what should come of a packet */

static void
note_due (const void *packet, size_t size)
{
  g_autofree void *aligned = g_memdup2 (packet, size);
  const struct helper_header *header = aligned;

  if (size == 0 || size > HELPER_MESSAGE_SIZE_MAX ||
      helper_message_check (aligned, size, HELPER_TO_DAEMON, domain, NULL) != HELPER_REFUSAL_NONE ||
      header->type == HELPER_MESSAGE_REFUSED)
    state.due_ends = 1;
  else if (header->type == HELPER_MESSAGE_RECORD)
    state.due_records++;
  else
    state.due_reports++;
}

static void
qemu_send (const void *packet, size_t size)
{
  if (state.qemu < 0 || state.due_ends > 0 || state.packets >= PACKETS_MAX ||
      state.bytes >= BYTES_MAX)
    return;
  state.packets++;
  state.bytes += size;
  if (send (state.qemu, packet, size, MSG_NOSIGNAL) == (ssize_t) size)
    note_due (packet, size);
}

static void
qemu_send_message (enum helper_message_type type, const FuzzStep *step)
{
  g_autofree uint8_t *packet = g_malloc (sizeof (struct helper_header) + step->size);
  struct helper_header header;

  helper_header_init (&header, type, (uint32_t) (sizeof header + step->size), domain);
  memcpy (packet, &header, sizeof header);
  memcpy (packet + sizeof header, step->data, step->size);
  qemu_send (packet, sizeof header + step->size);
}

static void
qemu_hang_up (void)
{
  if (state.qemu < 0)
    return;
  close (state.qemu);
  state.qemu = -1;
  state.due_ends = 1;
}

/* the daemon's doing */

/* A link that the daemon let go of itself owes nothing any more. */
static void
check_delivered (void)
{
  if (state.link == NULL && state.ends == 0)
    return;
  g_assert_cmpuint (state.records, ==, state.due_records);
  g_assert_cmpuint (state.reports, ==, state.due_reports);
  g_assert_cmpuint (state.ends, ==, state.due_ends);
}

/* What the daemon sends is what the helper accepts. */
static void
check_sent (void)
{
  static uint64_t buffer[HELPER_MESSAGE_SIZE_MAX / sizeof (uint64_t) + 1];
  ssize_t got;

  while (state.qemu >= 0 && (got = recv (state.qemu, buffer, sizeof buffer, MSG_DONTWAIT)) > 0)
    g_assert_cmpstr (helper_refusal_name (
                       helper_message_check (buffer, (size_t) got, HELPER_TO_HELPER, domain, NULL)),
                     ==, "none");
}

static void
answer_record (void)
{
  const struct helper_fixup fixup = { .max_advance_ns = 1 };

  if (state.link == NULL || state.record == NULL || state.qemu < 0)
    return;
  (void) helper_link_send_incoming (state.link, 5, NULL);
  (void) helper_link_send_fixup (state.link, &fixup, g_bytes_get_data (state.record, NULL), NULL);
  (void) helper_link_send_withdraw (state.link, NULL);
  check_sent ();
}

static void
drain (void)
{
  if (state.link != NULL)
    helper_link_drain (state.link);
  check_delivered ();
  answer_record ();
}

static void
run_loop (void)
{
  while (g_main_context_iteration (NULL, FALSE))
    ;
  check_delivered ();
}

static void
take_step (const FuzzStep *step)
{
  switch (step->kind % STEP_COUNT) {
  case STEP_RAW:
    qemu_send (step->data, step->size);
    break;
  case STEP_RECORD:
    qemu_send_message (HELPER_MESSAGE_RECORD, step);
    break;
  case STEP_REPORT:
    qemu_send_message (HELPER_MESSAGE_REPORT, step);
    break;
  case STEP_REFUSED:
    qemu_send_message (HELPER_MESSAGE_REFUSED, step);
    break;
  case STEP_DRAIN:
    drain ();
    break;
  case STEP_LOOP:
    run_loop ();
    break;
  case STEP_HANG_UP:
    qemu_hang_up ();
    break;
  case STEP_FREE_NEXT:
    state.frees_next = TRUE;
    break;
  }
}

static void
start (void)
{
  static const HelperLinkCallbacks callbacks = { on_record, on_report, on_closed };
  const QemuFolders folders = { .run_dir = fuzz_folder (), .state_dir = fuzz_folder () };
  g_autoptr (GError) error = NULL;

  memset (&state, 0, sizeof state);
  state.link = helper_link_new (&folders, NAME, ID, UUID, &callbacks, NULL, &error);
  g_assert_no_error (error);
  state.qemu = accept4 (listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  g_assert_cmpint (state.qemu, >=, 0);
}

static void
stop (void)
{
  g_clear_pointer (&state.link, helper_link_free);
  g_clear_pointer (&state.record, g_bytes_unref);
  if (state.qemu >= 0)
    close (state.qemu);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  FuzzStep step;

  fuzz_begin ();
  if (listen_fd < 0)
    make_qemu ();
  start ();
  while (fuzz_next_step (&input, &step))
    take_step (&step);
  drain ();
  stop ();
  return 0;
}
