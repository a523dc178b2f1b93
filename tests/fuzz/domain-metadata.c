/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* domain-metadata - what is in a domain's <metadata>, in a domain that is fine otherwise */
#include "domain-promises.h"
#include "fuzz-target.h"

#define BEFORE                                                                                     \
  "<domain type='kvm' id='7'><name>web</name>"                                                     \
  "<uuid>6c2c1d3e-7f5a-4b7e-9d0c-0123456789ab</uuid><metadata "                                    \
  "xmlns:d='https://clockferry.org/domain/1' xmlns:p='https://clockferry.org/policy/1'>"
#define AFTER "</metadata></domain>"

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autofree char *metadata = fuzz_take_text (data, size);
  g_autofree char *xml = g_strconcat (BEFORE, metadata, AFTER, NULL);

  fuzz_begin ();
  domain_promises_check (xml);
  return 0;
}
