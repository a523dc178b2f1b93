/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check-host.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <gnutls/x509.h>
#include <pwd.h>
#include <sys/stat.h>
#include <time.h>

#include "build-config.h"
#include "check-command.h"
#include "check-remedy.h"
#include "identity.h"
#include "peer-authority.h"
#include "x509.h"

#define RESTART "systemctl restart clockferryd"

#define DAY_S           (24 * 60 * 60)
#define EXPIRY_NOTICE_S (30 * DAY_S)

typedef struct {
  gboolean is_given; /* of an authority; else the daemon has made it */
  char *key_path;
  char *cert_path;
} Files;

static void
files_find (const CheckHost *host, Files *files)
{
  const Settings *settings = host->settings;

  files->is_given = settings->certificate_authority != NULL;
  if (files->is_given) {
    files->key_path = check_host_path (host, settings->private_key);
    files->cert_path = check_host_path (host, settings->certificate);
  } else {
    files->key_path = check_host_path (host, CLOCKFERRY_STATE_DIR "/" IDENTITY_KEY_FILE);
    files->cert_path = check_host_path (host, CLOCKFERRY_STATE_DIR "/" IDENTITY_CERT_FILE);
  }
}

static void
files_clear (Files *files)
{
  g_free (files->key_path);
  g_free (files->cert_path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Files, files_clear)

/* the key */

/* Only where the daemon's user exists can it be tried. */
static gboolean
daemon_can_read (const CheckHost *host, const char *path)
{
  const char *const argv[] = { "test", "-r", path, NULL };
  const CommandTerms terms = { .user = CLOCKFERRY_USER };
  g_auto (CommandOutcome) outcome = { 0 };

  if (!host->is_root || getpwnam (CLOCKFERRY_USER) == NULL ||
      !check_command_run (argv, &terms, &outcome, NULL))
    return TRUE;
  return outcome.exit_status == 0;
}

/* One line about a key that cannot be looked at; TRUE: it was said. */
static gboolean
judge_missing_key (const CheckHost *host, const Files *files, int stat_errno, CheckList *list)
{
  if (stat_errno == 0)
    return FALSE;
  if (stat_errno == EACCES && !host->is_root)
    check_list_skip (list);
  else if (stat_errno != ENOENT || files->is_given)
    check_list_fail (list, NULL, "%s: %s", files->key_path, g_strerror (stat_errno));
  else if (host->daemon_runs)
    check_list_fail (list, RESTART, _ ("%s has gone since clockferryd was started"),
                     files->key_path);
  else
    check_list_warn (list, "systemctl start clockferryd",
                     _ ("not there yet: clockferryd makes it at its first start"));
  return TRUE;
}

static gboolean
judge_key_mode (const CheckHost *host, const Files *files, const struct stat *st, CheckList *list)
{
  /* a key that was given may be root's, and the daemon's by its group */
  mode_t forbidden = files->is_given ? S_IRWXO | S_IWGRP : S_IRWXO | S_IRWXG;
  g_autofree char *remedy = NULL;

  if ((st->st_mode & forbidden) != 0) {
    remedy = remedy_format ("chmod %s %s", files->is_given ? "o=,g-w" : "600", files->key_path);
    check_list_fail (list, remedy, _ ("others can read or change %s"), files->key_path);
    return TRUE;
  }
  if (daemon_can_read (host, files->key_path))
    return FALSE;
  if (files->is_given) {
    check_list_fail (list, NULL,
                     _ ("the user %s may not read %s: give PrivateKey= a copy that it may read"),
                     CLOCKFERRY_USER, files->key_path);
  } else {
    remedy = remedy_format ("chown " CLOCKFERRY_USER ": %s %s && " RESTART, files->key_path,
                            files->cert_path);
    check_list_fail (list, remedy, _ ("the user %s may not read %s"), CLOCKFERRY_USER,
                     files->key_path);
  }
  return TRUE;
}

static void
judge_pair (const CheckHost *host, const Files *files, GTlsCertificate *identity,
            const GError *error, CheckList *list)
{
  const char *running_pin = check_host_get_manager_text (host, "Pin");
  g_autofree char *pin = identity != NULL ? identity_pin (identity, NULL) : NULL;
  g_autofree char *remedy = NULL;

  if (identity == NULL && files->is_given) {
    check_list_fail (list, NULL, "%s", error->message);
  } else if (identity == NULL) {
    remedy = remedy_format ("rm -f %s %s && " RESTART, files->key_path, files->cert_path);
    check_list_fail (list, remedy, "%s", error->message);
  } else if (running_pin != NULL && g_strcmp0 (pin, running_pin) != 0) {
    check_list_warn (list, RESTART,
                     _ ("clockferryd runs with another key: it was changed since the start"));
  } else if (files->is_given) {
    check_list_ok (list, "%s", files->key_path);
  } else {
    check_list_ok (list, _ ("made by clockferryd"));
  }
}

/* Returns the certificate with its key, or NULL. */
static GTlsCertificate *
check_key (const CheckHost *host, const Files *files, CheckList *list)
{
  g_autoptr (GError) error = NULL;
  GTlsCertificate *identity;
  struct stat st;
  int stat_errno = stat (files->key_path, &st) < 0 ? errno : 0;

  check_list_begin (list, "key", _ ("private key"));
  if (judge_missing_key (host, files, stat_errno, list) || judge_key_mode (host, files, &st, list))
    return NULL;
  identity = identity_load_files (files->cert_path, files->key_path, &error);
  if (identity == NULL && !host->is_root &&
      g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_ACCES))
    check_list_skip (list);
  else
    judge_pair (host, files, identity, error, list);
  return identity;
}

/* certificates of an authority */

static char *
format_day (time_t when)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_local (when);

  return time != NULL ? g_date_time_format (time, "%F") : g_strdup ("?");
}

/* TRUE: it is out of its time, or soon will be, and that was said. */
static gboolean
judge_time (X509Cert cert, CheckList *list)
{
  time_t now = time (NULL);
  time_t from = gnutls_x509_crt_get_activation_time (cert);
  time_t until = gnutls_x509_crt_get_expiration_time (cert);
  g_autofree char *from_day = format_day (from);
  g_autofree char *until_day = format_day (until);

  if (now < from)
    check_list_fail (list, NULL, _ ("not valid before %s: is this host's clock right?"), from_day);
  else if (now >= until)
    check_list_fail (list, NULL, _ ("expired on %s: have the authority issue a new one"),
                     until_day);
  else if (until - now < EXPIRY_NOTICE_S)
    check_list_warn (list, NULL, _ ("expires on %s: have the authority issue a new one"),
                     until_day);
  else
    return FALSE;
  return TRUE;
}

static void
judge_certificate (const CheckHost *host, GTlsCertificate *identity, X509Cert cert, CheckList *list)
{
  g_autofree char *authority_path = check_host_path (host, host->settings->certificate_authority);
  g_autofree char *until = format_day (gnutls_x509_crt_get_expiration_time (cert));
  g_autoptr (GError) error = NULL;
  g_autoptr (PeerAuthority) authority = peer_authority_new (
    authority_path, (const char *const *) host->settings->allowed_peers, identity, &error);

  if (authority == NULL)
    check_list_fail (list, NULL, "%s", error->message);
  else
    check_list_ok (list, _ ("valid until %s, and issued by the authority"), until);
}

static void
check_certificate (const CheckHost *host, GTlsCertificate *identity, CheckList *list)
{
  g_auto (X509Cert) cert = NULL;
  g_autoptr (GError) error = NULL;

  check_list_begin (list, "certificate", _ ("certificate"));
  if (!x509_import_tls (identity, &cert, &error))
    check_list_fail (list, NULL, "%s", error->message);
  else if (!judge_time (cert, list))
    judge_certificate (host, identity, cert, list);
}

static void
check_authority (const CheckHost *host, CheckList *list)
{
  g_autofree char *path = check_host_path (host, host->settings->certificate_authority);
  g_autofree char *pem = NULL;
  g_autofree char *until = NULL;
  g_auto (X509Cert) cert = NULL;
  g_autoptr (GError) error = NULL;

  check_list_begin (list, "certificate-authority", _ ("certificate authority"));
  if (!g_file_get_contents (path, &pem, NULL, &error)) {
    check_list_fail (list, NULL, "%s", error->message);
  } else if (!x509_import_cert (pem, &cert, &error)) {
    check_list_fail (list, NULL, "%s: %s", path, error->message);
  } else if (!judge_time (cert, list)) {
    until = format_day (gnutls_x509_crt_get_expiration_time (cert));
    check_list_ok (list, _ ("%s, valid until %s"), path, until);
  }
}

/* public functions */

void
check_identity (CheckHost *host, CheckList *list)
{
  g_auto (Files) files = { 0 };
  g_autoptr (GTlsCertificate) identity = NULL;

  if (host->settings == NULL)
    return; /* nobody knows which files these are */
  files_find (host, &files);
  identity = check_key (host, &files, list);
  if (!files.is_given)
    return; /* a certificate that the daemon made never expires, and nobody has to vouch for it */
  if (identity != NULL)
    check_certificate (host, identity, list);
  check_authority (host, list);
}
