/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * migration-host - modelled hosts at random, as real ones differ
 */

#include <glib.h>

#include "kvm-model.h"

#define MIGRATION_NS_PER_HOUR   (3600 * 1000000000ull)
#define MIGRATION_NS_PER_DAY    (24 * MIGRATION_NS_PER_HOUR)
#define MIGRATION_UPTIME_MAX_NS (3652 * MIGRATION_NS_PER_DAY) /* ten years */

#define MIGRATION_KHZ_MIN 1000000
#define MIGRATION_KHZ_MAX 5000000

bool migration_chance (GRand *dice, double probability);
uint64_t migration_chance_64 (GRand *dice);

/* @low to @high with even chances for each order of magnitude. */
uint64_t migration_chance_log (GRand *dice, double low, double high);

/* Fraction bits of a host that can scale: VMX or SVM. */
uint32_t migration_scaling_draw (GRand *dice);

/* A frequency so far from @guest_khz that KVM scales, or would have to. */
uint32_t migration_far_khz_draw (GRand *dice, uint32_t guest_khz);

/*
 * Make @host one for a guest of @guest_khz: its TSC is the guest's to a kHz, or within KVM's
 * tolerance, or anything and scaled; its kernel has calibrated that to a kHz or worse; NTP slews its
 * clock or not; it is up for ten years at most. Its VM, but for @guest_khz, stays as it is.
 */
void migration_host_draw (GRand *dice, uint32_t guest_khz, struct kvm_model_host *host);
