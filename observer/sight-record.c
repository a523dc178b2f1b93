/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sight-record.h"

#include <linux/kvm.h>
#include <stdlib.h>

#include "clock-math.h"

/* As in plugin/qemu/clock-source.h: only with the master clock does KVM fill in all three. */
#define CLOCK_FLAGS_MASTER (KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)

/* As in plugin/qemu/guest-tsc.h. */
#define TSC_TOLERANCE_PPM 250

/* Fraction bits of the ratio: arch/x86/kvm/vmx/vmx.c, svm/svm.c. */
#define VMX_FRAC_BITS 48
#define SVM_FRAC_BITS 32

#define NS_PER_S G_GINT64_CONSTANT (1000000000)

/* With a ratio of 1 KVM does not scale: it then is 1 << fraction bits, or 1 where there are none. */
static gboolean
is_scaled (guint64 ratio)
{
  return ratio != G_GUINT64_CONSTANT (1) << VMX_FRAC_BITS &&
         ratio != G_GUINT64_CONSTANT (1) << SVM_FRAC_BITS && ratio != 1;
}

/*
 * KVM does not tell how many fraction bits the ratio has. But it is worked out of the two frequencies
 * (set_tsc_khz() in arch/x86/kvm/x86.c), and with one number of bits it comes out to the last one.
 */
static gboolean
find_scale (const struct clock_sight_head *head, const struct clock_sight_vcpu *vcpu,
            struct clock_scale *scale)
{
  static const guint32 candidates[] = { VMX_FRAC_BITS, SVM_FRAC_BITS };

  *scale = (struct clock_scale){ 0 };
  if (!is_scaled (vcpu->ratio))
    return TRUE;
  if (head->host_khz == 0)
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (candidates); i++) {
    *scale = clock_scale_make (vcpu->freq_khz, head->host_khz, candidates[i]);
    if (scale->ratio == vcpu->ratio)
      return TRUE;
  }
  return FALSE;
}

/* The helper asks KVM whether it can scale. Where it can, it does beyond the tolerance, unless that was
 * made larger. */
static gboolean
is_catchup (const struct clock_sight_head *head, const struct clock_sight_vcpu *vcpu)
{
  if ((vcpu->flags & CLOCK_SIGHT_VCPU_CATCHUP) != 0)
    return TRUE;
  return head->host_khz != 0 && !is_scaled (vcpu->ratio) &&
         clock_freq_distance_ppm (vcpu->freq_khz, head->host_khz) > TSC_TOLERANCE_PPM;
}

/* Is every vCPU's TSC made of the host's as that of @first is, but for its offset? */
static gboolean
is_uniform (const struct clock_sight_vcpu *first, const struct clock_sight_vcpu *vcpus,
            guint32 count)
{
  for (guint32 i = 0; i < count; i++) {
    if (vcpus[i].freq_khz != first->freq_khz || vcpus[i].ratio != first->ratio ||
        (vcpus[i].flags & CLOCK_SIGHT_VCPU_PROTECTED) != 0)
      return FALSE;
  }
  return TRUE;
}

static int
compare_ids (const void *a, const void *b)
{
  const struct clock_record_vcpu *first = a;
  const struct clock_record_vcpu *second = b;

  return (first->id > second->id) - (first->id < second->id);
}

static void
fill_times (const struct clock_sight_head *head, gint64 real_minus_boot_ns, gint64 tai_minus_real_s,
            struct clock_record *record)
{
  guint64 distance_ns = (guint64) real_minus_boot_ns;

  /* as it was then, as the clock may have been set since; whole seconds are between the other two */
  if (head->tai_ns != 0)
    distance_ns = head->tai_ns - head->boot_ns - (guint64) tai_minus_real_s * NS_PER_S;
  record->guest_src_ns = head->guest_ns;
  record->host_src_ns = (head->kvm_flags & KVM_CLOCK_REALTIME) != 0 ? head->host_ns
                                                                    : head->boot_ns + distance_ns;
  record->boot_src_ns = record->host_src_ns - distance_ns;
}

static const struct clock_sight_vcpu *
find_first (const struct clock_sight_vcpu *vcpus, guint32 count)
{
  const struct clock_sight_vcpu *first = vcpus;

  for (guint32 i = 1; i < count; i++) {
    if (vcpus[i].id < first->id)
      first = &vcpus[i];
  }
  return first;
}

/* public functions */

enum observer_reason
sight_record_fill (const struct clock_sight_head *head, const struct clock_sight_vcpu *vcpus,
                   gint64 real_minus_boot_ns, gint64 tai_minus_real_s, struct clock_record *record,
                   guint32 *detail)
{
  const struct clock_sight_vcpu *first;
  struct clock_scale scale = { 0 };
  gboolean is_known;
  enum clock_record_error error;

  *detail = 0;
  if ((head->flags & CLOCK_SIGHT_UNREADABLE) != 0)
    return OBSERVER_REASON_UNREADABLE;
  if ((head->flags & CLOCK_SIGHT_TOO_MANY) != 0)
    return OBSERVER_REASON_MISSING_VCPUS;
  if (head->vcpu_count == 0)
    return OBSERVER_REASON_NO_VCPUS;
  for (guint32 i = 0; i < head->vcpu_count; i++) {
    if ((vcpus[i].flags & CLOCK_SIGHT_VCPU_MISSING) != 0)
      return OBSERVER_REASON_MISSING_VCPUS;
  }

  first = find_first (vcpus, head->vcpu_count);
  is_known = is_uniform (first, vcpus, head->vcpu_count) && find_scale (head, first, &scale);
  *record = (struct clock_record){
    .freq_khz = first->freq_khz,
    .flags = CLOCK_RECORD_OBSERVED | (is_catchup (head, first) ? CLOCK_RECORD_TSC_CATCHUP : 0),
    .vcpu_count = head->vcpu_count,
  };
  fill_times (head, real_minus_boot_ns, tai_minus_real_s, record);
  for (guint32 i = 0; i < head->vcpu_count; i++)
    record->vcpus[i] =
      (struct clock_record_vcpu){ .id = vcpus[i].id, .ofs_ticks = vcpus[i].ofs_ticks };
  qsort (record->vcpus, record->vcpu_count, sizeof record->vcpus[0], compare_ids);

  if ((head->kvm_flags & CLOCK_FLAGS_MASTER) == CLOCK_FLAGS_MASTER && is_known) {
    record->flags |= CLOCK_RECORD_MASTER_CLOCK;
    record->tsc_src_ticks = head->tsc_ticks;
    record->tsc_ratio = scale.ratio;
    record->tsc_frac_bits = scale.frac_bits;
  } else if ((head->kvm_flags & KVM_CLOCK_TSC_STABLE) != 0) {
    record->flags |= CLOCK_RECORD_TSC_OPAQUE;
  }
  error = clock_record_check (record, clock_record_size (record->vcpu_count));
  *detail = error;
  return error == CLOCK_RECORD_OK ? OBSERVER_REASON_NONE : OBSERVER_REASON_IMPLAUSIBLE;
}
