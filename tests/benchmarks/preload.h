/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * preload - this program as a QEMU that was started with the helper
 *
 * libclockferry-qemu.so as it was built, by LD_PRELOAD, in a process with -uuid on its command line
 * and a $HOME of its own: what the helper does here it does inside QEMU.
 */

#include <stdbool.h>
#include <stdint.h>

typedef int (*PreloadIoctl) (int fd, unsigned long request, ...);

typedef struct {
  PreloadIoctl helper; /* what QEMU's calls of ioctl(2) come to */
  PreloadIoctl stock;  /* what they would come to without the helper */
  bool keeps_offsets;  /* KVM drops TSC offsets here, and kept-offsets.so keeps them, in both */
} Preload;

/*
 * Start this program anew with the helper, unless it has been by now, and say where the two ways to
 * ioctl(2) are. @needs_offsets: TSC offsets must be kept. Ends the program with 77, a skip, where there is no KVM to be had, or one of a
 * kernel before 5.16. @argc and @argv are main()'s.
 */
void preload_begin (int argc, char **argv, bool needs_offsets, Preload *preload);

/* The domain that the helper belongs to. */
extern const uint8_t preload_domain[16];

/* Connect to the helper as its daemon; QEMU must have a VM. */
int preload_connect (void);

/* Clear up at the end of the program. */
void preload_end (void);
