/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * observer-protocol - the messages between clockferryd and clockferry-observer
 *
 * The daemon connects to a SOCK_SEQPACKET socket at OBSERVER_SOCKET_PATH, where systemd starts the
 * observer. One packet is one message: an observer_header, then the body of its type. Both ends run
 * on one machine, so integers are in its byte order and structs travel as they are; sizes are checked
 * at compile time. Who gets a message that is not exactly what its header says closes the
 * connection.
 *
 * The observer speaks first: READY, or UNABLE, and then it ends the connection. It watches what this
 * connection asked it to, until the connection ends.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "clock-record.h"

#define OBSERVER_SOCKET_PATH "/run/clockferry-observer.sock"
#define OBSERVER_MAGIC       0x42464f43u /* "COFB" */
#define OBSERVER_VERSION     1

enum observer_message_type {
  /* daemon to observer */
  OBSERVER_MESSAGE_WATCH = 1,   /* header only: tell of KVM_GET_CLOCK in the process pid */
  OBSERVER_MESSAGE_UNWATCH = 2, /* header only: no longer */
  /* observer to daemon; of READY and UNABLE pid is 0 */
  OBSERVER_MESSAGE_READY = 16,    /* header only */
  OBSERVER_MESSAGE_UNABLE = 17,   /* struct observer_unable */
  OBSERVER_MESSAGE_WATCHING = 18, /* header only: the answer to WATCH */
  OBSERVER_MESSAGE_RECORD = 19,   /* struct observer_record: the process just asked KVM_GET_CLOCK */
  OBSERVER_MESSAGE_MISSED = 20,   /* struct observer_missed: it did, or WATCH failed; no record */
};

struct observer_header {
  uint32_t magic;    /* OBSERVER_MAGIC */
  uint16_t version;  /* OBSERVER_VERSION */
  uint16_t type;     /* enum observer_message_type */
  uint32_t length;   /* of the whole message, header included */
  uint32_t reserved; /* 0 */
  int32_t pid;       /* in the initial PID namespace; 1 or more, or 0 */
  uint32_t reserved2;
};

#define OBSERVER_TEXT_MAX 400

struct observer_unable {
  struct observer_header header;
  char text[OBSERVER_TEXT_MAX]; /* why, as a clause in printable characters; ends in NUL */
};

struct observer_record {
  struct observer_header header;
  struct clock_record record; /* with its vcpus[] */
};

/* Why there is no record. Clauses by observer_reason_text(). */
enum observer_reason {
  OBSERVER_REASON_NONE = 0,
  OBSERVER_REASON_NO_PROCESS,   /* WATCH: there is none of that pid */
  OBSERVER_REASON_TOO_MANY,     /* WATCH: as many are watched as can be */
  OBSERVER_REASON_NOT_ATTACHED, /* WATCH: the kernel did not let the program be attached */
  OBSERVER_REASON_NO_VCPUS,
  OBSERVER_REASON_MISSING_VCPUS, /* not all of the VM's vCPUs could be read */
  OBSERVER_REASON_UNREADABLE,    /* what QEMU was given could not be read from its memory */
  OBSERVER_REASON_IMPLAUSIBLE,   /* detail: enum clock_record_error */
  OBSERVER_REASON_COUNT,
};

struct observer_missed {
  struct observer_header header;
  uint32_t reason; /* enum observer_reason */
  uint32_t detail;
};

_Static_assert(sizeof (struct observer_header) == 24, "wire layout");
_Static_assert(sizeof (struct observer_unable) == 24 + OBSERVER_TEXT_MAX, "wire layout");
_Static_assert(sizeof (struct observer_record) == 24 + 56, "wire layout");
_Static_assert(sizeof (struct observer_missed) == 32, "wire layout");

#define OBSERVER_MESSAGE_SIZE_MAX (sizeof (struct observer_header) + CLOCK_RECORD_SIZE_MAX)

enum observer_direction { OBSERVER_TO_OBSERVER, OBSERVER_TO_DAEMON };

/*
 * Is this a message, @size bytes at @data, aligned to 8, that travels in @direction? Checks header,
 * exact length, the text and the record in it. Nothing is read past @size.
 */
bool observer_message_check (const void *data, size_t size, enum observer_direction direction);

/* Fill a header for a message of @length bytes in all. */
void observer_header_init (struct observer_header *header, enum observer_message_type type,
                           size_t length, int32_t pid);

/* It says that WATCH failed, and nothing of a KVM_GET_CLOCK. */
bool observer_reason_is_of_watch (uint32_t reason);

/* A constant clause, "not all of its vCPUs could be read" for instance; never NULL. */
const char *observer_reason_text (uint32_t reason);
