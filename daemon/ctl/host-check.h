/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * host-check - what `clockferryctl check` has looked at, and what it found
 *
 * A check begins, which is told as progress, and ends with one result: ok, warning or failure. The
 * result has the finding, a sentence for people, and where one exists the shell command that mends
 * it.
 */

#include <glib.h>

typedef enum {
  CHECK_OK,
  CHECK_WARNING, /* migrations are fixed, but less well, or not for every guest, or not for long */
  CHECK_FAILURE, /* migrations would be stock */
} CheckStatus;

/* "ok", "warning" or "failure": as in JSON, never translated. */
const char *check_status_name (CheckStatus status);

/* All for people but the id: translated. */
typedef struct {
  char *id; /* "kvm-tsc-offset": stable, unique within one list */
  CheckStatus status;
  char *subject; /* what was looked at: "TSC offset" */
  char *finding;
  char *remedy; /* a command line of sh; NULL: nothing to mend, or by no command */
} CheckResult;

typedef struct {
  /* A check of @subject begins. May be NULL. */
  void (*begun) (const char *subject, gpointer user_data);
  /* It ended. @result is the list's. May be NULL. */
  void (*found) (const CheckResult *result, gpointer user_data);
} CheckCallbacks;

typedef struct CheckList CheckList;

/* @callbacks is borrowed and may be NULL. */
CheckList *check_list_new (const CheckCallbacks *callbacks, gpointer user_data);
void check_list_free (CheckList *list);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CheckList, check_list_free)

/* @id is a constant, @subject is copied. What was begun before must have ended. */
void check_list_begin (CheckList *list, const char *id, const char *subject);

/* End what was begun with a finding. @remedy may be NULL, and is copied. */
void check_list_ok (CheckList *list, const char *format, ...) G_GNUC_PRINTF (2, 3);
void check_list_warn (CheckList *list, const char *remedy, const char *format, ...)
  G_GNUC_PRINTF (3, 4);
void check_list_fail (CheckList *list, const char *remedy, const char *format, ...)
  G_GNUC_PRINTF (3, 4);

/* End what was begun without a finding: it does not apply to this host. */
void check_list_drop (CheckList *list);

/*
 * End what was begun without a finding, as only root may look at it. check_list_finish() makes one
 * warning, "not-root", of all that was skipped.
 */
void check_list_skip (CheckList *list);

/* No check follows. @remedy is for what was skipped. */
void check_list_finish (CheckList *list, const char *remedy);

/* The results so far, of CheckResult, in order. Owned by @list. */
const GPtrArray *check_list_get_results (const CheckList *list);

/* The worst one's. */
CheckStatus check_list_get_status (const CheckList *list);

/* The first result of at least @status, or NULL. Owned by @list. */
const CheckResult *check_list_find_first (const CheckList *list, CheckStatus status);
