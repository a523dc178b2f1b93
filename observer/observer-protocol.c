/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "observer-protocol.h"

#include <string.h>

static bool
header_is_valid (const struct observer_header *header, size_t size)
{
  bool has_pid = header->type != OBSERVER_MESSAGE_READY && header->type != OBSERVER_MESSAGE_UNABLE;

  return header->magic == OBSERVER_MAGIC && header->version == OBSERVER_VERSION &&
         header->length == size && header->reserved == 0 && header->reserved2 == 0 &&
         (has_pid ? header->pid > 0 : header->pid == 0);
}

static bool
unable_is_valid (const struct observer_unable *message, size_t size)
{
  if (size != sizeof *message || memchr (message->text, '\0', sizeof message->text) == NULL)
    return false;
  for (const char *at = message->text; *at != '\0'; at++) {
    if (*at < ' ' || *at > '~')
      return false;
  }
  return true;
}

static bool
record_is_valid (const struct observer_record *message, size_t size)
{
  size_t head = offsetof (struct observer_record, record);

  return size >= head && clock_record_check (&message->record, size - head) == CLOCK_RECORD_OK;
}

static bool
missed_is_valid (const struct observer_missed *message, size_t size)
{
  return size == sizeof *message && message->reason > OBSERVER_REASON_NONE &&
         message->reason < OBSERVER_REASON_COUNT;
}

bool
observer_message_check (const void *data, size_t size, enum observer_direction direction)
{
  const struct observer_header *header = data;

  if (size < sizeof *header || !header_is_valid (header, size))
    return false;
  if (direction == OBSERVER_TO_OBSERVER)
    return size == sizeof *header &&
           (header->type == OBSERVER_MESSAGE_WATCH || header->type == OBSERVER_MESSAGE_UNWATCH);
  switch (header->type) {
  case OBSERVER_MESSAGE_READY:
  case OBSERVER_MESSAGE_WATCHING:
    return size == sizeof *header;
  case OBSERVER_MESSAGE_UNABLE:
    return unable_is_valid (data, size);
  case OBSERVER_MESSAGE_RECORD:
    return record_is_valid (data, size);
  case OBSERVER_MESSAGE_MISSED:
    return missed_is_valid (data, size);
  default:
    return false;
  }
}

void
observer_header_init (struct observer_header *header, enum observer_message_type type,
                      size_t length, int32_t pid)
{
  *header = (struct observer_header){
    .magic = OBSERVER_MAGIC,
    .version = OBSERVER_VERSION,
    .type = (uint16_t) type,
    .length = (uint32_t) length,
    .pid = pid,
  };
}

bool
observer_reason_is_of_watch (uint32_t reason)
{
  return reason == OBSERVER_REASON_NO_PROCESS || reason == OBSERVER_REASON_TOO_MANY ||
         reason == OBSERVER_REASON_NOT_ATTACHED;
}

const char *
observer_reason_text (uint32_t reason)
{
  static const char *const texts[] = {
    [OBSERVER_REASON_NONE] = "there is a record",
    [OBSERVER_REASON_NO_PROCESS] = "there is no such process",
    [OBSERVER_REASON_TOO_MANY] = "too many processes are observed already",
    [OBSERVER_REASON_NOT_ATTACHED] = "the kernel did not let the observer's program be attached",
    [OBSERVER_REASON_NO_VCPUS] = "it has no vCPUs",
    [OBSERVER_REASON_MISSING_VCPUS] = "not all of its vCPUs could be read",
    [OBSERVER_REASON_UNREADABLE] = "what KVM told it could not be read from its memory",
    [OBSERVER_REASON_IMPLAUSIBLE] = "what was read of its clocks is not plausible",
  };

  _Static_assert(sizeof texts / sizeof texts[0] == OBSERVER_REASON_COUNT, "one text each");
  if (reason >= OBSERVER_REASON_COUNT)
    return "the observer did not say why";
  return texts[reason];
}
