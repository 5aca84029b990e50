/* sim/chat_ask, chat_answer, schema_sample: any JSON is refused with words or answered with valid
 * JSON, whole and event by event. */
#include "sim/chat_answer.h"

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

enum { TEXT_BYTES_MAX = 64 * 1024 * 1024, EVENTS_MAX = 2000, DEPTH_MAX = 64 };

static void check_json(struct dr_json_reader *reader, dr_slice text) {
    dr_json root;
    dr_assert(dr_json_read(reader, text, DEPTH_MAX, &root, NULL) == DR_OK);
}

static void check_stream(struct dr_json_reader *reader, struct sim_answer *answer,
                         struct dr_buf *text) {
    for (int i = 0; i < EVENTS_MAX && sim_answer_next(answer) != SIM_EVENT_DONE; i++) {
        dr_buf_reset(text);
        sim_answer_write_event(answer, text);
        const dr_slice event = dr_buf_slice(text);
        dr_assert(dr_slice_starts(event, DR_LIT("data: ")));
        dr_assert(dr_slice_ends(event, DR_LIT("\n\n")));
        check_json(reader, dr_slice_from(event, 6));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    struct sim_answer_options options = {.created_s = 1};
    memset(options.id, 'a', sizeof options.id);
    struct dr_json_reader *reader = dr_json_reader_new();
    struct dr_json_reader *checker = dr_json_reader_new();
    struct sim_complaint complaint = {.message = ""};
    struct sim_ask ask;
    dr_json root;
    if (reader && checker &&
        !dr_json_read(reader, dr_slice_of((const char *)bytes, len), DEPTH_MAX, &root, NULL)) {
        if (sim_ask_read(root, &ask, &complaint)) {
            dr_assert(complaint.message[0] != 0);
        } else {
            struct dr_buf text;
            dr_buf_init(&text, TEXT_BYTES_MAX);
            struct sim_answer *answer = sim_answer_new(&ask, &options);
            if (answer && ask.is_streamed) {
                check_stream(checker, answer, &text);
            } else if (answer) {
                sim_answer_write(answer, &text);
                check_json(checker, dr_buf_slice(&text));
            }
            sim_answer_free(answer);
            dr_buf_clear(&text);
        }
    }
    dr_json_reader_free(checker);
    dr_json_reader_free(reader);
    return 0;
}
