#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# scripts/check-translations finds what is wrong with translations: a small tree that is all right, and
# then with one thing wrong at a time.
#
#   translations-test.sh CHECK_TRANSLATIONS
set -uo pipefail

check=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# A tree with two sources and one complete translation.
make_tree() {
  rm -rf "$work/tree"
  mkdir -p "$work"/tree/{daemon,plugin,po}
  cd "$work/tree" || exit 1
  printf 'puts (_ ("One message"));\n' > daemon/one.c
  printf 'printf (ngettext ("%%u domain", "%%u domains", n), n);\n' > daemon/two.c
  printf 'int nothing_to_translate;\n' > daemon/three.c
  printf '# Sources\ndaemon/one.c\ndaemon/two.c\n' > po/POTFILES.in
  printf '# Languages\nxx\n' > po/LINGUAS
  cat > po/xx.po <<'PO'
msgid ""
msgstr ""
"Project-Id-Version: clockferry\n"
"PO-Revision-Date: 2026-11-23 12:00+0000\n"
"Last-Translator: Nobody <nobody@example.com>\n"
"Language-Team: xx\n"
"Language: xx\n"
"MIME-Version: 1.0\n"
"Content-Type: text/plain; charset=UTF-8\n"
"Content-Transfer-Encoding: 8bit\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\n"

msgid "One message"
msgstr "Eine Nachricht"

#, c-format
msgid "%u domain"
msgid_plural "%u domains"
msgstr[0] "%u Domäne"
msgstr[1] "%u Domänen"
PO
}

# $1: what is wrong; $2: what the check has to say, or "" where nothing is wrong; then a command that
# does the wrong.
expect() {
  local what=$1 said=$2 output rc
  shift 2
  make_tree
  "$@"
  output=$("$check" "$work/tree" 2>&1)
  rc=$?
  if [ -z "$said" ] && [ $rc = 0 ] && [ -z "$output" ]; then
    echo "ok: $what"
  elif [ -n "$said" ] && [ $rc = 1 ] && grep -qF -- "$said" <<< "$output"; then
    echo "ok: $what"
  else
    printf 'failed: %s: status %s, and it says:\n%s\n' "$what" $rc "$output"
    failures=$((failures + 1))
  fi
}

add_message() { printf 'puts (_ ("Another"));\n' >> daemon/one.c; }
add_source() { printf 'puts (N_ ("Three"));\n' >> daemon/three.c; }
add_name() { echo daemon/three.c >> po/POTFILES.in; }
add_language() { echo yy >> po/LINGUAS; }
drop_language() { printf '# none\n' > po/LINGUAS; }
edit() { sed -i "$1" po/xx.po; }
add_old_message() { printf '\nmsgid "Gone"\nmsgstr "Weg"\n' >> po/xx.po; }

expect "a complete translation" "" true
expect "one message more than the sources have" "" add_old_message
expect "a source that is not named" "po/POTFILES.in lacks daemon/three.c" add_source
expect "a source without messages that is named" "po/POTFILES.in names daemon/three.c" add_name
expect "a language without a translation" "there is no po/yy.po" add_language
expect "a translation that is not listed" "po/LINGUAS lacks xx" drop_language
expect "a message that is not in the translation" "daemon/one.c:2" add_message
expect "an empty translation" "this message is untranslated" edit 's/"Eine Nachricht"/""/'
expect "a fuzzy translation" "needs to be reviewed" edit 's/^msgid "One message"/#, fuzzy\n&/'
expect "a format that was lost" "format specifications" edit 's/%u Domänen/Domänen/'
expect "a syntax error" "po/xx.po:" edit 's/^msgstr "Eine Nachricht"/msgstr "Eine Nachricht/'
expect "no plural" "plural" edit '/^msgstr\[1\]/d'

[ $failures = 0 ]
