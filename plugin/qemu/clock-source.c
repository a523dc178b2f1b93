/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "clock-source.h"

#include "guest-tsc.h"
#include "host-calls.h"

/* False if KVM does not tell offsets: then the TSC can not be handed over. */
static bool
offsets_fill (const struct kvm_vm *vm, struct clock_record *record)
{
  bool complete = true;

  for (uint32_t i = 0; i < vm->vcpu_count; i++) {
    const struct kvm_vcpu_fd *vcpu = &vm->vcpus[i];

    record->vcpus[i] = (struct clock_record_vcpu){ .id = vcpu->id, .ofs_ticks = vcpu->ofs_ticks };
    complete = complete && vcpu->has_ofs;
  }
  record->vcpu_count = vm->vcpu_count;
  return complete;
}

uint64_t
clock_host_ns (const struct kvm_clock_data *clock)
{
  if ((clock->flags & KVM_CLOCK_REALTIME) != 0)
    return clock->realtime;
  return host_calls.clock_ns (CLOCK_REALTIME);
}

enum helper_reason
clock_source_fill (const struct kvm_vm *vm, const struct kvm_clock_data *clock, uint64_t host_ns,
                   int64_t real_minus_boot_ns, struct clock_record *record)
{
  struct guest_tsc tsc;
  bool has_offsets;

  if (vm->vcpu_count == 0)
    return HELPER_REASON_NO_VCPUS;
  if (guest_tsc_learn (vm, &tsc) < 0)
    return HELPER_REASON_IOCTL_FAILED;

  *record = (struct clock_record){
    .guest_src_ns = clock->clock,
    .host_src_ns = host_ns,
    .boot_src_ns = host_ns - (uint64_t) real_minus_boot_ns,
    .freq_khz = tsc.freq_khz,
  };
  has_offsets = offsets_fill (vm, record);
  if (tsc.catchup)
    record->flags |= CLOCK_RECORD_TSC_CATCHUP;

  if (clock_has_master (clock) && has_offsets && tsc.known) {
    record->flags |= CLOCK_RECORD_MASTER_CLOCK;
    record->tsc_src_ticks = clock->host_tsc;
    record->tsc_ratio = tsc.scale.ratio;
    record->tsc_frac_bits = tsc.scale.frac_bits;
  } else if ((clock->flags & KVM_CLOCK_TSC_STABLE) != 0) {
    record->flags |= CLOCK_RECORD_TSC_OPAQUE;
  }
  return HELPER_REASON_NONE;
}
