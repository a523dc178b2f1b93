/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "error.h"

#include "names.h"

static const GDBusErrorEntry entries[] = {
  { CLOCKFERRY_ERROR_FAILED, CLOCKFERRY_ERROR_PREFIX "Failed" },
  { CLOCKFERRY_ERROR_NOT_AUTHORIZED, CLOCKFERRY_ERROR_PREFIX "NotAuthorized" },
  { CLOCKFERRY_ERROR_NOT_YET, CLOCKFERRY_ERROR_PREFIX "NotYet" },
  { CLOCKFERRY_ERROR_ALREADY_CLAIMED, CLOCKFERRY_ERROR_PREFIX "AlreadyClaimed" },
  { CLOCKFERRY_ERROR_WRONG_KEY, CLOCKFERRY_ERROR_PREFIX "WrongKey" },
  { CLOCKFERRY_ERROR_BAD_IDENTITY, CLOCKFERRY_ERROR_PREFIX "BadIdentity" },
  { CLOCKFERRY_ERROR_BAD_MESSAGE, CLOCKFERRY_ERROR_PREFIX "BadMessage" },
  { CLOCKFERRY_ERROR_TIMED_OUT, CLOCKFERRY_ERROR_PREFIX "TimedOut" },
  { CLOCKFERRY_ERROR_INVALID_SETTING, CLOCKFERRY_ERROR_PREFIX "InvalidSetting" },
  { CLOCKFERRY_ERROR_NEEDS_RESTART, CLOCKFERRY_ERROR_PREFIX "NeedsRestart" },
  { CLOCKFERRY_ERROR_INVALID_XML, CLOCKFERRY_ERROR_PREFIX "InvalidXml" },
  { CLOCKFERRY_ERROR_NO_QEMU, CLOCKFERRY_ERROR_PREFIX "NoQemu" },
  { CLOCKFERRY_ERROR_NO_HELPER, CLOCKFERRY_ERROR_PREFIX "NoHelper" },
  { CLOCKFERRY_ERROR_IMPOSTOR, CLOCKFERRY_ERROR_PREFIX "Impostor" },
  { CLOCKFERRY_ERROR_REFUSED, CLOCKFERRY_ERROR_PREFIX "Refused" },
};

G_STATIC_ASSERT (G_N_ELEMENTS (entries) == CLOCKFERRY_ERROR_REFUSED + 1);

GQuark
clockferry_error_quark (void)
{
  static gsize quark;

  g_dbus_error_register_error_domain ("clockferry-error-quark", &quark, entries,
                                      G_N_ELEMENTS (entries));
  return (GQuark) quark;
}

void
clockferry_error_tame_remote (GError *error)
{
  g_autofree char *text = NULL;
  g_autoptr (GString) tame = g_string_new (NULL);
  guint count = 0;

  /* GDBus lets the other host name one of GIO's codes, and "cancelled" for instance is ours to say */
  if (g_dbus_error_is_remote_error (error) && error->domain == G_IO_ERROR) {
    error->domain = CLOCKFERRY_ERROR;
    error->code = CLOCKFERRY_ERROR_FAILED;
  }
  g_dbus_error_strip_remote_error (error);
  text = g_utf8_make_valid (error->message, -1);
  for (const char *c = text; *c != '\0'; c = g_utf8_next_char (c)) {
    if (count++ == CLOCKFERRY_ERROR_REMOTE_MAX) {
      g_string_append (tame, "...");
      break;
    }
    g_string_append_unichar (tame,
                             g_unichar_isprint (g_utf8_get_char (c)) ? g_utf8_get_char (c) : '?');
  }
  g_free (error->message);
  error->message = g_string_free (g_steal_pointer (&tame), FALSE);
}
