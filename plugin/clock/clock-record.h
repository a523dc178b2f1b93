/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * clock-record - what one host must know to go on with a guest's clocks
 *
 * The helper inside the source QEMU fills a record from a single KVM_GET_CLOCK, taken while every
 * vCPU is stopped; where there is none, the observer does, from what KVM told that QEMU. It travels
 * helper -> source daemon -> destination daemon -> helper in this very layout: little-endian, no
 * padding, sizes checked at compile time. The names are those of the kernel's
 * Documentation/virt/kvm/devices/vcpu.rst, section KVM_VCPU_TSC_OFFSET.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* KVM_MAX_VCPUS of x86 is at most 4096 (arch/x86/include/asm/kvm_host.h). */
#define CLOCK_RECORD_VCPUS_MAX 4096

/* Plausible guest TSC frequencies: 1 MHz to 100 GHz. */
#define CLOCK_RECORD_FREQ_MIN_KHZ 1000u
#define CLOCK_RECORD_FREQ_MAX_KHZ 100000000u

/*
 * The source VM ran with KVM's master clock: guest_src_ns, host_src_ns and tsc_src_ticks are one
 * instant, read by the kernel from one TSC value. Without it the kernel gives no host TSC and the
 * helper reads CLOCK_REALTIME itself: kvmclock can still be advanced, the TSC can not.
 */
#define CLOCK_RECORD_MASTER_CLOCK (1u << 0)
/*
 * The guest's frequency is over 250 ppm away from the host's and there is no TSC scaling: KVM moves
 * the TSC by itself (tsc_always_catchup), or runs it at another frequency than it says.
 */
#define CLOCK_RECORD_TSC_CATCHUP (1u << 1)
/*
 * The source VM ran with the master clock, but its TSC at guest_src_ns could not be told: a kernel
 * before 5.16, or a TSC that is not scale plus offset when read (a protected guest). Excludes
 * CLOCK_RECORD_MASTER_CLOCK. Neither clock may be moved: advancing kvmclock alone would tear apart
 * two clocks that the guest may well compare.
 */
#define CLOCK_RECORD_TSC_OPAQUE (1u << 2)
/* The source's QEMU has no helper in it: what KVM told it was observed from outside (observer/). */
#define CLOCK_RECORD_OBSERVED (1u << 3)
#define CLOCK_RECORD_FLAGS_ALL                                                                     \
  (CLOCK_RECORD_MASTER_CLOCK | CLOCK_RECORD_TSC_CATCHUP | CLOCK_RECORD_TSC_OPAQUE |                \
   CLOCK_RECORD_OBSERVED)

/* One vCPU. Ids are KVM's (the APIC id in QEMU): ascending in a record, but not always dense. */
struct clock_record_vcpu {
  uint32_t id;
  uint32_t reserved;  /* 0 */
  uint64_t ofs_ticks; /* ofs_src[i]: KVM_VCPU_TSC_OFFSET, guest ticks, modulo 2^64 */
};

struct clock_record {
  uint64_t guest_src_ns;  /* kvmclock; also the key that KVM_SET_CLOCK on the destination matches */
  uint64_t host_src_ns;   /* CLOCK_REALTIME of the source host */
  uint64_t boot_src_ns;   /* its CLOCK_BOOTTIME: tells of host_src_ns when the clock is set later */
  uint64_t tsc_src_ticks; /* TSC of the source host; 0 without CLOCK_RECORD_MASTER_CLOCK */
  uint64_t tsc_ratio;     /* TSC scaling of the source, 0 without */
  uint32_t tsc_frac_bits; /* fraction bits of tsc_ratio: 48 (VMX), 32 (SVM), 0 without scaling */
  uint32_t freq_khz;      /* the guest's TSC frequency, KVM_GET_TSC_KHZ */
  uint32_t flags;         /* CLOCK_RECORD_* */
  uint32_t vcpu_count;    /* 1 to CLOCK_RECORD_VCPUS_MAX */
  struct clock_record_vcpu vcpus[];
};

_Static_assert(sizeof (struct clock_record_vcpu) == 16, "wire layout");
_Static_assert(sizeof (struct clock_record) == 56, "wire layout");

#define CLOCK_RECORD_SIZE_MAX                                                                      \
  (sizeof (struct clock_record) + CLOCK_RECORD_VCPUS_MAX * sizeof (struct clock_record_vcpu))

/* Why a record was refused; clock_record_error_name() gives the word that logs and tests use. */
enum clock_record_error {
  CLOCK_RECORD_OK = 0,
  CLOCK_RECORD_TOO_SHORT,
  CLOCK_RECORD_BAD_LENGTH, /* not exactly head + vcpu_count entries */
  CLOCK_RECORD_BAD_VCPUS,  /* none, too many, ids not ascending, reserved bits set */
  CLOCK_RECORD_BAD_FREQ,   /* outside CLOCK_RECORD_FREQ_{MIN,MAX}_KHZ */
  CLOCK_RECORD_BAD_SCALE,  /* a ratio without fraction bits, or the other way, or over 63 bits */
  CLOCK_RECORD_BAD_TIME,  /* guest_src_ns, host_src_ns or boot_src_ns over INT64_MAX, host_src_ns 0,
                              or a TSC without CLOCK_RECORD_MASTER_CLOCK */
  CLOCK_RECORD_BAD_FLAGS, /* unknown flags, or flags that exclude each other */
};

/* Bytes that a record with @vcpu_count vCPUs takes. */
size_t clock_record_size (uint32_t vcpu_count);

/*
 * Judge @size bytes at @data, aligned to 8, as a record from an untrusted sender. Everything a
 * later reader relies on is checked here and nowhere else; nothing is read past @size.
 */
enum clock_record_error clock_record_check (const void *data, size_t size);

/* A constant lower-case word, "record-too-short" for instance; never NULL. */
const char *clock_record_error_name (enum clock_record_error error);

/* Who says to have made it, "helper" or "observed". Constant. */
const char *clock_record_source_name (const struct clock_record *record);

/* The entry of vCPU @id in a checked record, or NULL. Owned by the record. */
const struct clock_record_vcpu *clock_record_find_vcpu (const struct clock_record *record,
                                                        uint32_t id);
