/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "event-log.h"

#include <string.h>

#define EVENT_FIELDS_MAX 48

/* Identifiers were made once (systemd-id128 new) and never change. One event a line: */
/* clang-format off */
static const struct {
  const char *name;
  const char *message_id;
  GLogLevelFlags level;
} events[] = {
  [EVENT_DAEMON_READY] = { "daemon-ready", "584a35e3f40d4de593ca81981a6deb6e", G_LOG_LEVEL_INFO },
  [EVENT_BUS_NAME_REFUSED] = { "bus-name-refused", "7f0f6d94be0d402caeab0fe19929c3eb", G_LOG_LEVEL_WARNING },
  [EVENT_SETTINGS_RELOADED] = { "settings-reloaded", "576feaa4043b445197147f97c8af5723", G_LOG_LEVEL_MESSAGE },
  [EVENT_SETTINGS_REJECTED] = { "settings-rejected", "ab58c61cf75c400a95c2b91d58c29054", G_LOG_LEVEL_WARNING },
  [EVENT_LIBVIRT_CONNECTED] = { "libvirt-connected", "6371c704c270416194ee372dde709299", G_LOG_LEVEL_INFO },
  [EVENT_LIBVIRT_LOST] = { "libvirt-lost", "a411d911d3c04ea896fbc9f929ae1b45", G_LOG_LEVEL_WARNING },
  [EVENT_DOMAIN_READY] = { "domain-ready", "257b6f04019f4eb6acf97a74d68fad58", G_LOG_LEVEL_INFO },
  [EVENT_DOMAIN_NOT_READY] = { "domain-not-ready", "e9dd461e044a44f7835b610a1959ffc0", G_LOG_LEVEL_MESSAGE },
  [EVENT_POLICY_IGNORED] = { "policy-ignored", "894a5b7213cb471ea8b8b52d9655286d", G_LOG_LEVEL_WARNING },
  [EVENT_HELPER_LOST] = { "helper-lost", "31a0c6cb4bca460eae368f5402795317", G_LOG_LEVEL_WARNING },
  [EVENT_PEER_REFUSED] = { "peer-refused", "f3801761c442461a915f61ba634a953d", G_LOG_LEVEL_WARNING },
  [EVENT_DEPARTURE_CLAIMED] = { "departure-claimed", "f56b3156bbfe4d33bf2a6da956cb304b", G_LOG_LEVEL_INFO },
  [EVENT_DEPARTURE_PAUSED] = { "departure-paused", "c9bc62c21bf34ec18c11565fc2be8090", G_LOG_LEVEL_INFO },
  [EVENT_DEPARTURE_DONE] = { "departure-done", "a50c7fd2004d479a83b79566ce1aa21b", G_LOG_LEVEL_INFO },
  [EVENT_DEPARTURE_UNCLAIMED] = { "departure-unclaimed", "f2a165ccab5e452697362acc309d513e", G_LOG_LEVEL_WARNING },
  [EVENT_DEPARTURE_ROLLED_BACK] = { "departure-rolled-back", "0b60eb27dec64f0599b7048b3b14c73d", G_LOG_LEVEL_MESSAGE },
  [EVENT_DEPARTURE_CANCELLED] = { "departure-cancelled", "d659eb47f7c4499aada7184efee1705e", G_LOG_LEVEL_MESSAGE },
  [EVENT_ARRIVAL_ANNOUNCED] = { "arrival-announced", "b6dbd5b6bde74915a805594cd2ad945a", G_LOG_LEVEL_INFO },
  [EVENT_ARRIVAL_CLAIMED] = { "arrival-claimed", "935a2083947346cdb91dac298e9ca0ae", G_LOG_LEVEL_INFO },
  [EVENT_ARRIVAL_STEP_FAILED] = { "arrival-step-failed", "b752005c5ccb46eead8408f7e1bc868c", G_LOG_LEVEL_WARNING },
  [EVENT_ARRIVAL_ARMED] = { "arrival-armed", "7eafa8bef6034cf98e0f9ca40e606896", G_LOG_LEVEL_INFO },
  [EVENT_CLOCKS_APART] = { "clocks-apart", "55ae36e649a04f149d611f853d0617ce", G_LOG_LEVEL_WARNING },
  [EVENT_ARRIVAL_ABANDONED] = { "arrival-abandoned", "64f6e13fd3e24a7380ad358ead31cd4f", G_LOG_LEVEL_MESSAGE },
  [EVENT_MIGRATION_FIXED] = { "migration-fixed", "b4f30b4f4bd24e12bb59863533c5fa6f", G_LOG_LEVEL_MESSAGE },
  [EVENT_MIGRATION_KVMCLOCK_ONLY] = { "migration-kvmclock-only", "b838a90872cd41b2bd5b438ef1f3df3c", G_LOG_LEVEL_WARNING },
  [EVENT_MIGRATION_OBSERVED] = { "migration-observed", "3b4b68305fe74c548b813fed3359ceae", G_LOG_LEVEL_MESSAGE },
  [EVENT_MIGRATION_STOCK] = { "migration-stock", "589b725daabe4cc1a3e8a591e760bec5", G_LOG_LEVEL_WARNING },
  [EVENT_MIGRATION_UNKNOWN] = { "migration-unknown", "bcd514009042467db05bcf6528c74f64", G_LOG_LEVEL_WARNING },
};
/* clang-format on */
G_STATIC_ASSERT (G_N_ELEMENTS (events) == EVENT_COUNT);

struct EventEntry {
  EventKind kind;
  const EventObserver *observer; /* or NULL */
  guint field_count;
  GLogField fields[EVENT_FIELDS_MAX]; /* keys are constant, values owned */
};

/* syslog(3) priorities as text: GLib adds none to a hand-made array of fields */
static const char *
priority_of_level (GLogLevelFlags level)
{
  switch ((int) level) {
  case G_LOG_LEVEL_WARNING:
    return "4";
  case G_LOG_LEVEL_MESSAGE:
    return "5";
  default:
    return "6";
  }
}

/* A stranger has a say in some messages, and journalctl shows what is no text as "[blob data]". */
static char *
clean_message (const char *message)
{
  g_autofree char *valid = g_utf8_make_valid (message, -1);
  GString *clean = g_string_sized_new (strlen (valid));

  for (const char *c = valid; *c != '\0'; c = g_utf8_next_char (c)) {
    gunichar character = g_utf8_get_char (c);

    g_string_append_unichar (clean, g_unichar_iscntrl (character) ? '?' : character);
  }
  return g_string_free (clean, FALSE);
}

/* public functions */

EventEntry *
event_entry_new (EventKind kind, const char *domain_uuid, const char *domain_name)
{
  EventEntry *entry = g_new0 (EventEntry, 1);

  entry->kind = kind;
  event_entry_add (entry, "SYSLOG_IDENTIFIER", "clockferryd");
  event_entry_add (entry, "MESSAGE_ID", events[kind].message_id);
  event_entry_add (entry, "CLOCKFERRY_EVENT", events[kind].name);
  event_entry_add (entry, "CLOCKFERRY_DOMAIN", domain_uuid);
  event_entry_add (entry, "CLOCKFERRY_DOMAIN_NAME", domain_name);
  return entry;
}

void
event_entry_free (EventEntry *entry)
{
  for (guint i = 0; i < entry->field_count; i++)
    g_free ((gpointer) entry->fields[i].value);
  g_free (entry);
}

void
event_entry_add (EventEntry *entry, const char *field, const char *value)
{
  if (value == NULL)
    return;
  g_return_if_fail (entry->field_count < EVENT_FIELDS_MAX);
  entry->fields[entry->field_count++] =
    (GLogField){ .key = field, .value = g_strdup (value), .length = -1 };
}

void
event_entry_add_int (EventEntry *entry, const char *field, gint64 value)
{
  g_autofree char *text = g_strdup_printf ("%" G_GINT64_FORMAT, value);

  event_entry_add (entry, field, text);
}

void
event_entry_add_uint (EventEntry *entry, const char *field, guint64 value)
{
  g_autofree char *text = g_strdup_printf ("%" G_GUINT64_FORMAT, value);

  event_entry_add (entry, field, text);
}

void
event_entry_set_observer (EventEntry *entry, const EventObserver *observer)
{
  entry->observer = observer;
}

EventKind
event_entry_get_kind (const EventEntry *entry)
{
  return entry->kind;
}

const char *
event_entry_get (const EventEntry *entry, const char *field)
{
  for (guint i = 0; i < entry->field_count; i++) {
    if (g_str_equal (entry->fields[i].key, field))
      return entry->fields[i].value;
  }
  return NULL;
}

const GLogField *
event_entry_get_fields (const EventEntry *entry, gsize *count)
{
  *count = entry->field_count;
  return entry->fields;
}

void
event_entry_log (EventEntry *entry, const char *format, ...)
{
  g_autofree char *given = NULL;
  g_autofree char *message = NULL;
  va_list arguments;

  va_start (arguments, format);
  given = g_strdup_vprintf (format, arguments);
  va_end (arguments);

  message = clean_message (given);
  event_entry_add (entry, "MESSAGE", message);
  event_entry_add (entry, "PRIORITY", priority_of_level (events[entry->kind].level));
  g_log_structured_array (events[entry->kind].level, entry->fields, entry->field_count);
  if (entry->observer != NULL && entry->observer->observe != NULL)
    entry->observer->observe (entry, entry->observer->user_data);
  event_entry_free (entry);
}

const char *
event_kind_name (EventKind kind)
{
  g_return_val_if_fail ((guint) kind < EVENT_COUNT, "unknown");
  return events[kind].name;
}

const char *
event_kind_message_id (EventKind kind)
{
  g_return_val_if_fail ((guint) kind < EVENT_COUNT, NULL);
  return events[kind].message_id;
}
