/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * check-host - the parts of `clockferryctl check` that look at this host
 *
 * Each looks at one subject and adds its results to a list. They run in the order they stand in
 * here: a later one leaves out what an earlier one has found missing.
 */

#include <gio/gio.h>

#include "host-check.h"
#include "settings.h"

/* Who runs clockferryd (systemd/clockferry.sysusers). */
#define CLOCKFERRY_USER "clockferry"

/* This host, and what was found out about it on the way. */
typedef struct {
  const char *root;     /* of all files that are looked at: "", but for tests */
  gboolean is_root;     /* whether what only root may look at can be looked at */
  GDBusConnection *bus; /* the system's; NULL: there is none */
  char *bus_problem;    /* why */

  gboolean libvirt_answers; /* libvirt-dbus, a call about domains */
  guint domain_count;       /* that run, by its answer */
  char *helper_path;        /* where ld.so finds the helper, without links; NULL: it does not */
  Settings *settings;       /* NULL: there is a mistake in the files */
  gboolean daemon_runs;     /* clockferryd, as a service */
  GVariant *manager;        /* properties of org.clockferry1.Manager, a{sv}; NULL: nobody answers */
} CheckHost;

/* The system bus is connected to, or bus_problem says why not. */
CheckHost *check_host_new (void);

/* With files below @root, and on @bus, which may be NULL. */
CheckHost *check_host_new_for_test (const char *root, GDBusConnection *bus);

void check_host_free (CheckHost *host);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (CheckHost, check_host_free)

/* Where the file @path of this host is. Owned by the caller. */
char *check_host_path (const CheckHost *host, const char *path);

/* The first line of a small file, without white space around it; NULL if it cannot be read. */
char *check_host_read_line (const CheckHost *host, const char *path);

/* The file by which SELinux tells that it is in use, and enforcing. */
#define CHECK_SELINUX_ENFORCE "/sys/fs/selinux/enforce"

gboolean check_host_has_selinux (const CheckHost *host);

/* The text property @name of org.clockferry1.Manager, borrowed, or NULL. */
const char *check_host_get_manager_text (const CheckHost *host, const char *name);

/* the parts */

void check_kvm (CheckHost *host, CheckList *list);     /* kernel and KVM, on a VM of its own */
void check_clock (CheckHost *host, CheckList *list);   /* clocksource, synchronisation */
void check_libvirt (CheckHost *host, CheckList *list); /* the bus, libvirt's daemon, libvirt-dbus */
void check_hook (CheckHost *host, CheckList *list);    /* libvirt's hook and its program */
void check_helper (CheckHost *host, CheckList *list);  /* what is preloaded into QEMU */
void check_observer (CheckHost *host, CheckList *list); /* of guests without a helper */
void check_security (CheckHost *host, CheckList *list); /* AppArmor and SELinux */
void check_daemon (CheckHost *host, CheckList *list);   /* clockferryd and its settings */
void check_identity (CheckHost *host, CheckList *list); /* its key and certificate */
void check_address (CheckHost *host, CheckList *list);  /* where other hosts find it */
void check_storage (CheckHost *host, CheckList *list);  /* the state folder, the journal */

/* All of them, and what was skipped. */
void check_whole_host (CheckHost *host, CheckList *list);
