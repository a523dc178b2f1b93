/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * hostile-source - the daemon of a source that means no good to the destinations which claim from it
 *
 * It has the key and the tickets, as libvirt lets its host migrate. What it says is in hostile-lies.h. Serves from
 * the main context: the caller must let it run.
 */

#include "peer-bus.h"

typedef struct HostileSource HostileSource;

/* One of its connections. */
typedef struct {
  HostileSource *source;
  GDBusConnection *bus;
  BusPeer *skeleton;
  char *domain; /* NULL until somebody claims it */
  guint flood_id;
} HostileVictim;

typedef void (*HostileAnswer) (HostileVictim *victim, GDBusMethodInvocation *invocation);

typedef struct {
  gboolean is_mute;    /* accepts a connection, and not a word */
  HostileAnswer claim; /* NULL: no answer */
  HostileAnswer time;  /* NULL: no answer */
} HostileLie;

struct HostileSource {
  HostileLie lie;
  guint guests; /* that come from it */
  GSocketService *service;
  guint16 port;
  GTlsCertificate *certificate;
  char *element; /* what libvirt brings of it */
  GPtrArray *victims;
  GPtrArray *mutes;       /* of GSocketConnection */
  guint attempts;         /* connections so far */
  guint answers;          /* to questions for the time */
  gboolean is_asked_back; /* it got an answer to a question of its own */
};

/* Listen, and tell @lie to all of @guests. @source must stay where it is. */
void hostile_source_start (HostileSource *source, const HostileLie *lie, guint guests);
void hostile_source_stop (HostileSource *source);
