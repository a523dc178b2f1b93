# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kvm suite in an emulated host: its KVM has what the machine's own may lack, TSC offsets and a master clock."""

import os
import pathlib

import pytest

import build_tree

_PROGRAMS = sorted(source.stem for source in (build_tree.REPOSITORY_DIR / "tests" / "kvm").glob("*-test.c"))
_BUILD_DIR = build_tree.REPOSITORY_DIR / "build" / "test" / "tests" / "kvm"
_DIRECTORY_IN_HOST = pathlib.PurePosixPath("/var/lib/clockferry-test")

# A folder for what is measured: the programs know it by the same name.
_MEASUREMENTS = "CLOCKFERRY_MEASUREMENTS"
_MEASUREMENTS_FILE = "kvm.csv"
_MEASURING_PROGRAM = "helper-hand-over-test"


def _fetch_measurements(host):
    file = pathlib.Path(os.environ[_MEASUREMENTS]) / _MEASUREMENTS_FILE
    file.write_text(host.get_file(str(_DIRECTORY_IN_HOST / _MEASUREMENTS_FILE)))


@pytest.mark.parametrize("name", _PROGRAMS)
def test_on_a_real_kvm(hosts, name):
    program = _BUILD_DIR / name
    if not program.exists():
        pytest.fail(f"{program} is missing: meson compile -C build/test")
    program_in_host = str(_DIRECTORY_IN_HOST / name)
    is_measured = name == _MEASURING_PROGRAM and _MEASUREMENTS in os.environ
    settings = [f"{_MEASUREMENTS}={_DIRECTORY_IN_HOST}"] if is_measured else []

    hosts.dest.put_file(program_in_host, program.read_bytes(), mode=0o755)
    result = hosts.dest.run(["env", *settings, program_in_host], check=False, timeout=120)
    print(result.stdout)
    assert result.rc == 0, result.stdout + result.stderr
    # on this KVM nothing may be left out for want of an ability
    lines = result.stdout.splitlines()
    assert any(line.startswith("ok ") for line in lines), result.stdout
    assert not any(line.startswith("skip") for line in lines), result.stdout
    if is_measured:
        _fetch_measurements(hosts.dest)
