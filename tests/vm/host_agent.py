# SPDX-License-Identifier: LGPL-2.1-or-later
"""Run commands inside an emulated host for the driver outside (host_channel.py).

Each virtio port carries one driver's requests, a JSON object a line:
    {"id": "…", "argv": [...], "stdin": base64, "timeout_s": seconds or null}
and the answers, in the order in which the commands end:
    {"id": "…", "rc": number, "stdout": base64, "stderr": base64}
A command that cannot be started answers rc 127, one that takes too long is killed, with its children, and answers rc 124.
"""

import base64
import fcntl
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading

PORTS_DIR = pathlib.Path("/sys/class/virtio-ports")
READ_SIZE_BYTES = 1 << 16
RC_TIMED_OUT = 124
RC_NOT_STARTED = 127


class AgentPort:
    def __init__(self, device):
        self._fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
        self._write_lock = threading.Lock()
        self.driver_changed = threading.Event()

    def request_signals(self):
        fcntl.fcntl(self._fd, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(self._fd, fcntl.F_SETFL, fcntl.fcntl(self._fd, fcntl.F_GETFL) | os.O_ASYNC)

    def serve(self):
        pending = bytearray()
        while True:
            self.driver_changed.clear()
            data = os.read(self._fd, READ_SIZE_BYTES)
            if not data:
                # No driver is connected. The kernel signals when one is (see main).
                pending.clear()
                self.driver_changed.wait()
                continue
            pending += data
            *lines, pending = pending.split(b"\n")
            for line in lines:
                self._start_request(bytes(line))

    def _start_request(self, line):
        try:
            request = json.loads(line)
        except ValueError:
            return  # what is left of a line whose driver went away
        threading.Thread(target=self._answer, args=(request,), daemon=True).start()

    def _answer(self, request):
        rc, stdout, stderr = run_command(request["argv"], base64.b64decode(request["stdin"]), request["timeout_s"])
        answer = {"id": request["id"], "rc": rc, "stdout": base64.b64encode(stdout).decode(),
                  "stderr": base64.b64encode(stderr).decode()}
        remaining = memoryview(json.dumps(answer).encode() + b"\n")
        with self._write_lock:
            while remaining:
                remaining = remaining[os.write(self._fd, remaining):]


def run_command(argv, stdin, timeout_s):
    try:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   start_new_session=True, cwd="/")
    except OSError as error:
        return RC_NOT_STARTED, b"", f"{argv[0]}: {error.strerror}\n".encode()
    try:
        stdout, stderr = process.communicate(stdin, timeout=timeout_s)
        return process.returncode, stdout, stderr
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        stdout, stderr = process.communicate()
        return RC_TIMED_OUT, stdout, stderr


def find_devices(name_prefix):
    return [f"/dev/{port.name}" for port in PORTS_DIR.iterdir()
            if (port / "name").exists() and (port / "name").read_text().startswith(name_prefix)]


def main():
    os.environ.setdefault("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    os.environ.setdefault("HOME", "/root")
    os.environ["LC_ALL"] = "C.UTF-8"
    # virtio_console raises SIGIO when the other end of a port is connected or let go.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
    ports = [AgentPort(device) for device in find_devices(sys.argv[1])]
    for port in ports:
        port.request_signals()
        threading.Thread(target=port.serve, daemon=True).start()
    while True:
        signal.sigwait([signal.SIGIO])
        for port in ports:
            port.driver_changed.set()


if __name__ == "__main__":
    main()
