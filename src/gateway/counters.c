/* Counting of settled exchanges by series. Must not format anything: that is metrics' work. */
#include "gateway/counters.h"

#include "base/alloc.h"
#include "base/assert.h"

enum { MINUTE_US = 60 * 1000 * 1000 };

const int64_t histogram_bounds_us[HISTOGRAM_BUCKETS - 1] = {
    500,    1000,   2500,    5000,    10000,    25000,    50000,     100000,
    250000, 500000, 1000000, 2500000, 10000000, 60000000, 300000000,
};

void histogram_note(struct histogram *histogram, int64_t us) {
    size_t bucket = 0;
    while (bucket < HISTOGRAM_BUCKETS - 1 && us > histogram_bounds_us[bucket]) bucket++;
    histogram->counts[bucket]++;
    histogram->sum_us += us > 0 ? (uint64_t)us : 0;
}

void counters_init(struct counters *counters, uint64_t seed) {
    *counters = (struct counters){0};
    dr_map_init(&counters->by_key, COUNTERS_SERIES_MAX, seed);
}

void counters_clear(struct counters *counters) {
    size_t cursor = 0;
    for (;;) {
        struct series *series = dr_map_next(&counters->by_key, &cursor);
        if (!series) break;
        dr_free(series);
    }
    dr_map_clear(&counters->by_key);
}

/* transport, status, model, NUL, target: unambiguous since names hold no NUL. */
static dr_slice key_write(const struct series_key *key, char *text, size_t text_len) {
    const size_t model_len = key->model.len < 256 ? key->model.len : 256;
    const size_t target_len = key->target.len < 256 ? key->target.len : 256;
    dr_assert(text_len >= 4 + model_len + target_len);
    text[0] = (char)('0' + (int)key->transport);
    text[1] = (char)(key->status >> 8);
    text[2] = (char)(key->status & 0xff);
    if (model_len > 0) memcpy(text + 3, key->model.data, model_len);
    text[3 + model_len] = '\0';
    if (target_len > 0) memcpy(text + 4 + model_len, key->target.data, target_len);
    return dr_slice_of(text, 4 + model_len + target_len);
}

struct series *counters_series(struct counters *counters, const struct series_key *key) {
    char text[4 + 512];
    const dr_slice name = key_write(key, text, sizeof text);
    struct series *series = dr_map_find(&counters->by_key, name);
    if (series) return series;

    series = dr_alloc_zero(1, sizeof *series + name.len);
    if (!series) {
        counters->series_lost++;
        return NULL;
    }
    char *kept = (char *)(series + 1);
    memcpy(kept, name.data, name.len);
    const size_t model_len = key->model.len < 256 ? key->model.len : 256;
    series->key = *key;
    series->key.model = dr_slice_of(kept + 3, model_len);
    series->key.target = dr_slice_of(kept + 4 + model_len, name.len - 4 - model_len);
    if (dr_map_put(&counters->by_key, dr_slice_of(kept, name.len), series) != DR_OK) {
        dr_free(series);
        counters->series_lost++;
        return NULL;
    }
    return series;
}

static void histogram_add(struct histogram *into, const struct histogram *from) {
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) into->counts[i] += from->counts[i];
    into->sum_us += from->sum_us;
}

bool counters_add(struct counters *into, const struct counters *from) {
    size_t cursor = 0;
    for (;;) {
        const struct series *series = dr_map_next(&from->by_key, &cursor);
        if (!series) break;
        struct series *sum = counters_series(into, &series->key);
        if (!sum) return false;
        sum->requests += series->requests;
        sum->prompt_tokens += series->prompt_tokens;
        sum->completion_tokens += series->completion_tokens;
        sum->cost_nanousd += series->cost_nanousd;
        histogram_add(&sum->duration, &series->duration);
        histogram_add(&sum->first_token, &series->first_token);
    }
    into->series_lost += from->series_lost;
    into->connections += from->connections;
    into->refused_early += from->refused_early;
    for (size_t i = 0; i < TRANSPORT_COUNT; i++) into->in_flight[i] += from->in_flight[i];
    into->attempts_failed += from->attempts_failed;
    into->fallbacks += from->fallbacks;
    into->estimated += from->estimated;
    into->storage_refusals += from->storage_refusals;
    for (size_t i = 0; i < REFUSAL_REASON_COUNT; i++) into->refusals[i] += from->refusals[i];
    return true;
}

bool counters_note_refused(struct counters *counters, dr_instant now) {
    if (dr_instant_us_since(now, counters->refused_since) >= MINUTE_US) {
        counters->refused_since = now;
        counters->refused_in_minute = 0;
    }
    if (counters->refused_in_minute == REFUSALS_TOLD) return false;
    counters->refused_in_minute++;
    return counters->refused_in_minute == REFUSALS_TOLD;
}
