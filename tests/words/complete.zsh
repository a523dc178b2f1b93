#!/usr/bin/zsh -f
# SPDX-License-Identifier: LGPL-2.1-or-later
# What zsh offers for a command line: an interactive zsh of its own on a pseudo-terminal gets it, and a TAB.
#
#   complete.zsh FOLDER LINE    FOLDER has the completion function, named _COMMAND; one offer a line
zmodload zsh/zpty
typeset folder=$1 line=$2 offers=$(mktemp) chunk

cat > $offers.setup <<SETUP
PS1= PS2=
unsetopt zle_bracketed_paste beep
bindkey -e
fpath=($folder \$fpath)
autoload -Uz compinit && compinit -D -u
zstyle ':completion:*' menu no
unsetopt auto_menu auto_list
# What is offered in the end passes through here; calls that only ask what would fit (-O, -A, -D) do too.
compadd() {
  local -a fitting
  if [[ \${@[1,(i)(-|--)]} != *-(O|A|D)* ]]; then
    builtin compadd -A fitting "\$@"
    print -rl -- \$fitting >> $offers
  fi
  builtin compadd "\$@"
}
complete-and-end() {
  zle complete-word
  exit
}
zle -N complete-and-end
bindkey '^I' complete-and-end
SETUP

zpty child zsh -f -i
zpty -w child "source $offers.setup; print ready-\$((1 + 1))"
while zpty -r child chunk && [[ $chunk != *ready-2* ]]; do :; done
zpty -w -n child "$line"$'\t'
while zpty -r child chunk; do :; done
zpty -d child
grep . $offers
rm -f $offers $offers.setup
