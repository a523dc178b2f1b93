# SPDX-License-Identifier: LGPL-2.1-or-later
"""Join this terminal to a host's serial console."""

import os
import select
import socket
import sys
import termios
import tty

_LEAVE_KEY = b"\x1d"  # Ctrl-]
_READ_SIZE_BYTES = 4096


def run_console(console_socket):
    """Pass bytes both ways until the leave key, or the end of either side."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as console:
        console.connect(str(console_socket))
        terminal = sys.stdin.fileno()
        saved_mode = termios.tcgetattr(terminal) if os.isatty(terminal) else None
        if saved_mode:
            tty.setraw(terminal)
        try:
            _pass_bytes(console, terminal)
        finally:
            if saved_mode:
                termios.tcsetattr(terminal, termios.TCSADRAIN, saved_mode)


def _pass_bytes(console, terminal):
    while True:
        readable, _, _ = select.select([console, terminal], [], [])
        if console in readable:
            data = console.recv(_READ_SIZE_BYTES)
            if not data:
                return
            os.write(sys.stdout.fileno(), data)
        if terminal in readable:
            typed = os.read(terminal, _READ_SIZE_BYTES)
            if not typed or _LEAVE_KEY in typed:
                return
            console.sendall(typed)
