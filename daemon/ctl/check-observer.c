/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check-host.h"

#include <errno.h>
#include <glib/gi18n.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "ctl-config.h"
#include "observer-protocol.h"

#define ENABLE  "systemctl enable --now clockferry-observer.socket"
#define JOURNAL "journalctl -b -n 20 -u clockferry-observer"

/* systemd may have to start it, and it has its program verified by the kernel. */
#define ANSWER_S 20

/* -1 with errno. */
static int
connect_socket (const CheckHost *host)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  g_autofree char *path = check_host_path (host, OBSERVER_SOCKET_PATH);
  const struct timeval patience = { .tv_sec = ANSWER_S };
  int fd = socket (AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

  if (fd < 0)
    return -1;
  g_strlcpy (address.sun_path, path, sizeof address.sun_path);
  if (setsockopt (fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) < 0 ||
      connect (fd, (struct sockaddr *) &address, sizeof address) < 0) {
    int connect_errno = errno;

    close (fd);
    errno = connect_errno;
    return -1;
  }
  return fd;
}

static void
judge_absence (const CheckHost *host, int connect_errno, CheckList *list)
{
  g_autofree char *program = check_host_path (host, CLOCKFERRY_OBSERVER_PATH);

  if (connect_errno == EACCES && !host->is_root)
    check_list_skip (list);
  else if (!g_file_test (program, G_FILE_TEST_EXISTS))
    check_list_warn (list, NULL,
                     _ ("not installed (%s): the first migration of a guest whose QEMU has no "
                        "helper would be stock"),
                     program);
  else
    check_list_warn (list, ENABLE,
                     _ ("not in service: the first migration of a guest whose QEMU has no helper "
                        "would be stock"));
}

static void
judge_answer (int fd, CheckList *list)
{
  struct observer_unable message;
  gssize got = recv (fd, &message, sizeof message, 0);

  if (got <= 0 || !observer_message_check (&message, (gsize) got, OBSERVER_TO_DAEMON))
    check_list_warn (list, JOURNAL, _ ("does not answer"));
  else if (message.header.type == OBSERVER_MESSAGE_UNABLE)
    check_list_warn (list, NULL,
                     /* TRANSLATORS: %s is what is wrong with this host, in English */
                     _ ("cannot observe, so that the first migration of a guest whose QEMU has no "
                        "helper would be stock: %s"),
                     message.text);
  else
    check_list_ok (list, _ ("can observe guests whose QEMU has no helper"));
}

/* public functions */

void
check_observer (CheckHost *host, CheckList *list)
{
  int fd;

  check_list_begin (list, "observer", _ ("observer"));
  fd = connect_socket (host);
  if (fd < 0) {
    judge_absence (host, errno, list);
    return;
  }
  judge_answer (fd, list);
  close (fd);
}
