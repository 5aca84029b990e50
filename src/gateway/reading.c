/* Conversations and the memory to read them. Must not know dialects of providers, nor when another
 * target is tried. */
#include "gateway/reading.h"

#include "base/alloc.h"
#include "base/arena.h"
#include "base/assert.h"
#include "dialect/openai.h"
#include "gateway/worker.h"

/* At most so many wait for the next asks, each with a reader's scratch block. */
enum { SPARE_READINGS_MAX = 16 };

struct reading {
    struct dr_list node; /* worker's spare list; lone while in use */
    struct worker *worker;
    struct dr_json_reader *json;
    struct dr_arena arena;
    struct conversation conversation;
};

static void reading_free(struct reading *reading) {
    dr_json_reader_free(reading->json);
    dr_free(reading);
}

static struct reading *take_spare(struct worker *worker) {
    if (!dr_list_is_empty(&worker->spare_readings)) {
        struct reading *spare = dr_list_item(worker->spare_readings.next, struct reading, node);
        dr_list_remove(&spare->node);
        worker->spare_reading_count--;
        return spare;
    }
    struct reading *reading = dr_alloc_zero(1, sizeof *reading);
    if (!reading) return NULL;
    dr_list_init(&reading->node);
    reading->worker = worker;
    reading->json = dr_json_reader_new();
    if (reading->json) return reading;
    reading_free(reading);
    return NULL;
}

enum dr_status reading_open(struct worker *worker, const struct prompt *prompt,
                            struct reading **ret_reading) {
    struct reading *reading = take_spare(worker);
    if (!reading) return DR_NO_MEMORY;
    /* A message of a few bytes becomes a record of many. */
    dr_arena_init(&reading->arena, prompt->body.len * 32 + 64 * 1024, &worker->blocks);
    const enum dr_status status =
        openai_read_conversation(reading->json, prompt, &reading->arena, &reading->conversation);
    if (!status) {
        *ret_reading = reading;
        return DR_OK;
    }
    reading_close(reading);
    return DR_NO_MEMORY; /* the body was accepted before: nothing else can be short */
}

void reading_close(struct reading *reading) {
    if (!reading) return;
    struct worker *worker = reading->worker;
    dr_arena_clear(&reading->arena);
    dr_json_reader_trim(reading->json);
    if (worker->spare_reading_count == SPARE_READINGS_MAX) {
        reading_free(reading);
        return;
    }
    dr_list_put_first(&worker->spare_readings, &reading->node);
    worker->spare_reading_count++;
}

const struct conversation *reading_conversation(const struct reading *reading) {
    return &reading->conversation;
}

bool reading_may_stay(const struct reading *reading) {
    const size_t bytes = dr_json_document_bytes(reading->json) + reading->arena.used;
    return bytes <= READING_KEPT_BYTES_MAX;
}

void reading_drop_spares(struct worker *worker) {
    while (!dr_list_is_empty(&worker->spare_readings)) {
        reading_free(take_spare(worker));
    }
    dr_assert(worker->spare_reading_count == 0);
}
