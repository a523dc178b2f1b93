/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * event-log - what the daemon says to the journal; the table of these events is in docs/events.md
 *
 * Every entry has MESSAGE_ID (of its event), CLOCKFERRY_EVENT (its name) and, where it is about a
 * domain, CLOCKFERRY_DOMAIN (UUID) and CLOCKFERRY_DOMAIN_NAME. Other fields are added by the caller;
 * their names are documented, stable, and in capitals with the unit at the end.
 *
 * What the daemon shows of its migrations elsewhere is made of these entries as well: an observer is
 * told of the entries that it was given to.
 */

#include <glib.h>

typedef enum {
  EVENT_DAEMON_READY,
  EVENT_BUS_NAME_REFUSED, /* nobody finds the daemon on the system bus */
  EVENT_SETTINGS_RELOADED,
  EVENT_SETTINGS_REJECTED, /* the files are wrong: the daemon goes on as it was */
  EVENT_LIBVIRT_CONNECTED,
  EVENT_LIBVIRT_LOST,
  EVENT_DOMAIN_READY,     /* the next migration of this domain will be followed */
  EVENT_DOMAIN_NOT_READY, /* it will not, and why */
  EVENT_POLICY_IGNORED,   /* what its metadata says of its clocks is not valid */
  EVENT_HELPER_LOST,
  EVENT_PEER_REFUSED, /* a client was turned away */
  EVENT_DEPARTURE_CLAIMED,
  EVENT_DEPARTURE_PAUSED,
  EVENT_DEPARTURE_DONE,      /* the guest left, its record went ahead */
  EVENT_DEPARTURE_UNCLAIMED, /* the guest left and nobody asked for its record, or there was none */
  EVENT_DEPARTURE_ROLLED_BACK,
  EVENT_DEPARTURE_CANCELLED, /* no migration came of what was claimed or paused */
  EVENT_ARRIVAL_ANNOUNCED,
  EVENT_ARRIVAL_CLAIMED,     /* the source's daemon accepted the ticket */
  EVENT_ARRIVAL_STEP_FAILED, /* the guest will resume as stock QEMU has it, unless mended */
  EVENT_ARRIVAL_ARMED,
  EVENT_CLOCKS_APART, /* of the two hosts, so that their distance had to be measured */
  EVENT_ARRIVAL_ABANDONED,
  EVENT_MIGRATION_FIXED, /* the final report: both clocks */
  EVENT_MIGRATION_KVMCLOCK_ONLY,
  EVENT_MIGRATION_OBSERVED,
  EVENT_MIGRATION_STOCK,   /* neither clock, and why */
  EVENT_MIGRATION_UNKNOWN, /* both or neither, and why nobody knows */
  EVENT_COUNT,
} EventKind;

typedef struct EventEntry EventEntry;

typedef struct {
  void (*observe) (const EventEntry *entry, gpointer user_data);
  gpointer user_data;
} EventObserver;

/* @domain_uuid and @domain_name may be NULL. Owned by the caller, or taken by event_entry_log(). */
EventEntry *event_entry_new (EventKind kind, const char *domain_uuid, const char *domain_name);

void event_entry_free (EventEntry *entry);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (EventEntry, event_entry_free)

/* @field is a constant string; a NULL @value adds nothing. */
void event_entry_add (EventEntry *entry, const char *field, const char *value);
void event_entry_add_int (EventEntry *entry, const char *field, gint64 value);
void event_entry_add_uint (EventEntry *entry, const char *field, guint64 value);

/* Tell @observer, which may be NULL and must outlive @entry, of it right after it was logged. */
void event_entry_set_observer (EventEntry *entry, const EventObserver *observer);

EventKind event_entry_get_kind (const EventEntry *entry);

/* The value of @field, or NULL without. Borrowed. */
const char *event_entry_get (const EventEntry *entry, const char *field);

/* All fields, *@count of them: keys and strings that end in NUL. Borrowed. */
const GLogField *event_entry_get_fields (const EventEntry *entry, gsize *count);

/* Write the entry with this message, and free it. It comes out as a line of UTF-8, whatever is in it:
 * control characters as "?". */
void event_entry_log (EventEntry *entry, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* The name of @kind as in CLOCKFERRY_EVENT, "migration-fixed" for instance. */
const char *event_kind_name (EventKind kind);

/* MESSAGE_ID of @kind: 32 hexadecimal digits. */
const char *event_kind_message_id (EventKind kind);
