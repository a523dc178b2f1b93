# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of clockferryctl(1) for bash: commands, options, domains, migrations. _clockferryctl is the one for zsh.

# Print the values of member $1 in the JSON of the command that follows; nothing where that fails.
_clockferryctl_members() {
  clockferryctl "${@:2}" --json 2> /dev/null < /dev/null | sed -nE 's/^ *"'"$1"'" : "([^"\\]+)",?$/\1/p'
}

# Offer those of the arguments after the first that begin with it.
_clockferryctl_offer() {
  local begin=$1 word
  shift
  for word; do
    [[ $word == "$begin"* ]] && COMPREPLY+=("$(printf '%q' "$word")")
  done
}

# Offer what may take the place of a value: $1 is what it is called in the usage, $2 what is there of it.
_clockferryctl_offer_value() {
  local values
  case $1 in
    DOMAIN)
      mapfile -t values < <(_clockferryctl_members domain_name list)
      _clockferryctl_offer "$2" "${values[@]}"
      ;;
    ID)
      mapfile -t values < <(_clockferryctl_members migration history --limit 50 | cut -c -8)
      _clockferryctl_offer "$2" last "${values[@]}"
      ;;
    TIME) _clockferryctl_offer "$2" today yesterday -1h -1d -7d ;;
    PATH)
      compopt -o filenames 2> /dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$2")
      ;;
  esac
}

_clockferryctl() {
  local -A options=(
    [status]=
    [list]=
    [history]='--domain --since --until --limit --journal'
    [show]='--journal'
    [monitor]=
    [metrics]='--output --journal'
    [plot]='--history --domain --since --until --output --journal'
    [check]='--peer'
    [enable]=
    [disable]=
    [config]='--show --config'
  )
  local -A values=(
    [--domain]=DOMAIN [-d]=DOMAIN
    [--since]=TIME [-S]=TIME
    [--until]=TIME [-U]=TIME
    [--limit]=NUMBER [-n]=NUMBER
    [--journal]=PATH [-j]=PATH
    [--output]=PATH [-o]=PATH
    [--config]=PATH [-c]=PATH
    [--peer]=HOST
  )
  local -A operands=([show]=ID [plot]=ID [check]=DOMAIN)
  local common='--json --no-color --version --help'
  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
  local command= operand_count=0 word i

  COMPREPLY=()
  # "=" is a word of its own
  if [[ $current == = ]]; then
    current=
  elif [[ $before == = ]]; then
    before=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${COMP_WORDS[i]}
    if [[ -n ${values[$word]-} && -n $command ]]; then
      [[ ${COMP_WORDS[i + 1]-} == = ]] && ((i++))
      ((i++))
    elif [[ $word == -* ]]; then
      continue
    elif [[ -z $command ]]; then
      command=$word
    else
      ((operand_count++))
    fi
  done

  if [[ -n $command && -n ${values[$before]-} ]]; then
    _clockferryctl_offer_value "${values[$before]}" "$current"
  elif [[ $current == -* ]]; then
    _clockferryctl_offer "$current" $common ${command:+${options[$command]-}}
  elif [[ -z $command ]]; then
    _clockferryctl_offer "$current" "${!options[@]}" help
  elif [[ $command == help ]]; then
    ((operand_count == 0)) && _clockferryctl_offer "$current" "${!options[@]}"
  elif [[ -n ${operands[$command]-} ]] && ((operand_count == 0)); then
    _clockferryctl_offer_value "${operands[$command]}" "$current"
  fi
  return 0
}

complete -F _clockferryctl clockferryctl
