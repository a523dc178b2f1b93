/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * peer-wire - messages of the peer channel, right ones and wrong ones, as bytes
 *
 * For the two fuzzers of that channel: each is the end that is not to be trusted.
 */

#include <gio/gio.h>

#include "fuzz-target.h"

#define WIRE_DOMAIN    "6c2c1d3e-7f5a-4b7e-9d0c-0123456789ab"
#define WIRE_TICKET    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define WIRE_MIGRATION "6fcb3e6b8f0c4f9a8a0f7c5d2e1b4a39"

/* Bytes on their way to the other end, and messages that came from there. */
typedef struct {
  int fd; /* not blocking; -1 once it is closed */
  GByteArray *received;
} Wire;

void wire_begin (Wire *wire, int fd);

/* With @aborts, a TCP connection vanishes at once: there are thousands a second. */
void wire_end (Wire *wire, gboolean aborts);

/* Bytes that do not fit are lost, as is whatever is written to nobody. */
void wire_send_bytes (Wire *wire, const void *data, gsize size);
/* Takes @message and gives it @serial, which is not 0. */
void wire_send (Wire *wire, GDBusMessage *message, guint32 serial);

/* No more is sent. */
void wire_shut (Wire *wire);

/*
 * Read what has come, without blocking. Returns the next whole message of it, which has to be one, or
 * NULL; *@is_over tells whether the other end has closed. Owned by the caller.
 */
GDBusMessage *wire_receive (Wire *wire, gboolean *is_over);

/* A call of @member, or the signal of that name; @body is consumed if floating, NULL for none. */
GDBusMessage *wire_call (const char *member, GVariant *body);
GDBusMessage *wire_signal (const char *member, GVariant *body);
/* Takes no ownership of @call. */
GDBusMessage *wire_reply (GDBusMessage *call, GVariant *body);
GDBusMessage *wire_error (GDBusMessage *call, const char *name, const char *text);

/*
 * Cut a line off the front of @step, as a string of D-Bus. Owned by the caller.
 */
char *wire_take_line (FuzzStep *step);

/* What is left of @step as a body, in the text form of GVariant; NULL if it is no tuple. Owned by the
 * caller. */
GVariant *wire_take_body (FuzzStep *step);

/* Run the main loop until @object, which is not NULL, has lost its last reference. Takes one. */
void wire_wait_for_last_unref (gpointer object);

/* A certificate with a key, made once; borrowed. */
GTlsCertificate *wire_certificate (void);
