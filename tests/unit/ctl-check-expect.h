/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * ctl-check-expect - what a list of checks has to have in it
 */

#include "host-check.h"

/* The result called @id, or NULL. */
const CheckResult *check_expect_find (const CheckList *list, const char *id);

/*
 * @id is in @list with @status; its finding has @finding in it, and its remedy is @remedy. NULL for
 * @finding: anything; for @remedy: none.
 */
void check_expect (const CheckList *list, const char *id, CheckStatus status, const char *finding,
                   const char *remedy);

/* @id is not in @list. */
void check_expect_none (const CheckList *list, const char *id);

/*
 * Every remedy begins, and goes on after each &&, with a command that this host has, that sh knows
 * itself, or that comes with what the remedy is about.
 */
void check_expect_commands (const CheckList *list);
