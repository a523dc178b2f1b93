/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * helper-process - is this the QEMU of one of libvirt's domains, and which?
 *
 * The helper is loaded into whatever runs with libvirt's environment for the domain: a shell that
 * wraps the emulator, the emulator, its children. Only a process with -uuid on its command line and
 * an absolute $HOME counts; libvirt gives each domain its own $HOME. Capability probing has no
 * -uuid.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct helper_process {
  uint8_t domain[16];   /* UUID of -uuid, in the order of its text form */
  const char *home;     /* $HOME; owned by the environment */
  uint32_t refused_uid; /* peers with this uid are other QEMUs; 0 refuses none */
};

/*
 * Fill @process for this process. False, with @process undefined, if it is no QEMU of a domain, or
 * runs with more rights than its user has (set-user-ID).
 */
bool helper_process_identify (struct helper_process *process);

/*
 * The value of the last "-uuid" among the NUL-terminated arguments read from @fd, as QEMU takes it.
 * False if there is none or it is malformed.
 */
bool helper_process_find_uuid (int fd, uint8_t uuid[16]);

/* Parse the text form of a UUID: 36 characters, either case. */
bool helper_process_parse_uuid (const char *text, uint8_t uuid[16]);
