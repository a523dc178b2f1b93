/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * settings - /etc/clockferry/clockferry.conf and its drop-ins
 *
 * Files of one section, [clockferry] (settings-file.h). Drop-ins in clockferry.conf.d/, named *.conf,
 * are read after the main file in strcmp order, and a later value wins. A missing file means
 * defaults; a key that does not exist and a value out of range, overridden or not, are errors that
 * name file, line and what is allowed.
 */

#include <gio/gio.h>

#include "clock-offset.h"
#include "settings-file.h"

typedef enum {
  SETTINGS_MODE_APPLY,
  SETTINGS_MODE_OBSERVE,
} SettingsMode;

/* "apply" or "observe"; a constant. */
const char *settings_mode_name (SettingsMode mode);

/* Find the mode called @name, exactly as settings_mode_name() spells it. */
gboolean settings_mode_parse (const char *name, SettingsMode *mode);

typedef struct {
  char *address;        /* Address=: what peers are told to connect to; NULL: this host's name */
  char *listen_address; /* ListenAddress=: NULL for every address */
  guint16 port;         /* Port=: 1 to 65535 */
  HostClockMode host_clock;
  SettingsMode mode;
  guint max_advance_s; /* MaxAdvanceSec=: 1 to 400; older guests overflow near 440 s */

  /* Absolute paths of PEM files, all three or none: this host's certificate is then not self-made */
  char *certificate_authority; /* CertificateAuthority=: of both ends */
  char *certificate;           /* Certificate=: of this host, by that authority */
  char *private_key;           /* PrivateKey=: of that certificate */
  GStrv allowed_peers; /* AllowedPeers=: see peer-names.h; only with an authority; NULL: all */

  /* where all this was from when it was loaded */
  char *path;             /* of the main file */
  GPtrArray *assignments; /* of SettingsAssignment, in the order they were read */
} Settings;

#define SETTINGS_MAX_ADVANCE_LIMIT_S 400

void settings_free (Settings *settings);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Settings, settings_free)

/*
 * Read @path and the drop-ins in "@path.d". Returns defaults where nothing is said, NULL with
 * CLOCKFERRY_ERROR_INVALID_SETTING on the first thing that is wrong, or a GFileError where a file
 * exists and cannot be read. Owned by the caller.
 */
Settings *settings_load (const char *path, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/*
 * Read the files of @settings, which are those that a daemon runs with, anew, and take over what can
 * change while it runs. Returns the keys that did change but have to wait for a restart, empty for
 * none, or NULL with an error of settings_load(), and then nothing was changed. Owned by the caller.
 * AllowedPeers= waits where CertificateAuthority= does: it is about certificates of that.
 */
GStrv settings_reload (Settings *settings, GError **error) G_GNUC_WARN_UNUSED_RESULT;

/* key by key */

/* The key at @index in the order of the installed file, NULL after the last one. Constant. */
const char *settings_nth_key (guint index);

/* Whether settings_reload() takes over @key, which must be one of those. */
gboolean settings_key_is_reloadable (const char *key);

/* What @key is set to, in one way of writing it; NULL where it is not set and so says nothing.
 * Owned by the caller. */
char *settings_get_text (const Settings *settings, const char *key);

/*
 * Where the files set @key: SettingsAssignment in the order they were read, borrowed from @settings;
 * the last one is in force. Empty: by default. The array is the caller's.
 */
GPtrArray *settings_list_assignments (const Settings *settings, const char *key);
