/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Says whether it runs in secure-execution mode (ld.so(8)), and whether the library named by its
 * argument was loaded into it. For at-secure-test.
 */

#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

struct search {
  const char *name;
  bool found;
};

static int
compare_object (struct dl_phdr_info *object, size_t size, void *user_data)
{
  struct search *search = user_data;
  const char *slash = strrchr (object->dlpi_name, '/');

  search->found |= slash != NULL && strcmp (slash + 1, search->name) == 0;
  return 0;
}

int
main (int argc, char **argv)
{
  struct search search = { .name = argc == 2 ? argv[1] : "" };

  dl_iterate_phdr (compare_object, &search);
  printf ("%s, %s\n", getauxval (AT_SECURE) != 0 ? "secure" : "plain",
          search.found ? "loaded" : "not loaded");
  return EXIT_SUCCESS;
}
