/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-record.h"

void
guest_record_keep (GuestRecord *record, GBytes *newest)
{
  guest_record_drop (record);
  record->newest = g_bytes_ref (newest);
}

void
guest_record_miss (GuestRecord *record, const char *obstacle)
{
  guest_record_drop (record);
  record->obstacle = g_strdup (obstacle);
}

void
guest_record_push (GuestRecord *record, PeerListener *listener, const char *uuid)
{
  if (record->newest != NULL && peer_listener_push_record (listener, uuid, record->newest) > 0)
    record->is_sent = TRUE;
}

void
guest_record_recall (GuestRecord *record)
{
  record->is_sent = FALSE;
}

void
guest_record_drop (GuestRecord *record)
{
  g_clear_pointer (&record->newest, g_bytes_unref);
  g_clear_pointer (&record->obstacle, g_free);
  record->is_sent = FALSE;
}

DepartureRecord
guest_record_describe (const GuestRecord *record, gboolean had_helper, gboolean is_observed)
{
  if (record->newest != NULL)
    return record->is_sent ? DEPARTURE_RECORD_SENT : DEPARTURE_RECORD_UNCLAIMED;
  if (had_helper)
    return DEPARTURE_RECORD_NONE;
  return is_observed ? DEPARTURE_RECORD_UNSEEN : DEPARTURE_RECORD_NO_HELPER;
}

const char *
guest_record_get_source (const GuestRecord *record)
{
  return record->newest != NULL ? clock_record_source_name (g_bytes_get_data (record->newest, NULL))
                                : NULL;
}
