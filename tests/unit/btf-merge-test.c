/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * btf-merge-test - a kernel's types and a module's, made by libbpf, and read by it as one
 */

#include "btf-merge.h"

#include <bpf/btf.h>
#include <linux/btf.h>
#include <string.h>

typedef struct {
  struct btf *kernel;
  struct btf *module;
} Fixture;

static GBytes *
get_raw (const struct btf *btf)
{
  guint32 size;
  const void *data = btf__raw_data (btf, &size);

  g_assert_nonnull (data);
  return g_bytes_new (data, size);
}

static void
set_up (Fixture *fixture, gconstpointer data)
{
  int int_id, file_id;

  fixture->kernel = btf__new_empty ();
  int_id = btf__add_int (fixture->kernel, "int", 4, BTF_INT_SIGNED);
  file_id = btf__add_struct (fixture->kernel, "file", 8);
  g_assert_cmpint (btf__add_field (fixture->kernel, "flags", int_id, 32, 0), ==, 0);

  /* it has a member of a type that is the kernel's, and names that are */
  fixture->module = btf__new_empty_split (fixture->kernel);
  g_assert_cmpint (btf__add_struct (fixture->module, "kvm", 16), >, file_id);
  g_assert_cmpint (btf__add_field (fixture->module, "file", file_id, 64, 0), ==, 0);
}

static void
tear_down (Fixture *fixture, gconstpointer data)
{
  btf__free (fixture->module);
  btf__free (fixture->kernel);
}

static const struct btf_type *
find_struct (const struct btf *btf, const char *name)
{
  int id = btf__find_by_name_kind (btf, name, BTF_KIND_STRUCT);

  g_assert_cmpint (id, >, 0);
  return btf__type_by_id (btf, (guint32) id);
}

static void
test_merge (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GBytes) kernel = get_raw (fixture->kernel);
  g_autoptr (GBytes) module = get_raw (fixture->module);
  g_autoptr (GError) error = NULL;
  g_autoptr (GBytes) merged = btf_merge (kernel, module, &error);
  const struct btf_member *member;
  struct btf *btf;
  gsize size;
  const void *bytes;

  g_assert_no_error (error);
  bytes = g_bytes_get_data (merged, &size);
  btf = btf__new (bytes, (guint32) size);
  g_assert_nonnull (btf);
  g_assert_cmpuint (btf__type_cnt (btf), ==, btf__type_cnt (fixture->module));

  member = btf_members (find_struct (btf, "kvm"));
  g_assert_cmpstr (btf__name_by_offset (btf, member->name_off), ==, "file");
  g_assert_cmpuint (member->offset, ==, 64);
  g_assert_true (btf__type_by_id (btf, member->type) == find_struct (btf, "file"));
  member = btf_members (find_struct (btf, "file"));
  g_assert_cmpuint (member->offset, ==, 32);
  btf__free (btf);
}

static void
expect_invalid (GBytes *kernel, GBytes *module, const char *whose)
{
  g_autoptr (GError) error = NULL;

  g_assert_null (btf_merge (kernel, module, &error));
  g_assert_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL);
  g_assert_nonnull (strstr (error->message, whose));
}

/* @good with its header changed. */
static GBytes *
make_bad (GBytes *good, const struct btf_header *header)
{
  gsize size;
  const void *data = g_bytes_get_data (good, &size);
  guint8 *copy = g_memdup2 (data, size);

  memcpy (copy, header, sizeof *header);
  return g_bytes_new_take (copy, size);
}

static void
test_invalid (Fixture *fixture, gconstpointer data)
{
  g_autoptr (GBytes) kernel = get_raw (fixture->kernel);
  g_autoptr (GBytes) module = get_raw (fixture->module);
  g_autoptr (GBytes) empty = g_bytes_new (NULL, 0);
  g_autoptr (GBytes) part = g_bytes_new_from_bytes (module, 0, g_bytes_get_size (module) - 1);
  struct btf_header headers[6] = { { 0 } };

  expect_invalid (empty, module, "the kernel");
  expect_invalid (kernel, empty, "the module");
  expect_invalid (kernel, part, "the module");

  for (gsize i = 0; i < G_N_ELEMENTS (headers); i++)
    memcpy (&headers[i], g_bytes_get_data (kernel, NULL), sizeof headers[i]);
  headers[0].magic++;
  headers[1].version++;
  headers[2].hdr_len = 0;
  headers[3].hdr_len = G_MAXUINT32;
  headers[4].type_off = G_MAXUINT32;
  headers[5].str_len = G_MAXUINT32;
  for (gsize i = 0; i < G_N_ELEMENTS (headers); i++) {
    g_autoptr (GBytes) bad = make_bad (kernel, &headers[i]);

    expect_invalid (bad, module, "the kernel");
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add ("/btf-merge/merge", Fixture, NULL, set_up, test_merge, tear_down);
  g_test_add ("/btf-merge/invalid", Fixture, NULL, set_up, test_invalid, tear_down);
  return g_test_run ();
}
