/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * fuzz-target - what all fuzzers share: the entry point, and how an input is taken apart
 *
 * A fuzzer is LLVMFuzzerTestOneInput() alone. It aborts, by g_assert_..., where the code under test
 * broke a promise; a critical of GLib ends it too. An input must mean the same at every run, so
 * nothing outlives one but what costs too much to be made each time, and no test may depend on that.
 */

#include <glib.h>
#include <stddef.h>
#include <stdint.h>

/* libFuzzer's and run-corpus's entry: one input. Always returns 0, "keep it if it is of use". */
int LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

/* To be called first at each input: from then on criticals end the process, and what is logged, the
 * journal's entries too, goes nowhere. */
void fuzz_begin (void);

/* A folder of this process, removed at its end; owned by this module. */
const char *fuzz_folder (void);

/* Replace the file @name in @directory by these bytes. */
void fuzz_write_file (const char *directory, const char *name, const void *data, size_t size);

/* The input as text: it ends at the first NUL, and the caller frees it. */
char *fuzz_take_text (const uint8_t *data, size_t size);

/*
 * An input that is a list of steps. A step is a byte that says which kind, two bytes with its length,
 * low byte first, and as many bytes. The last one ends with the input.
 */
typedef struct {
  const uint8_t *data;
  size_t size;
} FuzzInput;

typedef struct {
  uint8_t kind;
  const uint8_t *data; /* borrowed from the input, not aligned */
  size_t size;
} FuzzStep;

/* FALSE at the end of the input. */
gboolean fuzz_next_step (FuzzInput *input, FuzzStep *step);

/* Cut a number off the front of @step; of bytes that are not there any more it is 0. Low byte first. */
uint8_t fuzz_take_u8 (FuzzStep *step);
uint64_t fuzz_take_u64 (FuzzStep *step);
