/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * helper-protocol - the messages between clockferryd and the helper inside QEMU
 *
 * The helper binds a SOCK_SEQPACKET socket HELPER_SOCKET_NAME in the VM's directory and the daemon
 * connects. One packet is one message: a helper_header, then the body of its type. Both ends run on
 * one machine, so integers are in its byte order and structs travel as they are; sizes are checked
 * at compile time. A message that is not exactly what its header says is answered with REFUSED and
 * the connection is closed; nothing else happens.
 */

#include <stdint.h>

#include "clock-record.h"

#define HELPER_SOCKET_NAME "clockferry.sock"
#define HELPER_MAGIC       0x59524643u /* "CFRY" */
#define HELPER_VERSION     1

/*
 * Longest time that all waits of one QEMU inside KVM_SET_CLOCK may take together. `cont` must not be
 * held up for more than 50 ms; the rest is for a busy host that wakes a sleeper late, and for what is
 * done once it is awake, which is up to 10 ms on an emulated host.
 */
#define HELPER_WAIT_MAX_MS 35

/* Sane limits of a fix-up: clocks a year apart are not credible, nor is a blackout of a day. */
#define HELPER_THETA_MAX_NS   (365ll * 24 * 3600 * 1000000000)
#define HELPER_ADVANCE_MAX_NS (24ull * 3600 * 1000000000)

enum helper_message_type {
  /* daemon to helper */
  HELPER_MESSAGE_INCOMING = 1, /* struct helper_incoming: a migration is on its way here */
  HELPER_MESSAGE_FIXUP = 2,    /* struct helper_fixup: replaces any earlier one */
  HELPER_MESSAGE_WITHDRAW = 3, /* header only: forget INCOMING and FIXUP, behave as stock */
  /* helper to daemon */
  HELPER_MESSAGE_RECORD = 16,  /* struct helper_record: QEMU just asked KVM_GET_CLOCK */
  HELPER_MESSAGE_REPORT = 17,  /* struct helper_report: what was done inside KVM_SET_CLOCK, or why
                                  there is no record */
  HELPER_MESSAGE_REFUSED = 18, /* struct helper_refused: the last message; then the end */
};

struct helper_header {
  uint32_t magic;     /* HELPER_MAGIC */
  uint16_t version;   /* HELPER_VERSION */
  uint16_t type;      /* enum helper_message_type */
  uint32_t length;    /* of the whole message, header included */
  uint32_t reserved;  /* 0 */
  uint8_t domain[16]; /* UUID, in the order of its text form */
};

/*
 * Sent when libvirt announces an incoming migration. Until @deadline a KVM_SET_CLOCK {flags = 0}
 * that no fix-up matches yet may wait for one, HELPER_WAIT_MAX_MS at most in all.
 */
struct helper_incoming {
  struct helper_header header;
  uint64_t deadline_monotonic_ns; /* CLOCK_MONOTONIC of this host */
};

enum helper_mode {
  HELPER_MODE_APPLY = 0,
  HELPER_MODE_OBSERVE = 1, /* compute and report, change nothing */
};

/* Also advance a guest that uses no paravirtual clock. */
#define HELPER_FIXUP_WITHOUT_PVCLOCK (1u << 0)
/* This host's clock is right by definition, also right after it was set: theta stays as it is. */
#define HELPER_FIXUP_CLOCK_TRUSTED (1u << 1)
#define HELPER_FIXUP_FLAGS_ALL     (HELPER_FIXUP_WITHOUT_PVCLOCK | HELPER_FIXUP_CLOCK_TRUSTED)

struct helper_fixup {
  struct helper_header header;
  int64_t theta_ns;               /* destination's CLOCK_REALTIME minus the source's as it was at
                                     the record; within +-HELPER_THETA_MAX_NS */
  int64_t real_minus_boot_ns;     /* CLOCK_REALTIME minus CLOCK_BOOTTIME of the destination when
                                     theta_ns was right: if it is another by now, the clock was set
                                     meanwhile, and theta has moved as far */
  uint64_t theta_bound_ns;        /* when theta_ns was right, the truth lay within +- this, but for
                                     what reading two clocks at once costs the helpers (50 ns if
                                     undisturbed); at most HELPER_THETA_MAX_NS */
  uint64_t deadline_monotonic_ns; /* not applied after this */
  uint64_t max_advance_ns;        /* longest blackout to credit; at most HELPER_ADVANCE_MAX_NS */
  uint32_t mode;                  /* enum helper_mode */
  uint32_t flags;                 /* HELPER_FIXUP_* */
  struct clock_record record;     /* with its vcpus[] */
};

struct helper_record {
  struct helper_header header;
  struct clock_record record; /* with its vcpus[] */
};

enum helper_verdict {
  HELPER_VERDICT_STOCK = 0,         /* QEMU's own ioctl went through unchanged */
  HELPER_VERDICT_FIXED = 1,         /* kvmclock and TSC */
  HELPER_VERDICT_KVMCLOCK_ONLY = 2, /* no master clock: kvmclock is what the guest can trust */
  HELPER_VERDICT_OBSERVED = 3,      /* would have been FIXED, or KVMCLOCK_ONLY if
                                       HELPER_REASON_NO_MASTER_CLOCK; nothing was changed */
};

/* Why the verdict is not FIXED. Words by helper_reason_name(). */
enum helper_reason {
  HELPER_REASON_NONE = 0,
  HELPER_REASON_NO_RECORD,      /* announced, but no fix-up came in time */
  HELPER_REASON_CLOCK_MISMATCH, /* a fix-up is at hand, but for another KVM_GET_CLOCK */
  HELPER_REASON_DEADLINE_PASSED,
  HELPER_REASON_PATCHED_QEMU,   /* QEMU does this job itself: stand down */
  HELPER_REASON_KERNEL_TOO_OLD, /* no KVM_CLOCK_REALTIME, or no TSC offset attribute */
  HELPER_REASON_NEGATIVE_ELAPSED,
  HELPER_REASON_MAX_ADVANCE,       /* elapsed is over max_advance_ns */
  HELPER_REASON_LONGER_THAN_KNOWN, /* elapsed is over the age of this QEMU */
  HELPER_REASON_FREQUENCY,         /* over 250 ppm apart and no scaling */
  HELPER_REASON_TSC_CATCHUP,
  HELPER_REASON_NO_PVCLOCK,
  HELPER_REASON_NO_MASTER_CLOCK, /* of the KVMCLOCK_ONLY verdict */
  HELPER_REASON_OFFSET_DROPPED,  /* the attribute was accepted and not honoured */
  HELPER_REASON_NO_VCPUS,
  HELPER_REASON_IOCTL_FAILED, /* errno in failed_errno */
  HELPER_REASON_CHECK_FAILED, /* a promise of step 5 did not hold; undone */
  HELPER_REASON_OBSERVE_ONLY,
  HELPER_REASON_TSC_OPAQUE,   /* the TSC of either host could not be told: not scale + offset */
  HELPER_REASON_UNSEEN_VCPUS, /* QEMU made some or all by syscall(2), past the helper */
  HELPER_REASON_TSC_MISMATCH, /* the record's TSC is not the one that QEMU has loaded */
  HELPER_REASON_COUNT,
};

struct helper_report_vcpu {
  uint32_t id;
  uint32_t reserved;
  uint64_t ofs_before_ticks; /* as QEMU had loaded it */
  uint64_t ofs_dest_ticks;   /* as read back at the end; 0 if never got that far */
};

/*
 * Offsets of the source differed by a second or more, and were kept apart. KVM's master clock goes
 * off for it when the vCPUs enter the guest, even if kvm_flags, read before, still has it.
 */
#define HELPER_REPORT_OFFSETS_APART (1u << 0)
/* Offsets of the source differed by less than a second, and were made equal. */
#define HELPER_REPORT_OFFSETS_JOINED (1u << 1)
/* Something was written, a later step failed, and the undo failed too. */
#define HELPER_REPORT_UNDO_FAILED (1u << 2)
/*
 * Sent at KVM_GET_CLOCK, instead of a record: none could be made, for this reason. Besides that,
 * clock_ns alone is set, to what QEMU was given.
 */
#define HELPER_REPORT_NO_RECORD (1u << 3)
#define HELPER_REPORT_FLAGS_ALL                                                                    \
  (HELPER_REPORT_OFFSETS_APART | HELPER_REPORT_OFFSETS_JOINED | HELPER_REPORT_UNDO_FAILED |        \
   HELPER_REPORT_NO_RECORD)

/*
 * Of HELPER_VERDICT_STOCK after attempts: guest_dest_ns, host_dest_ns, tsc_dest_ticks and
 * residual_ns are those of the last one, which was undone; advance_ns is 0.
 *
 * Of HELPER_VERDICT_OBSERVED: guest_dest_ns, advance_ns and ofs_dest_ticks are what a fix-up would
 * have set, and residual_ns is how far the guest's kvmclock, set by QEMU's own ioctl, is off.
 */
struct helper_report {
  struct helper_header header;
  uint32_t verdict;               /* enum helper_verdict */
  uint32_t reason;                /* enum helper_reason */
  uint32_t flags;                 /* HELPER_REPORT_* */
  int32_t failed_errno;           /* with HELPER_REASON_IOCTL_FAILED */
  int64_t theta_ns;               /* as it was used; this and the next two are 0 without a fix-up */
  uint64_t theta_bound_ns;        /* of the fix-up that was used ... */
  uint64_t deadline_monotonic_ns; /* ... which this tells from others */
  uint64_t clock_ns;              /* the value QEMU passed to KVM_SET_CLOCK */
  uint64_t guest_dest_ns;
  uint64_t host_dest_ns;
  uint64_t tsc_dest_ticks;
  int64_t advance_ns;  /* guest_dest - guest_src: the blackout that was credited */
  int64_t residual_ns; /* of the kvmclock against CLOCK_REALTIME and theta */
  uint64_t waited_ns;  /* for a fix-up, inside the ioctl */
  uint64_t spent_ns;   /* in the ioctl, waiting included */
  uint32_t attempts;   /* KVM_SET_CLOCKs with realtime */
  uint32_t kvm_flags;  /* of the last KVM_GET_CLOCK */
  uint32_t freq_dest_khz;
  uint32_t vcpu_count;
  struct helper_report_vcpu vcpus[];
};

/* Why a message was refused. Words by helper_refusal_name(). */
enum helper_refusal {
  HELPER_REFUSAL_NONE = 0,
  HELPER_REFUSAL_TOO_SHORT,
  HELPER_REFUSAL_BAD_MAGIC,
  HELPER_REFUSAL_BAD_VERSION,
  HELPER_REFUSAL_BAD_TYPE,
  HELPER_REFUSAL_BAD_LENGTH,
  HELPER_REFUSAL_OTHER_DOMAIN,
  HELPER_REFUSAL_BAD_BODY,   /* a field is out of its range */
  HELPER_REFUSAL_BAD_RECORD, /* detail: enum clock_record_error */
  HELPER_REFUSAL_COUNT,
};

struct helper_refused {
  struct helper_header header;
  uint32_t refusal; /* enum helper_refusal */
  uint32_t detail;
};

_Static_assert(sizeof (struct helper_header) == 32, "wire layout");
_Static_assert(sizeof (struct helper_incoming) == 40, "wire layout");
_Static_assert(sizeof (struct helper_fixup) == 32 + 48 + 56, "wire layout");
_Static_assert(sizeof (struct helper_record) == 32 + 56, "wire layout");
_Static_assert(sizeof (struct helper_report_vcpu) == 24, "wire layout");
_Static_assert(sizeof (struct helper_report) == 32 + 120, "wire layout");
_Static_assert(sizeof (struct helper_refused) == 40, "wire layout");

#define HELPER_MESSAGE_SIZE_MAX                                                                    \
  (sizeof (struct helper_report) + CLOCK_RECORD_VCPUS_MAX * sizeof (struct helper_report_vcpu))

enum helper_direction { HELPER_TO_HELPER, HELPER_TO_DAEMON };

/*
 * Judge @size bytes at @data, aligned to 8, as one message of @domain that travels in @direction.
 * Checks header, exact length, ranges of the body and the record in it. Nothing is read past @size.
 * On HELPER_REFUSAL_BAD_RECORD *@detail (may be NULL) is the enum clock_record_error.
 */
enum helper_refusal helper_message_check (const void *data, size_t size,
                                          enum helper_direction direction, const uint8_t domain[16],
                                          uint32_t *detail);

/* Fill a header for a message of @length bytes in all. */
void helper_header_init (struct helper_header *header, enum helper_message_type type,
                         uint32_t length, const uint8_t domain[16]);

/* Bytes that a report with @vcpu_count vCPUs takes. */
size_t helper_report_size (uint32_t vcpu_count);

/* Constant lower-case words ("bad-version", "no-record", "fixed"); "unknown" out of range. */
const char *helper_refusal_name (uint32_t refusal);
const char *helper_reason_name (uint32_t reason);
const char *helper_verdict_name (uint32_t verdict);
