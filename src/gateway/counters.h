/* A worker's own numbers. Written by its thread only; read by that thread too, when a
 * collector's message comes round (see inspect.h), so that nothing here is atomic. */
#ifndef DR_GATEWAY_COUNTERS_H
#define DR_GATEWAY_COUNTERS_H

#include "base/instant.h"
#include "base/map.h"
#include "base/slice.h"
#include "gateway/refusal.h"
#include "model/ledger_entry.h"

/* Upper bounds in microseconds; the last bucket is without bound. */
enum { HISTOGRAM_BUCKETS = 16 };
extern const int64_t histogram_bounds_us[HISTOGRAM_BUCKETS - 1];

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t sum_us;
};
void histogram_note(struct histogram *histogram, int64_t us);

/* One series of settled exchanges. */
struct series_key {
    dr_slice model; /* as configured; empty when none was found */
    dr_slice target;
    enum transport transport;
    uint16_t status;
};
struct series {
    struct series_key key; /* slices are owned by the series */
    uint64_t requests;
    uint64_t prompt_tokens;
    uint64_t completion_tokens;
    int64_t cost_nanousd;
    struct histogram duration;
    struct histogram first_token;
};

struct counters {
    struct dr_map by_key;       /* struct series */
    uint64_t series_lost;       /* settled exchanges beyond the cap of series */
    uint64_t connections;       /* accepted */
    uint64_t refused_early;     /* before a key was accepted */
    dr_instant refused_since;   /* this worker's minute of refusals to accepted keys: */
    uint32_t refused_in_minute; /* not summed */
    uint64_t in_flight[TRANSPORT_COUNT];
    uint64_t attempts_failed;
    uint64_t fallbacks;
    uint64_t estimated; /* answers whose usage was estimated */
    uint64_t storage_refusals;
    uint64_t refusals[REFUSAL_REASON_COUNT]; /* what clients were told instead of an answer */
};

enum { COUNTERS_SERIES_MAX = 4096 };
void counters_init(struct counters *counters, uint64_t seed);
void counters_clear(struct counters *counters);
/* Finds or makes the series; NULL beyond the cap or out of memory (then counted as lost). */
struct series *counters_series(struct counters *counters, const struct series_key *key);
/* Adds all of `from` into `into` (collecting over workers). False when out of memory. */
bool counters_add(struct counters *into, const struct counters *from);

/* One more refusal to an accepted key, which leaves a record. True once for each minute in which
 * there are so many that the operator is to be told. */
enum { REFUSALS_TOLD = 1000 };
bool counters_note_refused(struct counters *counters, dr_instant now);

#endif
