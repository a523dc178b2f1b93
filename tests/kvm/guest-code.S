/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The tiny guest: see guest-code.h. CS:0 is guest_code_start; DS, ES and SS are the vCPU's data. */

#include "guest-code.h"

/* x2APIC registers, as MSRs */
#define X2APIC_EOI       0x80b
#define X2APIC_SPURIOUS  0x80f
#define X2APIC_LVT_TIMER 0x832

#define SPURIOUS_APIC_ENABLED   0x100
#define SPURIOUS_VECTOR         0xff
#define LVT_TIMER_TSC_DEADLINE  0x40000
#define MSR_TSC_DEADLINE        0x6e0

	.section .rodata
	.code16
	.macro label name
	.globl \name
	.hidden \name
\name:
	.endm

label guest_code_start
dispatch:
	jmp	*GUEST_OPERATION

leave_to_host:
	outb	%al, $GUEST_PORT
	jmp	dispatch

/* The version is odd while KVM writes the page, and another one after. */
label guest_read_clocks
	movl	GUEST_PVCLOCK, %ebx
	testb	$1, %bl
	jnz	guest_read_clocks
	rdtsc
	movl	%eax, GUEST_TSC
	movl	%edx, GUEST_TSC + 4
	cld
	movw	$GUEST_PVCLOCK, %si
	movw	$GUEST_PVCLOCK_READ, %di
	movw	$GUEST_PVCLOCK_WORDS, %cx
	rep movsl
	cmpl	GUEST_PVCLOCK, %ebx
	jne	guest_read_clocks
	jmp	leave_to_host

label guest_read_msr
	movl	GUEST_MSR_INDEX, %ecx
	rdmsr
	movl	%eax, GUEST_MSR_VALUE
	movl	%edx, GUEST_MSR_VALUE + 4
	jmp	leave_to_host

label guest_write_msr
	movl	GUEST_MSR_INDEX, %ecx
	movl	GUEST_MSR_VALUE, %eax
	movl	GUEST_MSR_VALUE + 4, %edx
	wrmsr
	jmp	leave_to_host

label guest_arm_timer
	xorl	%edx, %edx
	movl	$X2APIC_SPURIOUS, %ecx
	movl	$(SPURIOUS_APIC_ENABLED | SPURIOUS_VECTOR), %eax
	wrmsr
	movl	$X2APIC_LVT_TIMER, %ecx
	movl	$(LVT_TIMER_TSC_DEADLINE | GUEST_TIMER_VECTOR), %eax
	wrmsr
	rdtsc
	addl	GUEST_DELAY, %eax
	adcl	GUEST_DELAY + 4, %edx
	movl	%eax, GUEST_DEADLINE
	movl	%edx, GUEST_DEADLINE + 4
	movl	$MSR_TSC_DEADLINE, %ecx
	wrmsr
	jmp	leave_to_host

label guest_wait_halted
	sti
1:	hlt
	jmp	1b

label guest_wait_spinning
	sti
1:	pause
	jmp	1b

/* Comes once, and does not return to what it interrupted. */
label guest_timer_interrupt
	rdtsc
	movl	%eax, GUEST_FIRED
	movl	%edx, GUEST_FIRED + 4
	xorl	%eax, %eax
	xorl	%edx, %edx
	movl	$X2APIC_EOI, %ecx
	wrmsr
	jmp	leave_to_host

label guest_code_end

	.section .note.GNU-stack, "", @progbits
