/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "installation.h"

#include <errno.h>
#include <gio/gio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl-config.h"

/* A program that does nothing, on every host. */
#define IDLE_PROGRAM "/bin/true"

/* Have ld.so load it into another process; *@said is what went to stderr. */
static gboolean
preload (const char *soname, char **said, GError **error)
{
  g_autoptr (GSubprocessLauncher) launcher =
    g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_SILENCE | G_SUBPROCESS_FLAGS_STDERR_PIPE);
  g_autoptr (GSubprocess) process = NULL;

  g_subprocess_launcher_unsetenv (launcher, "LD_LIBRARY_PATH");
  g_subprocess_launcher_setenv (launcher, "LD_PRELOAD", soname, TRUE);
  g_subprocess_launcher_setenv (launcher, "LC_ALL", "C", TRUE);
  process = g_subprocess_launcher_spawn (launcher, error, IDLE_PROGRAM, NULL);
  return process != NULL && g_subprocess_communicate_utf8 (process, NULL, NULL, NULL, said, error);
}

/* public functions */

HookState
installation_judge_hook (const char *path)
{
  struct stat status;

  if (stat (path, &status) != 0)
    return errno == EACCES ? HOOK_NOT_SEEN : HOOK_ABSENT;
  if (!S_ISREG (status.st_mode))
    return HOOK_ABSENT;
  /* libvirtd is root, to whom anybody's permission to execute is enough */
  return (status.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) != 0 ? HOOK_IN_PLACE
                                                               : HOOK_NOT_EXECUTABLE;
}

HelperState
installation_judge_helper (const char *path, const char *soname, char **problem)
{
  g_autofree char *said = NULL;
  g_autoptr (GError) error = NULL;

  if (problem != NULL)
    *problem = NULL;
  if (access (path, F_OK) != 0)
    return HELPER_ABSENT;
  if (preload (soname, &said, &error)) {
    if (said == NULL || strstr (said, soname) == NULL)
      return HELPER_IN_PLACE;
  }
  if (problem != NULL)
    *problem = g_strdup (g_strchomp (error != NULL ? error->message : said));
  return HELPER_NOT_FOUND;
}

HookState
installation_look_for_hook (void)
{
  return installation_judge_hook (CLOCKFERRY_HOOK_PATH);
}

HelperState
installation_look_for_helper (char **problem)
{
  return installation_judge_helper (CLOCKFERRY_HELPER_PATH, CLOCKFERRY_HELPER_SONAME, problem);
}

const char *
installation_hook_path (void)
{
  return CLOCKFERRY_HOOK_PATH;
}

const char *
installation_helper_path (void)
{
  return CLOCKFERRY_HELPER_PATH;
}

const char *
installation_helper_soname (void)
{
  return CLOCKFERRY_HELPER_SONAME;
}
