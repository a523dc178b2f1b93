/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * check-remedy - the command lines that mend a host, in this distribution's words
 */

#include <glib.h>

typedef enum {
  PACKAGE_KERNEL,
  PACKAGE_LIBVIRT,
  PACKAGE_LIBVIRT_DBUS,
  PACKAGE_QEMU,
  PACKAGE_TIME_DAEMON,
} RemedyPackage;

/*
 * "apt-get install chrony", with the package manager that this host has; NULL for one that is not
 * known here, or where the package is called by a name that is not. Owned by the caller.
 */
char *remedy_install (RemedyPackage package);

/* "apt-get install --reinstall clockferry" where dpkg knows @package as installed, else NULL. Owned by
 * the caller. */
char *remedy_reinstall (const char *package);

/* @format filled in with its arguments, strings all, each quoted for sh where it needs to be. Owned
 * by the caller. */
char *remedy_format (const char *format, ...) G_GNUC_PRINTF (1, 2);
