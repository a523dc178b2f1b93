/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * observed-pair - two managed hosts and the source's observer; the domain that is to go has no helper
 *
 * The observer's own server runs in this process; what it sees is played. The event tape must run.
 */

#include "managed-pair.h"
#include "stand-in-observer.h"

typedef struct {
  ManagedPair pair;
  StandInObserver *observer; /* on the source, NULL: none */
  pid_t pid;                 /* of WEB's QEMU there */
} ObservedPair;

/* Both daemons are there, and neither observer nor WEB. */
void observed_pair_set_up_alone (ObservedPair *fixture, gconstpointer data);
/* WEB runs on the source, was started before there was a helper, and would be observed. */
void observed_pair_set_up (ObservedPair *fixture, gconstpointer data);
void observed_pair_tear_down (ObservedPair *fixture, gconstpointer data);

/* @problem: why it cannot observe, NULL if it can. */
void observed_pair_start_observer (ObservedPair *fixture, const char *problem);

/* WEB's QEMU, with a helper, before libvirt tells of it. */
void observed_pair_start_qemu (ObservedPair *fixture);
/* The same without one, and the daemon has adopted it. */
void observed_pair_boot (ObservedPair *fixture);

/* libvirt begins a job of WEB, and writes its status for that. */
void observed_pair_begin_job (ObservedPair *fixture);

/* As the observer makes it. Free with g_free(). */
struct clock_record *observed_pair_make_record (guint64 guest_src_ns);
/* The observer sees QEMU ask for its clock. */
void observed_pair_tell (ObservedPair *fixture, guint64 guest_src_ns);
/* The same, and the destination's helper has it. */
void observed_pair_pass_record (ObservedPair *fixture, guint64 guest_src_ns);

/* WEB runs on the destination, whose helper has set its clocks, and is gone from the source. */
void observed_pair_arrive (ObservedPair *fixture);
