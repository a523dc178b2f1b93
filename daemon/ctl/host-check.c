/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host-check.h"

#include <glib/gi18n.h>

struct CheckList {
  const CheckCallbacks *callbacks;
  gpointer user_data;
  GPtrArray *results; /* of CheckResult */
  GString *skipped;   /* subjects, with separators */

  /* the check that has begun, NULL between two */
  const char *id;
  char *subject;
};

static const char *const status_names[] = {
  [CHECK_OK] = "ok",
  [CHECK_WARNING] = "warning",
  [CHECK_FAILURE] = "failure",
};

static void
check_result_free (CheckResult *result)
{
  g_free (result->id);
  g_free (result->subject);
  g_free (result->finding);
  g_free (result->remedy);
  g_free (result);
}

static void
end_check (CheckList *list)
{
  list->id = NULL;
  g_clear_pointer (&list->subject, g_free);
}

static void add_result (CheckList *list, CheckStatus status, const char *remedy, const char *format,
                        va_list values) G_GNUC_PRINTF (4, 0);

static void
add_result (CheckList *list, CheckStatus status, const char *remedy, const char *format,
            va_list values)
{
  CheckResult *result;

  g_return_if_fail (list->id != NULL);

  result = g_new0 (CheckResult, 1);
  result->id = g_strdup (list->id);
  result->status = status;
  result->subject = g_steal_pointer (&list->subject);
  result->finding = g_strdup_vprintf (format, values);
  result->remedy = g_strdup (remedy);
  g_ptr_array_add (list->results, result);
  end_check (list);
  if (list->callbacks != NULL && list->callbacks->found != NULL)
    list->callbacks->found (result, list->user_data);
}

/* public functions */

const char *
check_status_name (CheckStatus status)
{
  g_return_val_if_fail ((guint) status < G_N_ELEMENTS (status_names), "failure");
  return status_names[status];
}

CheckList *
check_list_new (const CheckCallbacks *callbacks, gpointer user_data)
{
  CheckList *list = g_new0 (CheckList, 1);

  list->callbacks = callbacks;
  list->user_data = user_data;
  list->results = g_ptr_array_new_with_free_func ((GDestroyNotify) check_result_free);
  list->skipped = g_string_new (NULL);
  return list;
}

void
check_list_free (CheckList *list)
{
  end_check (list);
  g_ptr_array_unref (list->results);
  g_string_free (list->skipped, TRUE);
  g_free (list);
}

void
check_list_begin (CheckList *list, const char *id, const char *subject)
{
  g_return_if_fail (list->id == NULL);

  list->id = id;
  list->subject = g_strdup (subject);
  if (list->callbacks != NULL && list->callbacks->begun != NULL)
    list->callbacks->begun (subject, list->user_data);
}

void
check_list_ok (CheckList *list, const char *format, ...)
{
  va_list values;

  va_start (values, format);
  add_result (list, CHECK_OK, NULL, format, values);
  va_end (values);
}

void
check_list_warn (CheckList *list, const char *remedy, const char *format, ...)
{
  va_list values;

  va_start (values, format);
  add_result (list, CHECK_WARNING, remedy, format, values);
  va_end (values);
}

void
check_list_fail (CheckList *list, const char *remedy, const char *format, ...)
{
  va_list values;

  va_start (values, format);
  add_result (list, CHECK_FAILURE, remedy, format, values);
  va_end (values);
}

void
check_list_drop (CheckList *list)
{
  g_return_if_fail (list->id != NULL);
  end_check (list);
}

void
check_list_skip (CheckList *list)
{
  g_return_if_fail (list->id != NULL);
  if (list->skipped->len > 0)
    /* TRANSLATORS: between the items of a list */
    g_string_append (list->skipped, _ (", "));
  g_string_append (list->skipped, list->subject);
  end_check (list);
}

void
check_list_finish (CheckList *list, const char *remedy)
{
  if (list->skipped->len == 0)
    return;
  check_list_begin (list, "not-root", _ ("not looked at"));
  /* TRANSLATORS: %s is a list of things that were not checked */
  check_list_warn (list, remedy, _ ("only root may look at these: %s"), list->skipped->str);
  g_string_truncate (list->skipped, 0);
}

const GPtrArray *
check_list_get_results (const CheckList *list)
{
  return list->results;
}

CheckStatus
check_list_get_status (const CheckList *list)
{
  CheckStatus worst = CHECK_OK;

  for (guint i = 0; i < list->results->len; i++) {
    const CheckResult *result = g_ptr_array_index (list->results, i);

    worst = MAX (worst, result->status);
  }
  return worst;
}

const CheckResult *
check_list_find_first (const CheckList *list, CheckStatus status)
{
  for (guint i = 0; i < list->results->len; i++) {
    const CheckResult *result = g_ptr_array_index (list->results, i);

    if (result->status >= status)
      return result;
  }
  return NULL;
}
