# SPDX-License-Identifier: LGPL-2.1-or-later
"""The driver's end of a host's command agent (host_agent.py): run commands in an emulated host, several at once."""

import base64
import contextlib
import dataclasses
import fcntl
import itertools
import json
import socket
import threading
import uuid

# The agent ends a command that takes too long itself; this much later it is taken for dead.
_AGENT_GRACE_S = 20
_READ_SIZE_BYTES = 1 << 16


@dataclasses.dataclass(frozen=True)
class CommandResult:
    argv: list
    rc: int
    stdout: str
    stderr: str


class CommandFailed(Exception):
    """A command ended with an exit code other than 0, or not in time."""

    def __init__(self, host_name, result):
        self.result = result
        super().__init__(f"{host_name}: {' '.join(result.argv)}: exit code {result.rc}\n{result.stdout}{result.stderr}")


class HostChannel:
    """One of the agent's ports, taken for this process alone: a port talks to one driver at a time."""

    def __init__(self, host_name, port_sockets):
        self._host_name = host_name
        self._socket, self._lock_file = _take_free_port(host_name, port_sockets)
        self._send_lock = threading.Lock()
        self._waiting = {}
        self._session = uuid.uuid4().hex
        self._numbers = itertools.count()
        # An earlier driver may have gone in the middle of a line.
        self._socket.sendall(b"\n")
        threading.Thread(target=self._receive_answers, daemon=True).start()

    def close(self):
        with contextlib.suppress(OSError):  # it may have gone by itself
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._lock_file.close()

    def run(self, argv, stdin=b"", timeout_s=60):
        """Run a command in the host; stdout and stderr are returned as bytes, with the exit code before them."""
        request_id = f"{self._session}.{next(self._numbers)}"
        answered = threading.Event()
        self._waiting[request_id] = slot = [answered, None]
        request = {"id": request_id, "argv": [str(word) for word in argv], "timeout_s": timeout_s,
                   "stdin": base64.b64encode(stdin).decode()}
        with self._send_lock:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        try:
            if not answered.wait(timeout_s + _AGENT_GRACE_S):
                raise TimeoutError(f"{self._host_name}: its agent has not answered within {timeout_s + _AGENT_GRACE_S} s: "
                                   f"{' '.join(request['argv'])}")
        finally:
            del self._waiting[request_id]
        answer = slot[1]
        if answer is None:
            raise ConnectionError(f"{self._host_name}: the connection to its agent ended")
        return answer["rc"], base64.b64decode(answer["stdout"]), base64.b64decode(answer["stderr"])

    def _receive_answers(self):
        pending = bytearray()
        while True:
            try:
                data = self._socket.recv(_READ_SIZE_BYTES)
            except OSError:
                data = b""
            if not data:
                break
            pending += data
            *lines, pending = pending.split(b"\n")
            for line in lines:
                self._deliver(bytes(line))
        for slot in list(self._waiting.values()):
            slot[0].set()

    def _deliver(self, line):
        try:
            answer = json.loads(line)
        except ValueError:
            return  # the tail of an answer to an earlier driver
        slot = self._waiting.get(answer["id"])
        if slot:
            slot[1] = answer
            slot[0].set()


def _take_free_port(host_name, port_sockets):
    for path in port_sockets:
        lock_file = open(f"{path}.lock", "w")
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock_file.close()
            continue
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(path))
        return connection, lock_file
    raise RuntimeError(f"{host_name}: all {len(port_sockets)} ports of its agent are in use by other drivers")
