# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Linux guest: its initramfs, and its libvirt domain."""

import dataclasses
import gzip
import uuid

import build_tree
import cpio_archive
import debian_kernel

GUEST_DIR = "/var/lib/clockferry-test"
YARDSTICK_PORT_NAME = "org.clockferry.yardstick"

DISK_MIB = 16

_INITRAMFS_PATH = f"{GUEST_DIR}/guest-initramfs.gz"
_LOG_DIR = "/var/log/libvirt/qemu"

HIDDEN_KVM_XML = "<kvm><hidden state='on'/></kvm>"

# libvirt's hooks can add the helper to a QEMU that receives a guest, not to one that is started: that takes the domain's own XML.
WITH_HELPER_XML = "<qemu:commandline><qemu:env name='LD_PRELOAD' value='libclockferry-qemu.so'/></qemu:commandline>"


@dataclasses.dataclass(frozen=True)
class GuestSpec:
    """A guest to be. The fields of XML are put in as they are, for what a test needs beyond the plain guest."""
    name: str = "guest"
    vcpus: int = 1
    memory_mib: int = 96
    clocksource: str = None                  # None: what the guest's kernel chooses by itself
    extra_cmdline: str = ""
    persistent: bool = False
    vcpus_max: int = None                    # None: as many as vcpus
    disk: bool = False                       # a qcow2 image of its own on either host
    cpu_xml: str = "<cpu mode='host-passthrough' check='none' migratable='on'/>"
    clock_xml: str = "<clock offset='utc'/>"
    features_xml: str = ""                   # inside <features>
    metadata_xml: str = ""                   # inside <metadata>
    devices_xml: str = ""                    # inside <devices>
    domain_xml: str = ""                     # at the end of <domain>, e.g. <qemu:commandline>

    @property
    def uuid(self):
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.name}.guest.clockferry.test"))

    @property
    def yardstick_path(self):
        """Where the guest's lines go, on whichever host it runs."""
        return f"{_LOG_DIR}/{self.name}-yardstick.log"

    @property
    def console_path(self):
        return f"{_LOG_DIR}/{self.name}-console.log"

    @property
    def disk_path(self):
        return f"{GUEST_DIR}/{self.name}.qcow2"


def without_kvmclock(host):
    """Fields of a guest that does not see KVM, and has only its TSC to go by.

    Under emulation its kernel cannot measure the TSC's frequency, so it is told, as the emulated hosts are.
    """
    frequency = next(word for word in host.get_file("/proc/cmdline").split() if word.startswith("tsc_early_khz="))
    return {"features_xml": HIDDEN_KVM_XML, "clocksource": "tsc", "extra_cmdline": f"{frequency} hpet=disable pmtmr=0"}


def build_initramfs():
    archive = cpio_archive.CpioArchive()
    archive.add_file("init", build_tree.compile_guest_init().read_bytes(), mode=0o755)
    debian_kernel.add_modules_to(archive, debian_kernel.find_kernel(), ["virtio_pci", "virtio_console"])
    return gzip.compress(archive.to_bytes(), compresslevel=9)


def deploy_initramfs(hosts):
    content = build_initramfs()
    for host in hosts:
        host.put_file(_INITRAMFS_PATH, content)


def deploy_disk(hosts, spec):
    for host in hosts:
        host.run(["qemu-img", "create", "-q", "-f", "qcow2", spec.disk_path, f"{DISK_MIB}M"])


def make_domain_xml(spec):
    kernel = debian_kernel.find_kernel()
    # A guest of an emulated host boots in two thirds of the time where it neither moves its kernel elsewhere (nokaslr) nor looks
    # for an AGP bridge on each of 256 busses, twice (pci=noearly).
    cmdline = ("console=ttyS0 quiet tsc=reliable mitigations=off no_timer_check cryptomgr.notests nowatchdog panic=-1 nokaslr "
               "pci=noearly")
    if spec.clocksource:
        cmdline += f" clocksource={spec.clocksource}"
    disk_xml = (f"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='{spec.disk_path}'/>"
                "<target dev='vda' bus='virtio'/></disk>") if spec.disk else ""
    return f"""\
<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>{spec.name}</name>
  <uuid>{spec.uuid}</uuid>
  <metadata>{spec.metadata_xml}</metadata>
  <memory unit='MiB'>{spec.memory_mib}</memory>
  <vcpu current='{spec.vcpus}'>{spec.vcpus_max or spec.vcpus}</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{kernel.image}</kernel>
    <initrd>{_INITRAMFS_PATH}</initrd>
    <cmdline>{cmdline} {spec.extra_cmdline}</cmdline>
  </os>
  <features><acpi/><apic/>{spec.features_xml}</features>
  {spec.cpu_xml}
  {spec.clock_xml}
  <on_crash>preserve</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    <serial type='file'><source path='{spec.console_path}' append='on'/></serial>
    <channel type='file'>
      <source path='{spec.yardstick_path}' append='on'/>
      <target type='virtio' name='{YARDSTICK_PORT_NAME}'/>
    </channel>
    <memballoon model='none'/>
    {disk_xml}
    {spec.devices_xml}
  </devices>
  {spec.domain_xml}
</domain>
"""
