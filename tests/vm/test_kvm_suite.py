# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kvm suite in an emulated host: its KVM has what the machine's own may lack, TSC offsets and a master clock."""

import pytest

import build_tree

_PROGRAM = build_tree.REPOSITORY_DIR / "build" / "test" / "tests" / "kvm" / "helper-kvm-test"
_PATH_IN_HOST = "/var/lib/clockferry-test/helper-kvm-test"


def test_helper_on_a_real_kvm(hosts):
    if not _PROGRAM.exists():
        pytest.fail(f"{_PROGRAM} is missing: meson compile -C build/test")
    hosts.dest.put_file(_PATH_IN_HOST, _PROGRAM.read_bytes(), mode=0o755)
    result = hosts.dest.run([_PATH_IN_HOST], check=False, timeout=120)
    print(result.stdout)
    assert result.rc == 0, result.stdout + result.stderr
    # on this KVM nothing may be left out for want of an ability
    assert not any(line.startswith("skip") for line in result.stdout.splitlines()), result.stdout
