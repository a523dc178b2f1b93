/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* domain-xml - a domain's XML as libvirt may hand it to the daemon and to clockferryctl */
#include "domain-promises.h"
#include "fuzz-target.h"

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *xml = fuzz_take_text (data, size);

  fuzz_begin ();
  domain_promises_check (xml);
  return 0;
}
