/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * bus-prose - skeletons that tell who introspects them what their interface and its members mean
 *
 * The words are the comments of data/org.clockferry1.xml, as annotations org.gtk.GDBus.DocString.
 */

#include <gio/gio.h>

/*
 * A type like @skeleton_type, which gdbus-codegen made for @interface of that file. Generated code
 * that asks such a skeleton for its description takes it for one that was generated: so a skeleton
 * with methods must handle them by itself, in get_vtable, and belongs into a plain
 * GDBusObjectSkeleton.
 */
GType bus_prose_derive (GType skeleton_type, const char *interface);
