/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "dial-turn.h"

/* Of one peer, for as long as anybody wants to call it. */
typedef struct {
  char *peer;
  guint calling;
  GQueue waiting; /* of DialTurn */
} DialLine;

struct DialTurn {
  DialLine *line;
  DialTurnGo go; /* NULL once it was called */
  gpointer user_data;
};

static GHashTable *lines; /* peer -> DialLine; NULL without any */

static DialLine *
find_line (const char *peer)
{
  DialLine *line;

  if (lines == NULL)
    lines = g_hash_table_new (g_str_hash, g_str_equal);
  line = g_hash_table_lookup (lines, peer);
  if (line == NULL) {
    line = g_new0 (DialLine, 1);
    line->peer = g_strdup (peer);
    g_queue_init (&line->waiting);
    g_hash_table_insert (lines, line->peer, line);
  }
  return line;
}

static void
drop_if_idle (DialLine *line)
{
  if (line->calling > 0 || line->waiting.length > 0)
    return;
  g_hash_table_remove (lines, line->peer);
  if (g_hash_table_size (lines) == 0)
    g_clear_pointer (&lines, g_hash_table_unref);
  g_free (line->peer);
  g_free (line);
}

static void
begin (DialTurn *turn)
{
  DialTurnGo go = g_steal_pointer (&turn->go);

  turn->line->calling++;
  go (turn->user_data);
}

/* public functions */

DialTurn *
dial_turn_new (const char *peer, DialTurnGo go, gpointer user_data)
{
  DialTurn *turn = g_new0 (DialTurn, 1);

  turn->line = find_line (peer);
  turn->go = go;
  turn->user_data = user_data;
  if (turn->line->calling < DIAL_TURNS_MAX)
    begin (turn);
  else
    g_queue_push_tail (&turn->line->waiting, turn);
  return turn;
}

void
dial_turn_end (DialTurn *turn)
{
  DialLine *line = turn->line;

  if (turn->go != NULL) {
    g_queue_remove (&line->waiting, turn);
  } else {
    DialTurn *next = g_queue_pop_head (&line->waiting);

    line->calling--;
    if (next != NULL)
      begin (next);
  }
  g_free (turn);
  drop_if_idle (line);
}
