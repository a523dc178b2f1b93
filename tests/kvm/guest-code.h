/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * guest-code - what the tiny guest runs, and where it keeps things
 *
 * Real mode, so that a vCPU needs no page tables. Each vCPU has a segment of its own for data and
 * stack. It takes the operation that GUEST_OPERATION names, leaves to the host by a write to port
 * GUEST_PORT, and takes the next one when it is entered again.
 *
 * Read by guest-code.S as well.
 */

#define GUEST_MEMORY_SIZE 0x10000
#define GUEST_CODE_AT     0x1000
#define GUEST_DATA_AT     0x3000 /* of the first vCPU; the next ones follow */
#define GUEST_DATA_SIZE   0x1000 /* its end is the start of the stack */
#define GUEST_VCPUS_MAX   8

#define GUEST_PORT         0x80
#define GUEST_TIMER_VECTOR 0x40

/* Offsets in a vCPU's data: members of struct guest_data. */
#define GUEST_PVCLOCK       0x00
#define GUEST_PVCLOCK_READ  0x20
#define GUEST_PVCLOCK_WORDS 8
#define GUEST_TSC           0x40
#define GUEST_MSR_VALUE     0x48
#define GUEST_MSR_INDEX     0x50
#define GUEST_OPERATION     0x54
#define GUEST_DELAY         0x58
#define GUEST_DEADLINE      0x60
#define GUEST_FIRED         0x68

#ifndef __ASSEMBLER__

#include <stddef.h>
#include <stdint.h>

/* As KVM writes it for the guest: arch/x86/include/asm/pvclock-abi.h. */
struct pvclock_page {
  uint32_t version;
  uint32_t pad0;
  uint64_t tsc_timestamp;
  uint64_t system_time;
  uint32_t tsc_to_system_mul;
  int8_t tsc_shift;
  uint8_t flags;
  uint8_t pad[2];
};

struct guest_data {
  struct pvclock_page pvclock;
  struct pvclock_page pvclock_read; /* what the guest found there at tsc_ticks */
  uint64_t tsc_ticks;               /* the guest's RDTSC */
  uint64_t msr_value;               /* to write, or as read */
  uint32_t msr_index;
  uint16_t operation; /* address of a label in the code segment */
  uint16_t pad;
  uint64_t delay_ticks;    /* from arming the timer to its deadline */
  uint64_t deadline_ticks; /* the deadline that was armed */
  uint64_t fired_ticks;    /* the guest's RDTSC as the interrupt came */
};

_Static_assert(sizeof (struct pvclock_page) == 4 * GUEST_PVCLOCK_WORDS, "the kernel's layout");
_Static_assert(offsetof (struct guest_data, pvclock) == GUEST_PVCLOCK, "guest-code.S");
_Static_assert(offsetof (struct guest_data, pvclock_read) == GUEST_PVCLOCK_READ, "guest-code.S");
_Static_assert(offsetof (struct guest_data, tsc_ticks) == GUEST_TSC, "guest-code.S");
_Static_assert(offsetof (struct guest_data, msr_value) == GUEST_MSR_VALUE, "guest-code.S");
_Static_assert(offsetof (struct guest_data, msr_index) == GUEST_MSR_INDEX, "guest-code.S");
_Static_assert(offsetof (struct guest_data, operation) == GUEST_OPERATION, "guest-code.S");
_Static_assert(offsetof (struct guest_data, delay_ticks) == GUEST_DELAY, "guest-code.S");
_Static_assert(offsetof (struct guest_data, deadline_ticks) == GUEST_DEADLINE, "guest-code.S");
_Static_assert(offsetof (struct guest_data, fired_ticks) == GUEST_FIRED, "guest-code.S");

extern const uint8_t guest_code_start[];
extern const uint8_t guest_code_end[];

/* Operations. The guest leaves to the host at the end of each. */
extern const uint8_t guest_read_clocks[]; /* pvclock_read and tsc_ticks, in one go */
extern const uint8_t guest_read_msr[];
extern const uint8_t guest_write_msr[];
extern const uint8_t guest_arm_timer[];     /* deadline_ticks = RDTSC + delay_ticks */
extern const uint8_t guest_wait_halted[];   /* until the timer's interrupt, in HLT */
extern const uint8_t guest_wait_spinning[]; /* until the timer's interrupt, without HLT */

extern const uint8_t guest_timer_interrupt[];

#endif
