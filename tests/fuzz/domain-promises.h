/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * domain-promises - what is true of any domain XML, and of whatever somebody wrote into its metadata
 */

/* Read @xml as the daemon does, and as clockferryctl does. */
void domain_promises_check (const char *xml);
