/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * ctl-check-bus - services on a private bus that answer from a table
 *
 * They answer from a thread of their own, so that a test may make synchronous calls.
 */

#include <gio/gio.h>

#include "ctl-check-fixture.h"

typedef struct CheckBus CheckBus;

CheckBus *check_bus_start (void);
void check_bus_end (CheckBus *bus);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CheckBus, check_bus_end)

/* A client's connection to it. Borrowed. */
GDBusConnection *check_bus_get_client (CheckBus *bus);

/* Take the name @name on the bus. */
void check_bus_own (CheckBus *bus, const char *name);

/*
 * Answer calls of @member on @path whose arguments are @argument, with slashes between, texts as they
 * are and all else as g_variant_print() has it, NULL for any, with @reply, a tuple that is consumed.
 * Later answers replace earlier ones to the same call.
 */
void check_bus_answer (CheckBus *bus, const char *path, const char *member, const char *argument,
                       GVariant *reply);

/* The same with an error; what has no answer is org.freedesktop.DBus.Error.UnknownMethod. */
void check_bus_fail (CheckBus *bus, const char *path, const char *member, const char *argument,
                     const char *error_name, const char *message);

/* How often @member was called. */
guint check_bus_count (CheckBus *bus, const char *member);

/* systemd */

/* Have the unit @name, as systemd tells of it; @load_state "not-found" for one that is not there.
 * The name org.freedesktop.systemd1 must be taken. */
void check_bus_set_unit (CheckBus *bus, const char *name, const char *load_state,
                         const char *active_state, const char *file_state, const char *result,
                         gint64 state_change_us);

/* No unit at all is there but those that are set after this. */
void check_bus_set_systemd (CheckBus *bus);

/* Jobs of ReloadUnit end as @result, "done" for instance. */
void check_bus_set_job_result (CheckBus *bus, const char *result);

/* For g_test_add() of a CheckFixture, in place of check_fixture_set_up() and so on: with a bus, and
 * systemd on it. */
void check_bus_set_up (CheckFixture *fixture, gconstpointer data);
void check_bus_tear_down (CheckFixture *fixture, gconstpointer data);
