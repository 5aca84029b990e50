/* Durations counted in buckets whose width grows with the value, as HDR histograms do: 128 buckets
 * for each doubling, so that a quantile is right within 0.8 %, whatever its size. */
#ifndef DR_BENCH_LOAD_HISTOGRAM_H
#define DR_BENCH_LOAD_HISTOGRAM_H

#include <stdint.h>

enum { LOAD_HISTOGRAM_STEPS = 128, LOAD_HISTOGRAM_DOUBLINGS = 34 };

/* Zeroed is empty. */
struct load_histogram {
    uint64_t counts[LOAD_HISTOGRAM_DOUBLINGS * LOAD_HISTOGRAM_STEPS];
    uint64_t count;
    uint64_t max_ns;
};

/* A negative duration counts as 0. */
void load_histogram_note(struct load_histogram *histogram, int64_t ns);
/* The value in microseconds that `fraction` (0 to 1) of the durations do not exceed. */
double load_histogram_us(const struct load_histogram *histogram, double fraction);

#endif
