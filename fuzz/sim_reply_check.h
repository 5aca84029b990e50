/* What holds for every dialect of the simulated provider, whatever it is asked: it refuses with
 * words or answers with valid JSON, whole and event by event. Only for fuzz_sim_*.c. */
#ifndef DR_FUZZ_SIM_REPLY_CHECK_H
#define DR_FUZZ_SIM_REPLY_CHECK_H

#include "base/assert.h"
#include "sim/sim_dialect.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { TEXT_BYTES_MAX = 64 * 1024 * 1024, EVENTS_MAX = 2000, DEPTH_MAX = 64 };

static inline void check_json(struct dr_json_reader *reader, dr_slice text) {
    dr_json root;
    dr_assert(dr_json_read(reader, text, DEPTH_MAX, &root, NULL) == DR_OK);
}

/* One event: a line of data, behind one that names it in Anthropic's dialect. */
static inline void check_event(struct dr_json_reader *reader, dr_slice event) {
    const dr_slice data = DR_LIT("data: ");
    dr_assert(dr_slice_ends(event, DR_LIT("\n\n")) || dr_slice_ends(event, DR_LIT("\r\n\r\n")));
    dr_assert(dr_slice_starts(event, data) || dr_slice_starts(event, DR_LIT("event: ")));
    check_json(reader, dr_slice_from(event, dr_slice_find(event, data) + data.len));
}

static inline void check_stream(struct dr_json_reader *reader, struct sim_reply *reply,
                                struct dr_buf *text) {
    const struct sim_dialect *dialect = reply->dialect;
    uint64_t tokens = 0;
    int i = 0;
    for (; i < EVENTS_MAX && dialect->next(reply) != SIM_EVENT_DONE; i++) {
        if (dialect->next(reply) == SIM_EVENT_TOKEN) tokens++;
        if (!reply->is_listed) dr_buf_reset(text);
        dialect->write_event(reply, text);
        if (!reply->is_listed) check_event(reader, dr_buf_slice(text));
    }
    if (i == EVENTS_MAX) return;
    dr_assert(tokens == reply->token_events);
    dialect->write_event(reply, text);
    if (reply->is_listed) check_json(reader, dr_buf_slice(text));
}

static inline void check_answer(const struct sim_dialect *dialect, const struct sim_ask *ask,
                                struct dr_json_reader *reader) {
    struct sim_reply_options options = {.created_s = 1};
    struct dr_buf text;
    memset(options.id, 'a', sizeof options.id);
    dr_buf_init(&text, TEXT_BYTES_MAX);
    struct sim_reply *reply = sim_reply_new(dialect, ask, &options);
    if (reply && ask->is_streamed) {
        check_stream(reader, reply, &text);
    } else if (reply) {
        dialect->write(reply, &text);
        check_json(reader, dr_buf_slice(&text));
    }
    sim_reply_free(reply);
    dr_buf_clear(&text);
}

static inline int check_dialect(const struct sim_dialect *dialect, dr_slice model, dr_slice text) {
    struct dr_json_reader *reader = dr_json_reader_new();
    struct dr_json_reader *checker = dr_json_reader_new();
    struct sim_complaint complaint = {.message = ""};
    struct sim_scratch scratch;
    struct sim_ask ask;
    dr_json root;
    const bool is_ready = sim_scratch_init(&scratch) == DR_OK && reader && checker;
    if (is_ready && !dr_json_read(reader, text, DEPTH_MAX, &root, NULL)) {
        sim_ask_init(&ask);
        ask.model = model;
        /* The targets of these two tell what bodies do not. */
        ask.is_streamed = text.len % 2 == 1 && model.len > 0;
        ask.is_listed = text.len % 4 == 1 && model.len > 0;
        if (dialect->read(root, &ask, &scratch, &complaint)) {
            dr_assert(complaint.message[0] != 0);
        } else {
            check_answer(dialect, &ask, checker);
        }
    }
    sim_scratch_clear(&scratch);
    dr_json_reader_free(checker);
    dr_json_reader_free(reader);
    return 0;
}

#endif
