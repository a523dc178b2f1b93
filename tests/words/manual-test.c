/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The manual pages of docs/man say what the source says: the layout of the helper's messages to the
 * byte, every reason, verdict, step and event, every key and whether a reload takes it over.
 */
#include <gio/gio.h>

#include "arrival.h"
#include "event-log.h"
#include "helper-protocol.h"
#include "settings.h"

/* pages */

static char *
read_page (const char *name)
{
  g_autofree char *path =
    g_test_build_filename (G_TEST_DIST, "..", "..", "docs", "man", name, NULL);
  g_autoptr (GError) error = NULL;
  char *page = NULL;

  g_file_get_contents (path, &page, NULL, &error);
  g_assert_no_error (error);
  return page;
}

/* What is between the line @begin and the next line that begins with one of @ends. */
static char *
find_part (const char *page, const char *begin, const char *const *ends)
{
  g_autofree char *line = g_strdup_printf ("\n%s\n", begin);
  const char *start = strstr (page, line);
  const char *end = NULL;

  if (start == NULL) {
    g_test_message ("there is no line %s", begin);
    g_test_fail ();
    return g_strdup ("");
  }
  start += strlen (line);
  for (; *ends != NULL; ends++) {
    g_autofree char *next = g_strconcat ("\n", *ends, NULL);
    const char *found = strstr (start - 1, next);

    if (found != NULL && (end == NULL || found < end))
      end = found;
  }
  return end != NULL ? g_strndup (start, (gsize) (end - start)) : g_strdup (start);
}

static char *
find_section (const char *page, const char *heading)
{
  const char *const ends[] = { ".Ss ", ".Sh ", NULL };
  g_autofree char *begin = g_strconcat (".Ss ", heading, NULL);

  return find_part (page, begin, ends);
}

static void
expect_line (const char *page_name, const char *page, const char *line)
{
  g_autofree char *sought = g_strdup_printf ("\n%s\n", line);

  if (strstr (page, sought) != NULL)
    return;
  g_test_message ("%s lacks the line %s", page_name, line);
  g_test_fail ();
}

/* Whether @text holds @word with neither a letter, a digit nor a dash on either side. */
static gboolean
has_word (const char *text, const char *word)
{
  g_autofree char *escaped = g_regex_escape_string (word, -1);
  g_autofree char *pattern = g_strdup_printf ("(?<![\\w-])%s(?![\\w-])", escaped);

  return g_regex_match_simple (pattern, text, 0, 0);
}

static void
expect_word (const char *what, const char *text, const char *word)
{
  if (has_word (text, word))
    return;
  g_test_message ("%s lacks %s", what, word);
  g_test_fail ();
}

/* the protocol */

typedef struct {
  gsize at;
  gsize size;
  const char *name;
  gboolean is_signed;
  gboolean is_open; /* runs to the end of the message */
} Field;

#define IS_SIGNED(type, field)                                                                     \
  _Generic(((type *) NULL)->field, int32_t : TRUE, int64_t : TRUE, default : FALSE)
#define SIZE_OF(type, field) (sizeof (((type *) NULL)->field))

#define NUMBER(type, field)                                                                        \
  {                                                                                                \
    offsetof (type, field), SIZE_OF (type, field), #field, IS_SIGNED (type, field), FALSE          \
  }
#define BYTES(type, field)                                                                         \
  {                                                                                                \
    offsetof (type, field), SIZE_OF (type, field), #field, FALSE, FALSE                            \
  }
#define OPEN(type, field)                                                                          \
  {                                                                                                \
    offsetof (type, field), 0, #field, FALSE, TRUE                                                 \
  }

static const Field header_fields[] = {
  NUMBER (struct helper_header, magic),    NUMBER (struct helper_header, version),
  NUMBER (struct helper_header, type),     NUMBER (struct helper_header, length),
  NUMBER (struct helper_header, reserved), BYTES (struct helper_header, domain),
};

static const Field incoming_fields[] = {
  NUMBER (struct helper_incoming, deadline_monotonic_ns),
};

static const Field fixup_fields[] = {
  NUMBER (struct helper_fixup, theta_ns),       NUMBER (struct helper_fixup, real_minus_boot_ns),
  NUMBER (struct helper_fixup, theta_bound_ns), NUMBER (struct helper_fixup, deadline_monotonic_ns),
  NUMBER (struct helper_fixup, max_advance_ns), NUMBER (struct helper_fixup, mode),
  NUMBER (struct helper_fixup, flags),          OPEN (struct helper_fixup, record),
};

static const Field record_message_fields[] = {
  OPEN (struct helper_record, record),
};

static const Field report_fields[] = {
  NUMBER (struct helper_report, verdict),
  NUMBER (struct helper_report, reason),
  NUMBER (struct helper_report, flags),
  NUMBER (struct helper_report, failed_errno),
  NUMBER (struct helper_report, theta_ns),
  NUMBER (struct helper_report, theta_bound_ns),
  NUMBER (struct helper_report, deadline_monotonic_ns),
  NUMBER (struct helper_report, clock_ns),
  NUMBER (struct helper_report, guest_dest_ns),
  NUMBER (struct helper_report, host_dest_ns),
  NUMBER (struct helper_report, tsc_dest_ticks),
  NUMBER (struct helper_report, advance_ns),
  NUMBER (struct helper_report, residual_ns),
  NUMBER (struct helper_report, waited_ns),
  NUMBER (struct helper_report, spent_ns),
  NUMBER (struct helper_report, attempts),
  NUMBER (struct helper_report, kvm_flags),
  NUMBER (struct helper_report, freq_dest_khz),
  NUMBER (struct helper_report, vcpu_count),
  OPEN (struct helper_report, vcpus),
};

static const Field report_vcpu_fields[] = {
  NUMBER (struct helper_report_vcpu, id),
  NUMBER (struct helper_report_vcpu, reserved),
  NUMBER (struct helper_report_vcpu, ofs_before_ticks),
  NUMBER (struct helper_report_vcpu, ofs_dest_ticks),
};

static const Field refused_fields[] = {
  NUMBER (struct helper_refused, refusal),
  NUMBER (struct helper_refused, detail),
};

static const Field record_fields[] = {
  NUMBER (struct clock_record, guest_src_ns), NUMBER (struct clock_record, host_src_ns),
  NUMBER (struct clock_record, boot_src_ns),  NUMBER (struct clock_record, tsc_src_ticks),
  NUMBER (struct clock_record, tsc_ratio),    NUMBER (struct clock_record, tsc_frac_bits),
  NUMBER (struct clock_record, freq_khz),     NUMBER (struct clock_record, flags),
  NUMBER (struct clock_record, vcpu_count),   OPEN (struct clock_record, vcpus),
};

static const Field record_vcpu_fields[] = {
  NUMBER (struct clock_record_vcpu, id),
  NUMBER (struct clock_record_vcpu, reserved),
  NUMBER (struct clock_record_vcpu, ofs_ticks),
};

/* No byte from @at to the end of the struct, @size, may be missing above. */
static void
check_complete (const Field *fields, gsize count, gsize at, gsize size)
{
  for (gsize i = 0; i < count; i++) {
    g_assert_cmpuint (fields[i].at, ==, at);
    at += fields[i].size;
  }
  if (!fields[count - 1].is_open)
    g_assert_cmpuint (at, ==, size);
}

#define ALL(fields, at, size)                                                                      \
  fields, (check_complete (fields, G_N_ELEMENTS (fields), at, size), G_N_ELEMENTS (fields))

/* The rows of the tables in @section, "32 8 theta_ns signed" each. */
static GPtrArray *
read_rows (const char *section)
{
  g_autoptr (GRegex) row = g_regex_new (
    "^\\.It (\\d+) Ta (\\d+|\\\\&\\.\\.) Ta Va (\\w+) Ta (signed)?", G_REGEX_MULTILINE, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;
  GPtrArray *rows = g_ptr_array_new_with_free_func (g_free);

  for (g_regex_match (row, section, 0, &match); g_match_info_matches (match);
       g_match_info_next (match, NULL)) {
    g_autofree char *at = g_match_info_fetch (match, 1);
    g_autofree char *size = g_match_info_fetch (match, 2);
    g_autofree char *name = g_match_info_fetch (match, 3);
    g_autofree char *sign = g_match_info_fetch (match, 4);

    g_ptr_array_add (rows, g_strdup_printf ("%s %s %s %s", at, *size == '\\' ? ".." : size, name,
                                            sign != NULL ? sign : ""));
  }
  return rows;
}

static void
add_rows (GPtrArray *rows, const Field *fields, gsize count)
{
  for (gsize i = 0; i < count; i++) {
    g_autofree char *size = g_strdup_printf ("%" G_GSIZE_FORMAT, fields[i].size);

    g_ptr_array_add (rows, g_strdup_printf ("%" G_GSIZE_FORMAT " %s %s %s", fields[i].at,
                                            fields[i].is_open ? ".." : size, fields[i].name,
                                            fields[i].is_signed ? "signed" : ""));
  }
}

/* @more may be NULL: the fields of an entry of the array at the end. */
static void
check_layout (const char *page, const char *heading, const Field *fields, gsize count,
              const Field *more, gsize more_count)
{
  g_autofree char *section = find_section (page, heading);
  g_autoptr (GPtrArray) rows = read_rows (section);
  g_autoptr (GPtrArray) expected = g_ptr_array_new_with_free_func (g_free);

  add_rows (expected, fields, count);
  add_rows (expected, more, more_count);
  g_assert_cmpuint (rows->len, ==, expected->len);
  for (guint i = 0; i < expected->len; i++)
    g_assert_cmpstr (rows->pdata[i], ==, expected->pdata[i]);
}

static void
test_layout (void)
{
  g_autofree char *page = read_page ("libclockferry-qemu.7");
  gsize body = sizeof (struct helper_header);

  check_layout (page, "Header", ALL (header_fields, 0, sizeof (struct helper_header)), NULL, 0);
  check_layout (page, "1 INCOMING, from the daemon",
                ALL (incoming_fields, body, sizeof (struct helper_incoming)), NULL, 0);
  check_layout (page, "2 FIXUP, from the daemon", ALL (fixup_fields, body, 0), NULL, 0);
  check_layout (page, "3 WITHDRAW, from the daemon", NULL, 0, NULL, 0);
  check_layout (page, "16 RECORD, from the library", ALL (record_message_fields, body, 0), NULL, 0);
  check_layout (page, "17 REPORT, from the library", ALL (report_fields, body, 0),
                ALL (report_vcpu_fields, 0, sizeof (struct helper_report_vcpu)));
  check_layout (page, "18 REFUSED, from the library",
                ALL (refused_fields, body, sizeof (struct helper_refused)), NULL, 0);
  check_layout (page, "Record", ALL (record_fields, 0, 0),
                ALL (record_vcpu_fields, 0, sizeof (struct clock_record_vcpu)));
}

static void
test_numbers (void)
{
  g_autofree char *page = read_page ("libclockferry-qemu.7");
  g_autofree char *reasons = find_section (page, "Reasons of a report");
  g_autofree char *refusals = find_section (page, "Refusals");
  g_autofree char *header = find_section (page, "Header");
  g_autofree char *magic = g_strdup_printf ("0x%08X", HELPER_MAGIC);
  g_autofree char *version = g_strdup_printf ("\n.It 4 Ta 2 Ta Va version Ta %d\n", HELPER_VERSION);

  g_assert_nonnull (strstr (header, magic));
  g_assert_nonnull (strstr (header, version));
  /* in the headings that test_layout() finds */
  g_assert_cmpint (HELPER_MESSAGE_INCOMING, ==, 1);
  g_assert_cmpint (HELPER_MESSAGE_FIXUP, ==, 2);
  g_assert_cmpint (HELPER_MESSAGE_WITHDRAW, ==, 3);
  g_assert_cmpint (HELPER_MESSAGE_RECORD, ==, 16);
  g_assert_cmpint (HELPER_MESSAGE_REPORT, ==, 17);
  g_assert_cmpint (HELPER_MESSAGE_REFUSED, ==, 18);

  for (guint32 i = 0; i < HELPER_REASON_COUNT; i++) {
    g_autofree char *entry = g_strdup_printf ("%u %s", i, helper_reason_name (i));

    expect_word ("the list of reasons", reasons, entry);
  }
  for (guint32 i = 1; i < HELPER_REFUSAL_COUNT; i++) {
    g_autofree char *entry = g_strdup_printf ("%u %s", i, helper_refusal_name (i));

    expect_word ("the list of refusals", refusals, entry);
  }
  for (guint32 i = 1; i <= CLOCK_RECORD_BAD_FLAGS; i++) {
    g_autofree char *entry = g_strdup_printf ("%u %s", i, clock_record_error_name (i));

    expect_word ("the list of refusals", refusals, entry);
  }
}

/* what reports say */

static void
expect_item (const char *page_name, const char *page, const char *word)
{
  g_autofree char *line = g_strconcat (".It Cm ", word, NULL);

  expect_line (page_name, page, line);
}

static void
test_reports (void)
{
  g_autofree char *page = read_page ("clockferry.7");

  for (guint32 i = 0; !g_str_equal (helper_verdict_name (i), "unknown"); i++)
    expect_item ("clockferry.7", page, helper_verdict_name (i));
  expect_item ("clockferry.7", page, "unknown"); /* the helper itself knows */
  for (guint i = ARRIVAL_STEP_NONE + 1; i < ARRIVAL_STEP_COUNT; i++)
    expect_item ("clockferry.7", page, arrival_step_name (i));
  for (guint32 i = HELPER_REASON_NONE + 1; i < HELPER_REASON_COUNT; i++) {
    /* the daemon names what kept the record away instead */
    if (i == HELPER_REASON_NO_RECORD)
      continue;
    /* of other verdicts than stock: in the text below the list */
    if (i == HELPER_REASON_NO_MASTER_CLOCK || i == HELPER_REASON_OBSERVE_ONLY)
      expect_word ("clockferry.7", page, helper_reason_name (i));
    else
      expect_item ("clockferry.7", page, helper_reason_name (i));
  }
}

static void
test_events (void)
{
  g_autofree char *page = read_page ("clockferryd.8");
  g_autofree char *journal = NULL;
  const char *const ends[] = { ".Sh ", NULL };

  journal = find_part (page, ".Sh JOURNAL", ends);
  for (guint i = 0; i < EVENT_COUNT; i++) {
    g_autofree char *pattern =
      g_strdup_printf ("(?m)^\\.It Cm (.* , )?%s( ,|$)", event_kind_name (i));

    if (g_regex_match_simple (pattern, journal, 0, 0))
      continue;
    g_test_message ("clockferryd.8 lacks the event %s", event_kind_name (i));
    g_test_fail ();
  }
}

/* settings */

static void
check_setting (const char *page, const Settings *defaults, const char *key)
{
  const char *takes = settings_key_is_reloadable (key) ? "Read again at a reload"
                                                       : "Read once, at start.";
  g_autofree char *fallback = settings_get_text (defaults, key);
  g_autofree char *default_pattern =
    g_strdup_printf ("The default is\\s(\\.Cm )?%s\\b", fallback != NULL ? fallback : "");
  /* to the item of the next key, as those of values begin in lower case */
  g_autofree char *pattern =
    g_strdup_printf ("^\\.It Cm %s Ns = .*?(?=^\\.It Cm [A-Z]|^\\.Sh )", key);
  g_autoptr (GRegex) item = g_regex_new (pattern, G_REGEX_MULTILINE | G_REGEX_DOTALL, 0, NULL);
  g_autoptr (GMatchInfo) match = NULL;
  g_autofree char *text = NULL;

  if (!g_regex_match (item, page, 0, &match)) {
    g_test_message ("clockferry.conf.5 lacks %s=", key);
    g_test_fail ();
    return;
  }
  text = g_match_info_fetch (match, 0);
  if (strstr (text, takes) == NULL) {
    g_test_message ("clockferry.conf.5 does not say of %s=: %s", key, takes);
    g_test_fail ();
  }
  if (!g_regex_match_simple (default_pattern, text, 0, 0)) {
    g_test_message ("clockferry.conf.5 does not say that %s is the default of %s=",
                    fallback != NULL ? fallback : "nothing", key);
    g_test_fail ();
  }
}

static void
test_settings (void)
{
  g_autofree char *page = read_page ("clockferry.conf.5");
  g_autoptr (GError) error = NULL;
  g_autoptr (Settings) defaults = settings_load ("/nonexistent/clockferry.conf", &error);
  const char *key;

  g_assert_no_error (error);
  for (guint i = 0; (key = settings_nth_key (i)) != NULL; i++)
    check_setting (page, defaults, key);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/manual/layout", test_layout);
  g_test_add_func ("/manual/numbers", test_numbers);
  g_test_add_func ("/manual/reports", test_reports);
  g_test_add_func ("/manual/events", test_events);
  g_test_add_func ("/manual/settings", test_settings);
  return g_test_run ();
}
