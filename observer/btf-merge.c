/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "btf-merge.h"

#include <linux/btf.h>
#include <string.h>

typedef struct {
  struct btf_header header;
  const guint8 *types;
  const guint8 *strings;
} BtfParts;

static gboolean
parse (GBytes *btf, const char *what, BtfParts *parts, GError **error)
{
  gsize size;
  const guint8 *data = g_bytes_get_data (btf, &size);
  guint64 end;

  if (size >= sizeof parts->header) {
    memcpy (&parts->header, data, sizeof parts->header);
    end = parts->header.hdr_len;
    if (parts->header.magic == BTF_MAGIC && parts->header.version == BTF_VERSION &&
        parts->header.hdr_len >= sizeof parts->header &&
        end + parts->header.type_off + parts->header.type_len <= size &&
        end + parts->header.str_off + parts->header.str_len <= size) {
      parts->types = data + end + parts->header.type_off;
      parts->strings = data + end + parts->header.str_off;
      return TRUE;
    }
  }
  g_set_error (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "the BTF of %s is not valid", what);
  return FALSE;
}

GBytes *
btf_merge (GBytes *base, GBytes *split, GError **error)
{
  BtfParts first;
  BtfParts second;
  struct btf_header header = {
    .magic = BTF_MAGIC,
    .version = BTF_VERSION,
    .hdr_len = sizeof header,
  };
  guint64 type_len;
  guint64 str_len;
  GByteArray *merged;

  if (!parse (base, "the kernel", &first, error) || !parse (split, "the module", &second, error))
    return NULL;
  type_len = (guint64) first.header.type_len + second.header.type_len;
  str_len = (guint64) first.header.str_len + second.header.str_len;
  if (type_len + str_len > G_MAXUINT32) {
    g_set_error_literal (error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "the kernel's BTF is too long");
    return NULL;
  }
  header.type_len = (guint32) type_len;
  header.str_off = header.type_len;
  header.str_len = (guint32) str_len;

  merged = g_byte_array_sized_new ((guint) (sizeof header + type_len + str_len));
  g_byte_array_append (merged, (const guint8 *) &header, sizeof header);
  g_byte_array_append (merged, first.types, first.header.type_len);
  g_byte_array_append (merged, second.types, second.header.type_len);
  g_byte_array_append (merged, first.strings, first.header.str_len);
  g_byte_array_append (merged, second.strings, second.header.str_len);
  return g_byte_array_free_to_bytes (merged);
}
