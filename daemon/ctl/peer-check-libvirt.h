/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * peer-check-libvirt - what another host's libvirt knows of the daemon there
 */

#include <glib.h>

/*
 * The first few domains that run at the libvirt connection @uri and whose metadata names a daemon; of
 * DomainInfo, owned by the caller, and empty where none does. NULL with a translated error that names
 * @uri when libvirt does not answer. Iterates the default main context, for up to a minute.
 */
GPtrArray *peer_check_list_domains (const char *uri, GError **error) G_GNUC_WARN_UNUSED_RESULT;
