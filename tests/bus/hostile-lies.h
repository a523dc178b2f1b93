/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * hostile-lies - what a hostile source answers to Claim and Time, and sends unasked
 */

#include "hostile-source.h"

/* to Claim */

/* Without a lie, and without a record. */
void hostile_claim_accept (HostileVictim *victim, GDBusMethodInvocation *invocation);

/* With a record that is good but for the time that goes with it. */
void hostile_claim_send_good (HostileVictim *victim, GDBusMethodInvocation *invocation);

/* With a text for the terminal of whoever reads the journal. */
void hostile_claim_refuse_noisily (HostileVictim *victim, GDBusMethodInvocation *invocation);

/* GDBus makes GIO's own codes of this, and of hostile_time_refuse_as_timed_out(). */
void hostile_claim_refuse_as_cancelled (HostileVictim *victim, GDBusMethodInvocation *invocation);

/* Of other types than the method has. */
void hostile_claim_answer_with_nonsense (HostileVictim *victim, GDBusMethodInvocation *invocation);

/* With a record that no host and no guest has: each attempt gets another. */
void hostile_claim_send_impossible (HostileVictim *victim, GDBusMethodInvocation *invocation);

/* With a record that is possible, and not true. */
void hostile_claim_send_of_2200 (HostileVictim *victim, GDBusMethodInvocation *invocation);
void hostile_claim_send_of_1970 (HostileVictim *victim, GDBusMethodInvocation *invocation);
void hostile_claim_send_of_late_boot (HostileVictim *victim, GDBusMethodInvocation *invocation);
void hostile_claim_send_of_other_domain (HostileVictim *victim, GDBusMethodInvocation *invocation);

/* An old record after a newer one, as if somebody had kept it, and the newer one twice. */
void hostile_claim_send_old_last (HostileVictim *victim, GDBusMethodInvocation *invocation);

/* As fast as it may; faster than it may, and as large as may be; larger. */
void hostile_claim_flood (HostileVictim *victim, GDBusMethodInvocation *invocation);
void hostile_claim_burst (HostileVictim *victim, GDBusMethodInvocation *invocation);
void hostile_claim_send_huge (HostileVictim *victim, GDBusMethodInvocation *invocation);

/* With a question: GDBus would tell its host's machine id to anybody. */
void hostile_claim_ask_back (HostileVictim *victim, GDBusMethodInvocation *invocation);

/* to Time */

/* Without a lie. */
void hostile_time_tell (HostileVictim *victim, GDBusMethodInvocation *invocation);

void hostile_time_tell_negative (HostileVictim *victim, GDBusMethodInvocation *invocation);

/* The last nanosecond that there is. */
void hostile_time_tell_last (HostileVictim *victim, GDBusMethodInvocation *invocation);

/* Backwards by an hour with every answer, and then the same again. */
void hostile_time_tell_backwards (HostileVictim *victim, GDBusMethodInvocation *invocation);

void hostile_time_refuse_as_timed_out (HostileVictim *victim, GDBusMethodInvocation *invocation);
