# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the VM tests keep what they make, and how they compile their C programs."""

import os
import pathlib
import subprocess

TESTS_DIR = pathlib.Path(__file__).resolve().parent
REPOSITORY_DIR = TESTS_DIR.parent.parent
BUILD_DIR = REPOSITORY_DIR / "build" / "vm"
STAGING_DIR = REPOSITORY_DIR / "build" / "stage"
PACKAGES_DIR = REPOSITORY_DIR / "build" / "packages"
FAILURES_DIR = BUILD_DIR / "failures"

CFLAGS = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra", "-Werror"]


STATIC_PROGRAM = ("-static",)    # the guest has no libraries
LIBRARY = ("-shared", "-fPIC")


def compile_program(name, source, form=STATIC_PROGRAM):
    """Compile one C file, unless it is up to date."""
    program = BUILD_DIR / "bin" / name
    sources = [source, *TESTS_DIR.glob("*/*.h")]
    if program.exists() and program.stat().st_mtime >= max(file.stat().st_mtime for file in sources):
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    unfinished = program.with_suffix(f".{os.getpid()}")
    subprocess.run(["cc", *CFLAGS, *form, "-o", unfinished, source], check=True)
    unfinished.rename(program)
    return program


def compile_host_clock():
    return compile_program("host-clock", TESTS_DIR / "host_tools" / "host_clock.c")


def compile_phase_gate():
    return compile_program("phase-gate.so", TESTS_DIR / "host_tools" / "phase_gate.c", LIBRARY)


def compile_guest_init():
    return compile_program("guest-init", TESTS_DIR / "guest" / "guest_init.c")
