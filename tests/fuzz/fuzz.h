// What libFuzzer calls. A target returns 0; it ends the process on a finding.
#ifndef TILL_FUZZ_H
#define TILL_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Ends the process with the promise that was broken; libFuzzer then keeps the input.
static inline void fuzz_expect(const char *broken)
{
    if (broken) {
        fprintf(stderr, "not so: %s\n", broken);
        abort();
    }
}

#endif
