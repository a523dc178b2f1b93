/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * ctl-check-fixture - a host of a test's own: a folder for its files, and no bus
 */

#include "check-host.h"

typedef struct {
  struct CheckBus *bus;    /* for tests with one, which set it up themselves; else NULL */
  GDBusConnection *client; /* of that; borrowed */
  char *root;
  CheckHost *host;
  CheckList
    *list; /* of what has been looked at since the start, or since check_fixture_restart() */
} CheckFixture;

/* For g_test_add(). Tearing down sees that every remedy is a command. */
void check_fixture_set_up (CheckFixture *fixture, gconstpointer data);
void check_fixture_tear_down (CheckFixture *fixture, gconstpointer data);

/* Forget all that was found out: what is looked at next is looked at anew. */
void check_fixture_restart (CheckFixture *fixture);

/* Write a file of the host and return where it is. Owned by the caller. */
char *check_fixture_write (CheckFixture *fixture, const char *path, const char *text, int mode);

/* Read the host's settings, which must be valid. */
void check_fixture_load_settings (CheckFixture *fixture);
