/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * btf-merge - the types of the kernel and of one of its modules as one BTF
 *
 * A module's BTF is split: it goes on with the type numbers and string offsets of the kernel's own
 * (Documentation/bpf/btf.rst). libbpf looks for the types of modules by itself, but only by what the
 * kernel gives to CAP_SYS_ADMIN; as one BTF it takes them from a file.
 */

#include <glib.h>

/*
 * The BTF of @base, raw and of this machine's byte order, followed by that of @split, which goes on with it. NULL with
 * G_FILE_ERROR_INVAL when one of them is no BTF. What is inside is left to libbpf to check.
 */
GBytes *btf_merge (GBytes *base, GBytes *split, GError **error) G_GNUC_WARN_UNUSED_RESULT;
