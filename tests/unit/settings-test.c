/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <glib/gstdio.h>
#include <string.h>

#include "error.h"
#include "settings.h"
#include "temp-folder.h"

#define MAIN_FILE "clockferry.conf"

static Settings *
load (const char *folder, GError **error)
{
  g_autofree char *path = g_build_filename (folder, MAIN_FILE, NULL);

  return settings_load (path, error);
}

static void
write_file (const char *folder, const char *name, const char *text)
{
  g_autofree char *path = temp_folder_write (folder, name, text);
}

static Settings *
load_text (const char *folder, const char *text)
{
  g_autoptr (GError) error = NULL;
  Settings *settings;

  write_file (folder, MAIN_FILE, text);
  settings = load (folder, &error);
  g_assert_no_error (error);
  g_assert_nonnull (settings);
  return settings;
}

static void
assert_defaults (const Settings *settings)
{
  g_assert_null (settings->address);
  g_assert_null (settings->listen_address);
  g_assert_cmpuint (settings->port, ==, 16520);
  g_assert_cmpint (settings->host_clock, ==, HOST_CLOCK_AUTO);
  g_assert_cmpint (settings->mode, ==, SETTINGS_MODE_APPLY);
  g_assert_cmpuint (settings->max_advance_s, ==, 300);
  g_assert_null (settings->certificate_authority);
  g_assert_null (settings->certificate);
  g_assert_null (settings->private_key);
  g_assert_null (settings->allowed_peers);
}

static void
test_no_file (void)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autoptr (GError) error = NULL;
  g_autoptr (Settings) settings = load (folder, &error);

  g_assert_no_error (error);
  assert_defaults (settings);
}

static void
test_nothing_said (void)
{
  const char *const texts[] = { "", "\n", "# nothing\n", "[clockferry]\n",
                                "[clockferry]\n#Port=1\n" };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (TempFolder) folder = temp_folder_make ();
    g_autoptr (Settings) settings = load_text (folder, texts[i]);

    assert_defaults (settings);
  }
}

/* The file that is installed: as it is, and with every default it documents made explicit. */
static void
test_installed_file (void)
{
  g_autofree char *path = g_test_build_filename (G_TEST_DIST, "..", "..", "data", MAIN_FILE, NULL);
  g_autofree char *text = NULL;
  g_autoptr (GString) explicit_text = NULL;
  g_autoptr (GError) error = NULL;
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autoptr (Settings) as_installed = settings_load (path, &error);
  g_autoptr (Settings) as_documented = NULL;

  g_assert_no_error (error);
  assert_defaults (as_installed);

  g_assert_true (g_file_get_contents (path, &text, NULL, &error));
  explicit_text = g_string_new (text);
  g_assert_cmpuint (g_string_replace (explicit_text, "#Port", "Port", 1), ==, 1);
  g_assert_cmpuint (g_string_replace (explicit_text, "#HostClock", "HostClock", 1), ==, 1);
  g_assert_cmpuint (g_string_replace (explicit_text, "#Mode", "Mode", 1), ==, 1);
  g_assert_cmpuint (g_string_replace (explicit_text, "#MaxAdvanceSec", "MaxAdvanceSec", 1), ==, 1);
  as_documented = load_text (folder, explicit_text->str);
  assert_defaults (as_documented);
}

static void
test_every_key (void)
{
  const char *const peers[] = { "kvm?.a.org", "B", "2001:db8::*", NULL };
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autoptr (Settings)
    settings = load_text (folder, "[clockferry]\n"
                                  "Address = kvm1.example.org\n"
                                  "ListenAddress=2001:db8::1\n"
                                  "Port=\t1 \n"
                                  "HostClock=measure\n"
                                  "Mode=observe\n"
                                  "MaxAdvanceSec=400\n"
                                  "CertificateAuthority=/etc/pki/CA/ca.pem\n"
                                  "Certificate=/etc/clockferry/cert.pem\n"
                                  "PrivateKey=/etc/clockferry/key.pem\n"
                                  "AllowedPeers= kvm?.a.org,  B\t2001:db8::*,\n");

  g_assert_cmpstr (settings->address, ==, "kvm1.example.org");
  g_assert_cmpstr (settings->listen_address, ==, "2001:db8::1");
  g_assert_cmpuint (settings->port, ==, 1);
  g_assert_cmpint (settings->host_clock, ==, HOST_CLOCK_MEASURE);
  g_assert_cmpint (settings->mode, ==, SETTINGS_MODE_OBSERVE);
  g_assert_cmpuint (settings->max_advance_s, ==, 400);
  g_assert_cmpstr (settings->certificate_authority, ==, "/etc/pki/CA/ca.pem");
  g_assert_cmpstr (settings->certificate, ==, "/etc/clockferry/cert.pem");
  g_assert_cmpstr (settings->private_key, ==, "/etc/clockferry/key.pem");
  g_assert_cmpstrv (settings->allowed_peers, peers);
}

/* drop-ins */

static void
test_drop_in_order (void)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autoptr (GError) error = NULL;
  g_autoptr (Settings) settings = NULL;

  write_file (folder, MAIN_FILE, "[clockferry]\nPort=1\nMaxAdvanceSec=1\nAddress=main\n");
  write_file (folder, MAIN_FILE ".d/50-b.conf", "[clockferry]\nPort=50\nAddress=fifty\n");
  write_file (folder, MAIN_FILE ".d/9-a.conf", "[clockferry]\nPort=9\n");
  write_file (folder, MAIN_FILE ".d/10-c.conf", "[clockferry]\nPort=10\nAddress=ten\n");
  write_file (folder, MAIN_FILE ".d/99-z.conf.dpkg-old", "[clockferry]\nPort=99\n");
  write_file (folder, MAIN_FILE ".d/README", "no configuration\n");
  settings = load (folder, &error);

  g_assert_no_error (error);
  /* strcmp order: "9-" comes after "10-" and "50-" */
  g_assert_cmpuint (settings->port, ==, 9);
  g_assert_cmpstr (settings->address, ==, "fifty");
  g_assert_cmpuint (settings->max_advance_s, ==, 1);
}

static void
test_drop_in_alone (void)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autoptr (GError) error = NULL;
  g_autoptr (Settings) settings = NULL;

  write_file (folder, MAIN_FILE ".d/x.conf", "[clockferry]\nPort=7\n");
  settings = load (folder, &error);
  g_assert_no_error (error);
  g_assert_cmpuint (settings->port, ==, 7);
}

static void
test_drop_in_named (void)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autoptr (GError) error = NULL;
  g_autoptr (Settings) settings = NULL;

  write_file (folder, MAIN_FILE, "[clockferry]\nPort=1\n");
  write_file (folder, MAIN_FILE ".d/x.conf", "[clockferry]\n\nPort=0\n");
  settings = load (folder, &error);
  g_assert_null (settings);
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_SETTING);
  g_assert_nonnull (strstr (error->message, "/" MAIN_FILE ".d/x.conf:3: "));
}

static void
test_unreadable (void)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autofree char *path = g_build_filename (folder, MAIN_FILE, NULL);
  g_autoptr (GError) error = NULL;
  g_autoptr (Settings) settings = NULL;

  /* a folder in its place: unreadable for root too */
  g_assert_cmpint (g_mkdir (path, 0700), ==, 0);
  settings = load (folder, &error);
  g_assert_null (settings);
  g_assert_error (error, G_FILE_ERROR, G_FILE_ERROR_ISDIR);
  g_assert_nonnull (strstr (error->message, path));
}

/* refusals */

typedef struct {
  const char *name;
  const char *text;
  guint line;
  const char *said[2]; /* in the message, up to two */
} Refusal;

static const Refusal refusals[] = {
  { "unknown-key", "[clockferry]\nPort=1\nVerbose=2\n", 3, { "no setting Verbose" } },
  { "misspelt",
    "[clockferry]\nMaxAdvanceSecs=2\n",
    2,
    { "no setting MaxAdvanceSecs; did you mean MaxAdvanceSec?" } },
  { "letters-swapped", "[clockferry]\nProt=2\n", 2, { "no setting Prot; did you mean Port?" } },
  { "letters-left-out",
    "[clockferry]\nAllowPeers=a\n",
    2,
    { "no setting AllowPeers; did you mean AllowedPeers?" } },
  { "key-of-other-case", "[clockferry]\nport=1\n", 2, { "no setting port; did you mean Port?" } },
  { "localised-key", "[clockferry]\nPort[de]=1\n", 2, { "Port[de]" } },
  { "unknown-section", "# one\n\n[Clockferry]\nPort=1\n", 3, { "[Clockferry]", "[clockferry]" } },
  { "second-section", "[clockferry]\nPort=1\n[other]\n", 3, { "[other]" } },
  { "port-0", "[clockferry]\nPort=0\n", 2, { "Port=0", "1 to 65535" } },
  { "port-too-large", "[clockferry]\n\n Port = 65536\n", 3, { "65536", "1 to 65535" } },
  { "port-negative", "[clockferry]\nPort=-1\n", 2, { "-1", "1 to 65535" } },
  { "port-word", "[clockferry]\nPort=https\n", 2, { "https", "1 to 65535" } },
  { "port-empty", "[clockferry]\nPort=\n", 2, { "Port=:", "1 to 65535" } },
  { "mode", "[clockferry]\nMode=Apply\n", 2, { "Mode=Apply", "apply, observe" } },
  { "host-clock", "[clockferry]\nHostClock=ntp\n", 2, { "ntp", "auto, trust, measure" } },
  { "max-advance-0", "[clockferry]\nMaxAdvanceSec=0\n", 2, { "1 to 400" } },
  { "max-advance-401", "[clockferry]\nMaxAdvanceSec=401\n", 2, { "401", "1 to 400" } },
  { "listen-name", "[clockferry]\nListenAddress=localhost\n", 2, { "localhost", "IP address" } },
  { "address", "[clockferry]\nAddress=kvm1 kvm2\n", 2, { "kvm1 kvm2", "host name" } },
  { "address-xml", "[clockferry]\nAddress=<a>\n", 2, { "host name" } },
  /* the last of two is the one that counts, so it is the one to name */
  { "said-twice", "[clockferry]\nPort=1\nMode=apply\nPort=x\n", 4, { "Port=x" } },
  { "authority-relative", "[clockferry]\nCertificateAuthority=ca.pem\n", 2, { "absolute path" } },
  { "certificate-empty", "[clockferry]\nCertificate=\n", 2, { "Certificate=:", "absolute" } },
  { "private-key", "[clockferry]\nPrivateKey=~/key.pem\n", 2, { "~/key.pem", "absolute" } },
  { "peers-none", "[clockferry]\nAllowedPeers= , \n", 2, { "host names" } },
  { "peers-class", "[clockferry]\nAllowedPeers=kvm[12]\n", 2, { "kvm[12]", "host names" } },
  { "prefix-of-a-key", "[clockferry]\nPorts=1\nPort=0\n", 2, { "no setting Ports" } },
  /* the first of two as well, though it would not be in force */
  { "overridden", "[clockferry]\nPort=x\nPort=1\n", 2, { "Port=x" } },
  { "later-section", "[clockferry]\nPort=1\n[clockferry]\n Port = y\n", 4, { "Port=y" } },
  /* what looks like the line in question, before it */
  { "commented-out", "[clockferry]\n#Port=x\n # Port=x\nMode=apply\nPort=x\n", 5, { "Port=x" } },
  { "dos-lines", "[clockferry]\r\nPort=1\r\nPort=x\r\n", 3, { "Port=x: must" } },
  { "no-section", "# a\nPort=1\n", 2, { "Port=1", "[clockferry]" } },
  { "no-equals", "[clockferry]\nPort\n", 2, { "\"Port\"", "KEY=VALUE" } },
  { "no-key", "[clockferry]\n = 1\n", 2, { "KEY=VALUE" } },
  { "open-section", "\n[clockferry\n", 2, { "\"[clockferry\"", "]" } },
  { "not-utf-8", "[clockferry]\nAddress=kvm\xff\n", 2, { "UTF-8" } },
};

static void
test_refusal (gconstpointer data)
{
  const Refusal *refusal = data;
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autofree char *place = g_strdup_printf ("%s/" MAIN_FILE ":%u: ", folder, refusal->line);
  g_autoptr (GError) error = NULL;
  g_autoptr (Settings) settings = NULL;

  write_file (folder, MAIN_FILE, refusal->text);
  settings = load (folder, &error);
  g_assert_null (settings);
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_SETTING);
  g_test_message ("%s", error->message);
  g_assert_true (g_str_has_prefix (error->message, place));
  for (gsize i = 0; i < G_N_ELEMENTS (refusal->said) && refusal->said[i] != NULL; i++)
    g_assert_nonnull (strstr (error->message, refusal->said[i]));
}

/* Keys that want others are not a matter of one line, nor of one file. */
static void
test_together (void)
{
  const struct {
    const char *text;
    const char *said; /* NULL: that is all that is needed */
  } texts[] = {
    { "CertificateAuthority=/a\n", "x.conf:2: CertificateAuthority= needs Certificate= too" },
    { "CertificateAuthority=/a\nCertificate=/c\n", "needs PrivateKey= too" },
    { "CertificateAuthority=/a\nPrivateKey=/k\n", "needs Certificate= too" },
    { "CertificateAuthority=/a\nAllowedPeers=b\n", "CertificateAuthority= needs Certificate= too" },
    { "Certificate=/c\nPrivateKey=/k\n", "Certificate= needs CertificateAuthority= too" },
    { "PrivateKey=/k\n", "PrivateKey= needs CertificateAuthority= too" },
    { "Mode=apply\nAllowedPeers=b\n", "x.conf:3: AllowedPeers= needs CertificateAuthority= too" },
    { "CertificateAuthority=/a\nCertificate=/c\nPrivateKey=/k\n", NULL },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (TempFolder) folder = temp_folder_make ();
    g_autofree char *text = g_strconcat ("[clockferry]\n", texts[i].text, NULL);
    g_autoptr (GError) error = NULL;
    g_autoptr (Settings) settings = NULL;

    write_file (folder, MAIN_FILE ".d/x.conf", text);
    settings = load (folder, &error);
    if (texts[i].said == NULL) {
      g_assert_no_error (error);
      continue;
    }
    g_assert_null (settings);
    g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_SETTING);
    g_assert_true (g_str_has_prefix (error->message, folder));
    g_assert_nonnull (strstr (error->message, texts[i].said));
  }
}

static void
test_not_text (void)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autofree char *path = g_build_filename (folder, MAIN_FILE, NULL);
  const char bytes[] = "[clockferry]\nPort=1\n\0Port=x\n";
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_set_contents (path, bytes, sizeof bytes - 1, &error));
  g_assert_null (load (folder, &error));
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_SETTING);
  g_assert_true (g_str_has_prefix (error->message, path));
}

/* where a value is from */

/* @origin: "FILE:LINE=VALUE", several with spaces between; "" by default. */
static void
assert_origin (const Settings *settings, const char *folder, const char *key, const char *text,
               const char *origin)
{
  g_autoptr (GPtrArray) places = settings_list_assignments (settings, key);
  g_autofree char *settings_text = settings_get_text (settings, key);
  g_autoptr (GString) found = g_string_new (NULL);

  for (guint i = 0; i < places->len; i++) {
    const SettingsAssignment *place = g_ptr_array_index (places, i);

    g_assert_cmpstr (place->key, ==, key);
    g_assert_true (g_str_has_prefix (place->path, folder));
    g_string_append_printf (found, "%s%s:%u=%s", i > 0 ? " " : "",
                            place->path + strlen (folder) + 1, place->line, place->value);
  }
  g_assert_cmpstr (settings_text, ==, text);
  g_assert_cmpstr (found->str, ==, origin);
}

static void
test_origin_default (void)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autoptr (Settings) settings = load_text (folder, "[clockferry]\n#Port=1\n");
  const char *const defaults[][2] = {
    { "Address", NULL },
    { "ListenAddress", NULL },
    { "Port", "16520" },
    { "HostClock", "auto" },
    { "Mode", "apply" },
    { "MaxAdvanceSec", "300" },
    { "CertificateAuthority", NULL },
    { "Certificate", NULL },
    { "PrivateKey", NULL },
    { "AllowedPeers", NULL },
  };

  for (guint i = 0; i < G_N_ELEMENTS (defaults); i++) {
    g_assert_cmpstr (settings_nth_key (i), ==, defaults[i][0]);
    assert_origin (settings, folder, defaults[i][0], defaults[i][1], "");
  }
  g_assert_null (settings_nth_key (G_N_ELEMENTS (defaults)));
}

/* Every key has a line of its own, with comments and empty lines between. */
static void
test_origin_lines (void)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autoptr (Settings) settings = load_text (folder, "# Address=commented\n"
                                                     "[clockferry]\n"
                                                     "Address=a\n"
                                                     "\n"
                                                     "ListenAddress=::1\n"
                                                     "Port=7\n"
                                                     "  HostClock = trust\n"
                                                     "Mode=observe\n"
                                                     "#Mode=apply\n"
                                                     "MaxAdvanceSec=60\n"
                                                     "[clockferry]\n"
                                                     "CertificateAuthority=/a\n"
                                                     "Certificate=/c\n"
                                                     "PrivateKey=/k\n"
                                                     "AllowedPeers=x,y  z\n");

  assert_origin (settings, folder, "Address", "a", MAIN_FILE ":3=a");
  assert_origin (settings, folder, "ListenAddress", "::1", MAIN_FILE ":5=::1");
  assert_origin (settings, folder, "Port", "7", MAIN_FILE ":6=7");
  assert_origin (settings, folder, "HostClock", "trust", MAIN_FILE ":7=trust");
  assert_origin (settings, folder, "Mode", "observe", MAIN_FILE ":8=observe");
  assert_origin (settings, folder, "MaxAdvanceSec", "60", MAIN_FILE ":10=60");
  assert_origin (settings, folder, "CertificateAuthority", "/a", MAIN_FILE ":12=/a");
  assert_origin (settings, folder, "Certificate", "/c", MAIN_FILE ":13=/c");
  assert_origin (settings, folder, "PrivateKey", "/k", MAIN_FILE ":14=/k");
  assert_origin (settings, folder, "AllowedPeers", "x y z", MAIN_FILE ":15=x,y  z");
}

static void
test_origin_drop_ins (void)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autoptr (GError) error = NULL;
  g_autoptr (Settings) settings = NULL;

  write_file (folder, MAIN_FILE, "[clockferry]\nPort=1\nPort=2\nMode=observe\n");
  write_file (folder, MAIN_FILE ".d/9.conf", "[clockferry]\n\nPort=9\n");
  write_file (folder, MAIN_FILE ".d/10.conf", "[clockferry]\nPort=10\nHostClock=trust\n");
  settings = load (folder, &error);
  g_assert_no_error (error);
  assert_origin (settings, folder, "Port", "9",
                 MAIN_FILE ":2=1 " MAIN_FILE ":3=2 " MAIN_FILE ".d/10.conf:2=10 " MAIN_FILE
                           ".d/9.conf:3=9");
  assert_origin (settings, folder, "Mode", "observe", MAIN_FILE ":4=observe");
  assert_origin (settings, folder, "HostClock", "trust", MAIN_FILE ".d/10.conf:3=trust");
}

/* reading them anew */

#define AUTHORITY "CertificateAuthority=/a\nCertificate=/c\nPrivateKey=/k\n"

static void
test_reload (void)
{
  const char *const every_key[] = { "Address",      "ListenAddress",
                                    "Port",         "CertificateAuthority",
                                    "Certificate",  "PrivateKey",
                                    "AllowedPeers", NULL };
  const char *const only_port[] = { "Port", NULL };
  const char *const peers[] = { "c", NULL };
  const char *const no_peers[] = { "b", NULL };
  const struct {
    const char *before;
    const char *after;
    const char *const *waiting; /* NULL: none */
    SettingsMode mode;
    guint max_advance_s;
    guint16 port;
    const char *const *allowed_peers;
  } cases[] = {
    { "", "Mode=observe\nHostClock=trust\nMaxAdvanceSec=7\n", NULL, SETTINGS_MODE_OBSERVE, 7, 16520,
      NULL },
    /* what is said no more is by default again */
    { "Mode=observe\nMaxAdvanceSec=7\n", "HostClock=trust\n", NULL, SETTINGS_MODE_APPLY, 300, 16520,
      NULL },
    /* the same in other words */
    { "Port=16520\n" AUTHORITY "AllowedPeers=b\n",
      "HostClock=trust\n" AUTHORITY "AllowedPeers= b,\n", NULL, SETTINGS_MODE_APPLY, 300, 16520,
      no_peers },
    { "Port=7\n", "Port=8\nMode=observe\nHostClock=trust\n", only_port, SETTINGS_MODE_OBSERVE, 300,
      7, NULL },
    { AUTHORITY "AllowedPeers=b\n", AUTHORITY "AllowedPeers=c\nHostClock=trust\n", NULL,
      SETTINGS_MODE_APPLY, 300, 16520, peers },
    { AUTHORITY "AllowedPeers=b\n", AUTHORITY "HostClock=trust\n", NULL, SETTINGS_MODE_APPLY, 300,
      16520, NULL },
    /* under another authority the peers would be others */
    { AUTHORITY "AllowedPeers=b\n", "Address=x\nListenAddress=::1\nPort=1\nHostClock=trust\n",
      every_key, SETTINGS_MODE_APPLY, 300, 16520, no_peers },
  };

  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    const char *const nothing[] = { NULL };
    g_autoptr (TempFolder) folder = temp_folder_make ();
    g_autofree char *before = g_strconcat ("[clockferry]\n", cases[i].before, NULL);
    g_autofree char *after = g_strconcat ("[clockferry]\n", cases[i].after, NULL);
    g_autoptr (Settings) settings = load_text (folder, before);

    write_file (folder, MAIN_FILE, after);
    /* what waits goes on waiting */
    for (guint round = 0; round < 2; round++) {
      g_autoptr (GError) error = NULL;
      g_auto (GStrv) waiting = settings_reload (settings, &error);

      g_assert_no_error (error);
      g_assert_cmpstrv (waiting, cases[i].waiting != NULL ? cases[i].waiting : nothing);
      g_assert_cmpint (settings->mode, ==, cases[i].mode);
      g_assert_cmpint (settings->host_clock, ==, HOST_CLOCK_TRUST);
      g_assert_cmpuint (settings->max_advance_s, ==, cases[i].max_advance_s);
      g_assert_cmpuint (settings->port, ==, cases[i].port);
      if (cases[i].allowed_peers == NULL)
        g_assert_null (settings->allowed_peers);
      else
        g_assert_cmpstrv (settings->allowed_peers, cases[i].allowed_peers);
    }
  }
}

static void
test_reload_bad (void)
{
  g_autoptr (TempFolder) folder = temp_folder_make ();
  g_autoptr (Settings) settings = load_text (folder, "[clockferry]\nMode=observe\nPort=7\n");
  g_autoptr (GError) error = NULL;

  write_file (folder, MAIN_FILE, "[clockferry]\nMode=apply\nHostClock=trust\nPort=x\n");
  g_assert_null (settings_reload (settings, &error));
  g_assert_error (error, CLOCKFERRY_ERROR, CLOCKFERRY_ERROR_INVALID_SETTING);
  g_assert_nonnull (strstr (error->message, MAIN_FILE ":4: Port=x"));
  g_assert_cmpint (settings->mode, ==, SETTINGS_MODE_OBSERVE);
  g_assert_cmpint (settings->host_clock, ==, HOST_CLOCK_AUTO);
  g_assert_cmpuint (settings->port, ==, 7);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);

  g_test_add_func ("/settings/no-file", test_no_file);
  g_test_add_func ("/settings/nothing-said", test_nothing_said);
  g_test_add_func ("/settings/installed-file", test_installed_file);
  g_test_add_func ("/settings/every-key", test_every_key);
  g_test_add_func ("/settings/drop-in/order", test_drop_in_order);
  g_test_add_func ("/settings/drop-in/alone", test_drop_in_alone);
  g_test_add_func ("/settings/drop-in/named", test_drop_in_named);
  g_test_add_func ("/settings/unreadable", test_unreadable);
  g_test_add_func ("/settings/together", test_together);
  g_test_add_func ("/settings/not-text", test_not_text);
  g_test_add_func ("/settings/origin/default", test_origin_default);
  g_test_add_func ("/settings/origin/lines", test_origin_lines);
  g_test_add_func ("/settings/origin/drop-ins", test_origin_drop_ins);
  g_test_add_func ("/settings/reload", test_reload);
  g_test_add_func ("/settings/reload-bad", test_reload_bad);
  for (gsize i = 0; i < G_N_ELEMENTS (refusals); i++) {
    g_autofree char *path = g_strconcat ("/settings/refused/", refusals[i].name, NULL);

    g_test_add_data_func (path, &refusals[i], test_refusal);
  }
  return g_test_run ();
}
