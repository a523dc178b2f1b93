/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * guest-observer - one guest whose QEMU has no helper: has the observer watch it while it leaves
 *
 * It leaves when a peer has claimed it. But for a migration without --live libvirt pauses it as soon as
 * the destination's QEMU is there, and the claim comes later. libvirt tells nobody that a job has begun,
 * but writes its status file then, before the destination hears of it (virdomainjob.c,
 * virDomainObjBeginJobInternal()). Only root may read that file, and it is written for much else as well.
 * So libvirt is asked for a job whenever it is, and the guest is watched for a while if there is one.
 *
 * What the observer tells is of a process: it counts if that is the one in libvirt's pid file of this
 * guest, when it is asked to watch, and again when there is a record.
 */

#include "host-context.h"

typedef struct GuestObserver GuestObserver;

/* None of these may free it. */
typedef struct {
  /* It is to be watched from now on; what was said of an earlier time is void. */
  void (*began) (gpointer user_data);
  /* guest_observer_get_problem() tells else. */
  void (*changed) (gpointer user_data);
  /* Its QEMU asked KVM_GET_CLOCK. @record is checked, @size bytes, borrowed. */
  void (*record) (const struct clock_record *record, gsize size, gpointer user_data);
  /* It did, and @obstacle, a clause, is why there is no record. */
  void (*missed) (const char *obstacle, gpointer user_data);
  /* It is not watched for now; @obstacle, a clause, is why. */
  void (*lost) (const char *obstacle, gpointer user_data);
} GuestObserverCallbacks;

/* Does nothing before guest_observer_start(). @host and @callbacks must outlive it. */
GuestObserver *guest_observer_new (const HostContext *host, const char *uuid,
                                   const GuestObserverCallbacks *callbacks, gpointer user_data);
void guest_observer_free (GuestObserver *observer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (GuestObserver, guest_observer_free)

/* It, called @name, runs without a helper; again does no harm. FALSE on a host where nothing observes. */
gboolean guest_observer_start (GuestObserver *observer, const char *name);

/* It has a helper, or that QEMU is gone. */
void guest_observer_stop (GuestObserver *observer);

/* Between start and stop. */
gboolean guest_observer_is_started (const GuestObserver *observer);

/*
 * Why it could not be observed, a clause, or NULL: it could. Borrowed. *@is_known is FALSE while the
 * observer has not said so yet.
 */
const char *guest_observer_get_problem (const GuestObserver *observer, gboolean *is_known);

/* Whether a peer has claimed it. TRUE if it has now, had not before, and is started. */
gboolean guest_observer_set_claimed (GuestObserver *observer, gboolean is_claimed);

/* While it is to be watched: why it is not, a clause, as far as nothing else was said; or NULL. */
const char *guest_observer_get_obstacle (const GuestObserver *observer);

/* Deliver now what the observer has already written. */
void guest_observer_drain (GuestObserver *observer);
