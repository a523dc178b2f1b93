/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * daemon-pair - two hosts with the real clockferryd each, whose QEMUs the test plays, and migrations
 * between them from the first announcement to the final report
 */

#include "bus-host.h"
#include "stand-in-qemu.h"

typedef struct {
  BusHost *host;
  StandInFolders *folders;
  DaemonProcess *daemon;
} DaemonHost;

typedef struct {
  DaemonHost source;
  DaemonHost dest;
} DaemonPair;

/* A fixture. Both daemons follow their libvirt, which has no domains. */
void daemon_pair_set_up (DaemonPair *pair, gconstpointer data);
void daemon_pair_tear_down (DaemonPair *pair, gconstpointer data);

/* A guest that can be migrated: it runs on the source, with a helper. */
typedef struct {
  const char *uuid;
  const char *name;
  StandInQemu *source;
  StandInQemu *dest; /* NULL before it is on its way */
} PairGuest;

/* Boot @uuid as @name and number @id of the source, and wait until it is advertised and linked. */
void pair_guest_boot (PairGuest *guest, DaemonPair *pair, const char *uuid, const char *name,
                      int id);

/* Its QEMUs are gone. */
void pair_guest_end (PairGuest *guest);

/* libvirt prepares to receive it; its source is what the metadata says, or @element instead. */
void pair_guest_announce (PairGuest *guest, DaemonPair *pair, const char *element);

/* The destination's helper gets a fix-up that has @guest_src_ns. Others before it are passed over. */
void pair_guest_expect_fixup (PairGuest *guest, guint64 guest_src_ns);

/* It resumes on the destination, and its helper says that it did its work. */
void pair_guest_arrive (PairGuest *guest, DaemonPair *pair);

/* All of it: @guest is migrated, and both daemons say at the end that its clocks went along. */
void pair_guest_migrate (PairGuest *guest, DaemonPair *pair);
