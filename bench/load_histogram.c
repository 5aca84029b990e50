/* Counts durations in buckets. Must not allocate: a note costs a few instructions. */
#include "load_histogram.h"

#include <stddef.h>

static size_t bucket_of(uint64_t ns) {
    if (ns < LOAD_HISTOGRAM_STEPS) return (size_t)ns;
    const unsigned doublings = 63U - 7U - (unsigned)__builtin_clzll(ns);
    const uint64_t step = (ns >> doublings) - LOAD_HISTOGRAM_STEPS;
    const size_t bucket = (size_t)(doublings + 1) * LOAD_HISTOGRAM_STEPS + (size_t)step;
    const size_t last = (size_t)LOAD_HISTOGRAM_DOUBLINGS * LOAD_HISTOGRAM_STEPS - 1;
    return bucket < last ? bucket : last;
}

/* The highest value of the bucket. */
static uint64_t bucket_end_ns(size_t bucket) {
    if (bucket < LOAD_HISTOGRAM_STEPS) return bucket;
    const unsigned doublings = (unsigned)(bucket / LOAD_HISTOGRAM_STEPS) - 1;
    const uint64_t step = bucket % LOAD_HISTOGRAM_STEPS + LOAD_HISTOGRAM_STEPS;
    return ((step + 1) << doublings) - 1;
}

void load_histogram_note(struct load_histogram *histogram, int64_t ns) {
    const uint64_t value = ns > 0 ? (uint64_t)ns : 0;
    histogram->counts[bucket_of(value)]++;
    histogram->count++;
    if (value > histogram->max_ns) histogram->max_ns = value;
}

double load_histogram_us(const struct load_histogram *histogram, double fraction) {
    const double wanted = fraction * (double)histogram->count;
    uint64_t seen = 0;
    for (size_t i = 0; i < sizeof(histogram->counts) / sizeof(histogram->counts[0]); i++) {
        seen += histogram->counts[i];
        if (seen == 0 || (double)seen < wanted) continue;
        const uint64_t end_ns = bucket_end_ns(i);
        return (double)(end_ns < histogram->max_ns ? end_ns : histogram->max_ns) / 1000.0;
    }
    return (double)histogram->max_ns / 1000.0;
}
