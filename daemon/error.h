/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <gio/gio.h>

/*
 * error - the daemon's own error domain, known to D-Bus by name
 *
 * A caller that must tell reasons apart finds them here; whatever only needs to be read by a person
 * is CLOCKFERRY_ERROR_FAILED or stays in the domain of the library that failed. On the wire the
 * codes are org.clockferry1.Error.NotAuthorized and so on.
 */

#define CLOCKFERRY_ERROR (clockferry_error_quark ())

typedef enum {
  CLOCKFERRY_ERROR_FAILED,
  CLOCKFERRY_ERROR_NOT_AUTHORIZED, /* wrong ticket, no claim yet, or a certificate not let in */
  CLOCKFERRY_ERROR_NOT_YET, /* that may become right: the one who is asked was just started */
  CLOCKFERRY_ERROR_ALREADY_CLAIMED, /* this connection serves a domain, or a check, already */
  CLOCKFERRY_ERROR_WRONG_KEY,       /* the peer's key is not the one that libvirt announced */
  CLOCKFERRY_ERROR_BAD_IDENTITY,    /* a key or certificate is unusable, mostly this host's own */
  CLOCKFERRY_ERROR_BAD_MESSAGE,     /* the peer sent what the protocol does not allow */
  CLOCKFERRY_ERROR_TIMED_OUT,
  CLOCKFERRY_ERROR_INVALID_SETTING, /* in the configuration */
  CLOCKFERRY_ERROR_NEEDS_RESTART,   /* a setting was changed that is read once, at start */
  CLOCKFERRY_ERROR_INVALID_XML,     /* not the XML of a domain */
  CLOCKFERRY_ERROR_NO_QEMU,         /* libvirt's pid file names no process */
  CLOCKFERRY_ERROR_NO_HELPER,       /* this QEMU runs without the helper */
  CLOCKFERRY_ERROR_IMPOSTOR,        /* another process listens in place of QEMU */
  CLOCKFERRY_ERROR_REFUSED,         /* daemon or helper refused a message of the other */
} ClockferryError;

/* Registers the D-Bus names on its first call: needed before a remote error is to be understood. */
GQuark clockferry_error_quark (void);

/*
 * Make what another host said fit to be shown: without the name of the D-Bus error, in printable
 * characters, and at most CLOCKFERRY_ERROR_REMOTE_MAX of them. And fit to be judged by: no G_IO_ERROR, which
 * tells what happened on this host.
 */
#define CLOCKFERRY_ERROR_REMOTE_MAX 200
void clockferry_error_tame_remote (GError *error);
