# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the built programs say of their commands and options, by --help."""

import os
import re
import subprocess

_OPTION = re.compile(r"^  (?:-(\w), )?--([a-z-]+)", re.MULTILINE)
_COMMAND = re.compile(r"^  ([a-z]+) ", re.MULTILINE)


def read_help(program, *words):
    result = subprocess.run([program, *words, "--help"], capture_output=True, text=True,
                            env={**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": ""})
    if result.returncode != 0 or not result.stdout:
        raise RuntimeError(f"{program} {' '.join(words)} --help: status {result.returncode}: {result.stderr}")
    return result.stdout


def find_options(text):
    """Long names to short ones, or ""."""
    return {name: letter for letter, name in _OPTION.findall(text)}


def read_commands(program):
    """Of clockferryctl: each command's own options, and those that all share."""
    text = read_help(program)
    _, _, rest = text.partition("Commands:\n")
    listed, _, _ = rest.partition("\n\n")
    # of itself it says so only for the commands
    common = {**find_options(text), "help": "h"}
    commands = {}
    for name in _COMMAND.findall(listed):
        options = find_options(read_help(program, name))
        if not common.keys() <= options.keys():
            raise RuntimeError(f"clockferryctl {name} --help does not name the common options {sorted(common)}")
        commands[name] = {option: letter for option, letter in options.items() if option not in common}
    if not commands or not common:
        raise RuntimeError("clockferryctl --help has another form now")
    return commands, common
