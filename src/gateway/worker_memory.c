/* What a worker keeps for its exchanges: editions, readers, scratch buffers, lists of spares. Must
 * not know loops or threads. */
#include "base/alloc.h"
#include "gateway/exchange.h"
#include "gateway/reading.h"
#include "gateway/worker.h"

enum {
    /* There from the start: an answer's head, and a refusal of the longest sentence, never ask for
     * memory, so that a client gets them when there is none. */
    HEAD_BYTES = 16 * 1024,
    REFUSAL_BYTES = 16 * 1024,
    SCRATCH_BODY_BYTES_MAX = 1024 * 1024,
    BLOCK_BYTES = 2048, /* a usual ask's memory: its body and what is said about it */
    SPARE_BLOCKS_MAX = 128,
    ASK_VALUES_MAX = 256 * 1024, /* of JSON: a worker reads these in some 20 ms */
};

struct edition *edition_hold(struct edition *edition) {
    edition->users++;
    return edition;
}

void edition_release(struct edition *edition) {
    if (!edition || --edition->users > 0) return;
    const size_t count = edition->snapshot->config->catalog.provider_count;
    for (size_t i = 0; edition->origins && i < count; i++) {
        if (edition->origins[i]) dr_http_origin_release(edition->origins[i]);
    }
    dr_free(edition->origins);
    key_table_release(edition->keys);
    snapshot_release(edition->snapshot);
    dr_free(edition);
}

struct edition *edition_new(struct worker *worker, struct snapshot *snapshot,
                            struct key_table *keys) {
    const struct catalog *catalog = &snapshot->config->catalog;
    struct edition *edition = dr_alloc_zero(1, sizeof *edition);
    if (!edition) {
        key_table_release(keys);
        snapshot_release(snapshot);
        return NULL;
    }
    edition->snapshot = snapshot;
    edition->keys = keys;
    edition->users = 1;
    edition->origins = dr_alloc_zero(catalog->provider_count + 1, sizeof(struct dr_http_origin *));
    if (!edition->origins) {
        edition_release(edition);
        return NULL;
    }
    for (size_t i = 0; i < catalog->provider_count; i++) {
        const struct provider *provider = &catalog->providers[i];
        edition->origins[i] = dr_http_origin_hold(worker->pool, provider->host, provider->port,
                                                  snapshot->providers[i].tls);
        if (!edition->origins[i]) {
            edition_release(edition);
            return NULL;
        }
    }
    return edition;
}

enum dr_status worker_memory_init(struct worker *worker, struct dr_error *error) {
    dr_list_init(&worker->exchanges);
    dr_list_init(&worker->follows);
    dr_list_init(&worker->spare_exchanges);
    dr_list_init(&worker->spare_readings);
    dr_buf_init(&worker->head, HEAD_BYTES);
    dr_buf_init(&worker->body, SCRATCH_BODY_BYTES_MAX);
    dr_buf_init(&worker->frame, SIZE_MAX / 2);   /* an event's limit bounds it */
    dr_buf_init(&worker->events, SIZE_MAX / 2);  /* a piece's length bounds it */
    dr_buf_init(&worker->written, SIZE_MAX / 2); /* that or an answer's does */
    dr_buf_init(&worker->frames, SIZE_MAX / 2);  /* a piece's limit, and an event's, bound it */
    dr_block_pool_init(&worker->blocks, BLOCK_BYTES, SPARE_BLOCKS_MAX);
    uint64_t seed;
    dr_entropy_take(&worker->entropy, &seed, sizeof seed);
    counters_init(&worker->counters, seed);
    worker->json = dr_json_reader_new();
    worker->arguments_json = dr_json_reader_new();
    worker->reader = dialect_reader_new();
    if (!worker->json || !worker->arguments_json || !worker->reader ||
        !dr_buf_reserve(&worker->head, HEAD_BYTES) ||
        !dr_buf_reserve(&worker->body, REFUSAL_BYTES)) {
        return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    }
    dr_json_reader_limit(worker->json, ASK_VALUES_MAX);
    dr_json_reader_limit(worker->arguments_json, ASK_VALUES_MAX);
    worker->answers = dialect_reader_openai(worker->reader);
    return DR_OK;
}

void worker_memory_clear(struct worker *worker) {
    dialect_reader_free(worker->reader);
    dr_json_reader_free(worker->arguments_json);
    dr_json_reader_free(worker->json);
    exchange_drop_spares(worker);
    reading_drop_spares(worker);
    dr_block_pool_clear(&worker->blocks);
    counters_clear(&worker->counters);
    dr_buf_clear(&worker->head);
    dr_buf_clear(&worker->body);
    dr_buf_clear(&worker->frame);
    dr_buf_clear(&worker->events);
    dr_buf_clear(&worker->written);
    dr_buf_clear(&worker->frames);
}
