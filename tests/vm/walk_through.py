# SPDX-License-Identifier: LGPL-2.1-or-later
"""Read docs/walk-through.md as its reader does: each command on the host its prompt names, and what it has to print.

All code in it stands in fenced blocks of the language `console`:

    ```console
    source# clockferryctl list
    DOMAIN  READY  …
    …
    web     yes
    ```

A prompt is `source# `, `dest# ` or, for both, `both# `. A command that ends in a backslash goes on in the next line. What follows
it up to the next prompt or the end of the block is its output, stdout and stderr: `…` in a line stands for any text there, but for
none at all, and a line `…` for any lines, or none. Runs of white space are alike: what is a table for people is separated by tabs
for us. Every command must succeed; the status of `clockferryctl check` is about what it found.

A block of the language `console follow` is one command that is looked at in another window: it goes on while the next block is run,
and has printed what it has to when that is done.
"""

import dataclasses
import functools
import re

ANY = "…"
HOSTS = ("source", "dest")

_FENCE = re.compile(r"\s*```(.*)")
_PROMPT = re.compile(rf"({'|'.join(HOSTS)}|both)# (.*)")
# What looks like code and would not be run.
_INDENTED_CODE = re.compile(r"( {4}|\t)\S")
_SOME_TEXT = r"\S(?:.*?\S)??"
_LOOKING = re.compile(r"(clockferryctl (check|config|history|list|show|status)|journalctl|virsh list)\b[^;&|]*$")
_LANGUAGES = {"console": False, "console follow": True}


@dataclasses.dataclass(frozen=True)
class Step:
    line_number: int     # of the prompt
    block: int           # counted from 0
    hosts: tuple         # names
    command: str         # for a shell
    expected: tuple      # lines
    is_followed: bool    # goes on while the next block is run

    @property
    def only_looks(self):
        """It may be run again until it shows what is expected, as its reader would do."""
        return _LOOKING.match(self.command) is not None

    def may_end_with(self, status):
        return status == 0 or status in (1, 2) and self.command.startswith("clockferryctl check")


class WalkThroughError(Exception):
    """The text is not one that can be followed."""


def parse(text):
    """The steps of a walk-through, in order."""
    steps = []
    blocks = 0
    language = None
    command_goes_on = False
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.fullmatch(line)
        if fence and language is None:
            language = fence[1].strip()
            if language not in _LANGUAGES:
                raise WalkThroughError(f"line {number}: a block of '{language}': only those of {', '.join(_LANGUAGES)} are followed")
            block_begin = len(steps)
        elif fence:
            _check_block(steps[:block_begin], steps[block_begin:], number)
            language = None
            blocks += 1
        elif language is None:
            if _INDENTED_CODE.match(line):
                raise WalkThroughError(f"line {number}: indented code, which nobody follows: use a block of console")
        elif command_goes_on:
            steps[-1] = dataclasses.replace(steps[-1], command=f"{steps[-1].command}\n{line}")
            command_goes_on = line.endswith("\\")
        elif prompt := _PROMPT.fullmatch(line):
            hosts = HOSTS if prompt[1] == "both" else (prompt[1],)
            steps.append(Step(number, blocks, hosts, prompt[2], (), _LANGUAGES[language]))
            command_goes_on = prompt[2].endswith("\\")
        elif len(steps) == block_begin:
            raise WalkThroughError(f"line {number}: output of no command: a block begins with a prompt")
        else:
            steps[-1] = dataclasses.replace(steps[-1], expected=(*steps[-1].expected, line))
    if language is not None:
        raise WalkThroughError("the last block has no end")
    if not steps:
        raise WalkThroughError("there is nothing to follow")
    if steps[-1].is_followed:
        raise WalkThroughError("nothing is run while the last command is followed")
    return steps


def _check_block(steps_before, steps, number):
    if not steps:
        raise WalkThroughError(f"line {number}: a block without a command")
    if steps[0].is_followed and (len(steps) != 1 or len(steps[0].hosts) != 1):
        raise WalkThroughError(f"line {number}: only one command on one host is followed at a time")
    if steps[0].is_followed and steps_before and steps_before[-1].is_followed:
        raise WalkThroughError(f"line {number}: a command is followed while the next block is run, which is not this one")


def find_difference(expected, output):
    """None if the output is as expected; otherwise what is wrong, for a person."""
    actual = output.rstrip("\n").split("\n") if output.strip() else []
    furthest = 0

    # Whether expected[i:] fits actual[j:].
    @functools.cache
    def fits(i, j):
        nonlocal furthest
        furthest = max(furthest, i)
        if i == len(expected):
            return j == len(actual)
        if expected[i].strip() == ANY:
            return fits(i + 1, j) or (j < len(actual) and fits(i, j + 1))
        return j < len(actual) and _line_fits(expected[i], actual[j]) and fits(i + 1, j + 1)

    if fits(0, 0):
        return None
    if furthest == len(expected):
        wanted = "the end"
    else:
        wanted = f"this line: {expected[furthest]}"
    return f"it printed:\n{output.rstrip()}\nand nowhere in its place is {wanted}"


def _line_fits(expected, actual):
    parts = [r"\s+".join(re.escape(word) for word in re.split(r"\s+", part)) for part in expected.strip().split(ANY)]
    return re.fullmatch(_SOME_TEXT.join(parts), actual.strip()) is not None
