/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * settings-value - the kinds of values that settings have: from text, and back
 */

#include <glib.h>

/* A field of Settings is what the functions get the address of; its type is beside each kind. */
typedef struct {
  /* Put @value into the field, in place of what it has; FALSE, and nothing done, if it is not one. */
  gboolean (*parse) (gpointer field, const char *value);
  /* The one way of writing it, owned by the caller; NULL where the field is not set. */
  char *(*format) (gconstpointer field);
  /* Unset it and free what it has; NULL for a kind that has no such state. */
  void (*clear) (gpointer field);
} SettingKind;

extern const SettingKind setting_kind_host_name;  /* char *: a name or an IP address */
extern const SettingKind setting_kind_ip_address; /* char * */
extern const SettingKind setting_kind_path;       /* char *: absolute */
extern const SettingKind setting_kind_patterns;   /* GStrv: see peer-names.h */
extern const SettingKind setting_kind_port;       /* guint16 */
extern const SettingKind setting_kind_advance;    /* guint: 1 to SETTINGS_MAX_ADVANCE_LIMIT_S */
extern const SettingKind setting_kind_host_clock; /* HostClockMode */
extern const SettingKind setting_kind_mode;       /* SettingsMode */
