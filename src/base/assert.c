/* Last words of a program that found its own bug. Must not allocate: memory may be the bug. */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void dr_assert_failed(const char *expression, const char *file, int line) {
    /* Standard error is unbuffered, so the words are out before the abort. */
    (void)fprintf(stderr, "drover: assertion failed: %s at %s:%d\n", expression, file, line);
    abort();
}
