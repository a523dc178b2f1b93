/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * hook-filter - put the helper into a domain's QEMU environment, or take it out
 *
 * libvirt runs a domain's QEMU with the environment of its <qemu:commandline>. The setting is kept
 * in the live XML and travels with the domain, so what is found here may be this project's own, of
 * another version or for a host that has the helper elsewhere or not at all.
 */

enum hook_action {
  HOOK_ADD_HELPER, /* whether it is there already or not */
  HOOK_REMOVE_HELPER,
};

enum hook_result {
  HOOK_UNCHANGED, /* nothing to do */
  HOOK_CHANGED,   /* *output is the whole new document */
  HOOK_IN_DOUBT,  /* *reason says why the document is better left alone */
};

/*
 * Apply @action to the domain in @xml, @size bytes from whoever called. @soname is the helper's, a
 * bare file name. On HOOK_CHANGED, *@output is @output_size bytes to be freed with free(); a
 * constant clause is in *@reason on HOOK_IN_DOUBT. Nothing outside the document is read.
 */
enum hook_result hook_filter_apply (const char *xml, size_t size, enum hook_action action,
                                    const char *soname, char **output, size_t *output_size,
                                    const char **reason);

/* Whether LD_PRELOAD's @entry is the helper, in any folder and of any version. */
bool hook_filter_is_helper (const char *entry, size_t length, const char *soname);
