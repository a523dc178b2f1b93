/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helper-receive - what a daemon, or whoever has taken its place, sends to the helper inside QEMU
 *
 * The helper's real socket in a folder of this process. Beside it goes a model of what it should know
 * by now: what every valid message in order comes to, until one is refused.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fuzz-target.h"
#include "helper-channel.h"
#include "host-calls.h"

#define NS_PER_MS 1000000ull

/* How far ahead of its deadline the helper begins to wait, so that it does not wait long. */
#define WAIT_NS 1000
/* Longer than any message that there is. */
#define LONG_MAX_BYTES 150000
/* What the helper reads at once; more is a flood, and none of it counts (helper-channel-test). */
#define PENDING_MAX 400

enum {
  STEP_RAW,        /* a packet */
  STEP_INCOMING,   /* deadline */
  STEP_FIXUP,      /* its body */
  STEP_WITHDRAW,   /*  */
  STEP_LONG,       /* length: a packet of zeroes */
  STEP_SERVICE,    /* QEMU touches the clock */
  STEP_AWAIT,      /* clock: QEMU sets it */
  STEP_RECONNECT,  /* the daemon is restarted */
  STEP_READ_CLOCK, /* QEMU asks for the clock: a record goes out */
  STEP_COUNT,
};

static const uint8_t domain[16] = { 0x6c, 0x2c, 0x1d, 0x3e, 0x7f, 0x5a, 0x4b, 0x7e,
                                    0x9d, 0x0c, 1,    2,    3,    4,    5,    6 };

/* What the daemon sees, and what the helper must have understood. */
static struct {
  int daemon;         /* -1: closed */
  GPtrArray *pending; /* of GBytes: sent, and not read by the helper yet */

  gboolean is_incoming;
  uint64_t deadline_ns;
  GBytes *fixup;
  gboolean has_waited;
} model;

/* host_calls.clock_ns stands still, but that time passes after the first look in a wait. */
static uint64_t clock_now_ns;
static uint64_t clock_later_ns;

static uint64_t
read_clock_ns (clockid_t clock)
{
  uint64_t now_ns = clock_now_ns;

  clock_now_ns = clock_later_ns;
  return now_ns;
}

/* the daemon's end */

static void
daemon_connect (void)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };

  model.daemon = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  g_assert_cmpint (model.daemon, >=, 0);
  g_snprintf (address.sun_path, sizeof address.sun_path, "%s/%s", fuzz_folder (),
              HELPER_SOCKET_NAME);
  g_assert_cmpint (connect (model.daemon, (struct sockaddr *) &address, sizeof address), ==, 0);
}

static void
daemon_disconnect (void)
{
  if (model.daemon >= 0)
    close (model.daemon);
  model.daemon = -1;
}

static void
daemon_send (const void *packet, size_t size)
{
  if (model.daemon < 0 || model.pending->len >= PENDING_MAX)
    return;
  /* a full socket is the daemon's trouble */
  if (send (model.daemon, packet, size, MSG_NOSIGNAL) == (ssize_t) size)
    g_ptr_array_add (model.pending, g_bytes_new (packet, size));
}

static void
daemon_send_message (enum helper_message_type type, const void *body, size_t size)
{
  g_autofree uint8_t *packet = g_malloc (sizeof (struct helper_header) + size);
  struct helper_header header;

  helper_header_init (&header, type, (uint32_t) (sizeof header + size), domain);
  memcpy (packet, &header, sizeof header);
  if (size > 0)
    memcpy (packet + sizeof header, body, size);
  daemon_send (packet, sizeof header + size);
}

/* Read what the helper says. Returns: its refusal, NULL for none, to be freed. */
static struct helper_refused *
daemon_read (gboolean *is_closed)
{
  static uint64_t buffer[HELPER_MESSAGE_SIZE_MAX / sizeof (uint64_t) + 1];
  struct helper_refused *refused = NULL;
  ssize_t got;

  *is_closed = FALSE;
  for (;;) {
    const struct helper_header *header = (const void *) buffer;

    got = recv (model.daemon, buffer, sizeof buffer, MSG_DONTWAIT);
    /* it closed with packets of ours unread; what it had said comes next */
    if (got < 0 && errno == ECONNRESET)
      continue;
    if (got <= 0)
      break;
    g_assert_null (refused);
    g_assert_cmpstr (helper_refusal_name (
                       helper_message_check (buffer, (size_t) got, HELPER_TO_DAEMON, domain, NULL)),
                     ==, "none");
    g_assert_true (header->type == HELPER_MESSAGE_RECORD || header->type == HELPER_MESSAGE_REFUSED);
    if (header->type == HELPER_MESSAGE_REFUSED)
      refused = g_memdup2 (buffer, (size_t) got);
  }
  *is_closed = got == 0;
  return refused;
}

/* the model */

/* Returns: whether the helper goes on reading; else with why it refused, or HELPER_REFUSAL_NONE. */
static gboolean
model_take (GBytes *packet, enum helper_refusal *refusal)
{
  gsize size;
  const struct helper_header *header = g_bytes_get_data (packet, &size);

  *refusal = HELPER_REFUSAL_NONE;
  /* not to be told from the end */
  if (size == 0)
    return FALSE;
  *refusal = size > HELPER_MESSAGE_SIZE_MAX
               ? HELPER_REFUSAL_BAD_LENGTH
               : helper_message_check (header, size, HELPER_TO_HELPER, domain, NULL);
  if (*refusal != HELPER_REFUSAL_NONE)
    return FALSE;
  if (header->type == HELPER_MESSAGE_INCOMING) {
    model.is_incoming = TRUE;
    model.deadline_ns =
      ((const struct helper_incoming *) (const void *) header)->deadline_monotonic_ns;
  } else {
    g_clear_pointer (&model.fixup, g_bytes_unref);
    if (header->type == HELPER_MESSAGE_FIXUP)
      model.fixup = g_bytes_ref (packet);
    else
      model.is_incoming = FALSE;
  }
  return TRUE;
}

/* The helper has read all that was sent: see that it knows what it should. */
static void
model_catch_up (void)
{
  g_autofree struct helper_refused *refused = NULL;
  enum helper_refusal refusal = HELPER_REFUSAL_NONE;
  gboolean goes_on = TRUE;
  gboolean is_closed;

  for (guint i = 0; goes_on && i < model.pending->len; i++)
    goes_on = model_take (g_ptr_array_index (model.pending, i), &refusal);
  g_ptr_array_set_size (model.pending, 0);
  if (model.daemon < 0)
    return;
  refused = daemon_read (&is_closed);
  g_assert_true (is_closed != goes_on);
  g_assert_cmpstr (helper_refusal_name (refused != NULL ? refused->refusal : HELPER_REFUSAL_NONE),
                   ==, helper_refusal_name (refusal));
  if (is_closed)
    daemon_disconnect ();
}

static void
model_compare (void)
{
  const struct helper_fixup *fixup = helper_channel_fixup ();

  g_assert_true (helper_channel_is_expecting () == (model.is_incoming || model.fixup != NULL));
  g_assert_true ((fixup != NULL) == (model.fixup != NULL));
  if (fixup != NULL)
    g_assert_cmpmem (fixup, fixup->header.length, g_bytes_get_data (model.fixup, NULL),
                     g_bytes_get_size (model.fixup));
}

static void
model_start (void)
{
  model.pending = g_ptr_array_new_with_free_func ((GDestroyNotify) g_bytes_unref);
  model.is_incoming = FALSE;
  model.has_waited = FALSE;
  host_calls.clock_ns = read_clock_ns;
  helper_channel_open (fuzz_folder (), domain, 0);
  helper_channel_listen ();
  daemon_connect ();
}

static void
model_stop (void)
{
  daemon_disconnect ();
  helper_channel_close ();
  g_ptr_array_unref (model.pending);
  g_clear_pointer (&model.fixup, g_bytes_unref);
}

/* steps */

static void
service (void)
{
  helper_channel_service ();
  model_catch_up ();
}

static void
await_fixup (uint64_t clock_ns)
{
  const struct helper_fixup *fixup = model.fixup != NULL ? g_bytes_get_data (model.fixup, NULL)
                                                         : NULL;
  gboolean waits = model.is_incoming && model.deadline_ns > WAIT_NS && !model.has_waited &&
                   (fixup == NULL || fixup->record.guest_src_ns != clock_ns);

  clock_now_ns = model.deadline_ns > WAIT_NS ? model.deadline_ns - WAIT_NS : model.deadline_ns;
  clock_later_ns = clock_now_ns + (HELPER_WAIT_MAX_MS + 10) * NS_PER_MS;
  g_assert_true ((helper_channel_await_fixup (clock_ns) > 0) == waits);
  if (!waits)
    return;
  model.has_waited = TRUE;
  model_catch_up ();
}

/* Nobody reads what was sent on a connection that is gone, if another is there when it looks. */
static void
reconnect (void)
{
  service ();
  daemon_disconnect ();
  daemon_connect ();
}

static void
send_record (void)
{
  struct clock_record *record = helper_channel_record ();

  *record = (struct clock_record){
    .guest_src_ns = 5,
    .host_src_ns = 1,
    .freq_khz = CLOCK_RECORD_FREQ_MIN_KHZ,
    .vcpu_count = 1,
  };
  record->vcpus[0] = (struct clock_record_vcpu){ .ofs_ticks = ~0ull };
  helper_channel_send_record ();
}

static void
take_step (FuzzStep *step)
{
  struct helper_incoming incoming;
  g_autofree uint8_t *zeroes = NULL;
  size_t size;

  switch (step->kind % STEP_COUNT) {
  case STEP_RAW:
    daemon_send (step->data, step->size);
    break;
  case STEP_INCOMING:
    incoming.deadline_monotonic_ns = fuzz_take_u64 (step);
    daemon_send_message (HELPER_MESSAGE_INCOMING, &incoming.deadline_monotonic_ns,
                         sizeof incoming.deadline_monotonic_ns);
    break;
  case STEP_FIXUP:
    daemon_send_message (HELPER_MESSAGE_FIXUP, step->data, step->size);
    break;
  case STEP_WITHDRAW:
    daemon_send_message (HELPER_MESSAGE_WITHDRAW, NULL, 0);
    break;
  case STEP_LONG:
    size = fuzz_take_u64 (step) % LONG_MAX_BYTES;
    zeroes = g_malloc0 (size);
    daemon_send (zeroes, size);
    break;
  case STEP_SERVICE:
    service ();
    break;
  case STEP_AWAIT:
    await_fixup (fuzz_take_u64 (step));
    break;
  case STEP_RECONNECT:
    reconnect ();
    break;
  case STEP_READ_CLOCK:
    send_record ();
    break;
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  FuzzInput input = { data, size };
  FuzzStep step;

  fuzz_begin ();
  model_start ();
  while (fuzz_next_step (&input, &step)) {
    take_step (&step);
    model_compare ();
  }
  service ();
  model_compare ();
  model_stop ();
  return 0;
}
