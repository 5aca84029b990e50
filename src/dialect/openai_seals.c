/* Takes sealed thoughts out of a request that goes to somebody else. Must not touch what other
 * servers call by the same name (`reasoning_details` of MiniMax): only what our own answers say is
 * taken out, by its format.
 *
 * OpenRouter takes and gives `reasoning_details` in these formats, Google's endpoint of OpenAI's
 * dialect `extra_content.google`; with all others they are of no use. */
#include "dialect/openai_seals.h"

#include "dialect/json_writer.h"

struct seals {
    bool takes_details;
    bool takes_extras;
    struct loss *loss;
    bool has_left_out;
};

static bool is_at(dr_slice host, dr_slice domain) {
    return dr_slice_is(host, domain) ||
           (dr_slice_ends(host, domain) && host.data[host.len - domain.len - 1] == '.');
}

static bool is_ours(dr_json details) {
    struct dr_json_iter iter;

    if (!dr_json_is(details, DR_JSON_ARRAY)) return false;
    dr_json_iter_init(&iter, details);
    while (dr_json_iter_next(&iter)) {
        const dr_slice format = dr_json_text(dr_json_member(iter.value, DR_LIT("format")));
        if (!dr_slice_is(format, DR_LIT("anthropic-claude-v1")) &&
            !dr_slice_is(format, DR_LIT("google-gemini-v1"))) {
            return false;
        }
    }
    return true;
}

static void put_call(struct json_writer *writer, struct seals *seals, dr_json call) {
    struct dr_json_iter iter;

    json_open(writer, '{');
    dr_json_iter_init(&iter, call);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        if (!seals->takes_extras && dr_slice_is(name, DR_LIT("extra_content")) &&
            dr_json_member(iter.value, DR_LIT("google"))) {
            loss_drop(seals->loss, DR_LIT("messages.tool_calls.extra_content"));
            seals->has_left_out = true;
            continue;
        }
        json_name(writer, name);
        json_value(writer, iter.value);
    }
    json_close(writer, '}');
}

static void put_calls(struct json_writer *writer, struct seals *seals, dr_json calls) {
    struct dr_json_iter iter;

    json_open(writer, '[');
    dr_json_iter_init(&iter, calls);
    while (dr_json_iter_next(&iter)) put_call(writer, seals, iter.value);
    json_close(writer, ']');
}

static void put_message(struct json_writer *writer, struct seals *seals, dr_json message) {
    struct dr_json_iter iter;

    json_open(writer, '{');
    dr_json_iter_init(&iter, message);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        if (!seals->takes_details && dr_slice_is(name, DR_LIT("reasoning_details")) &&
            is_ours(iter.value)) {
            /* An empty list says nothing that could be missed. */
            if (dr_json_count(iter.value) > 0) {
                loss_drop(seals->loss, DR_LIT("messages.reasoning_details"));
            }
            seals->has_left_out = true;
            continue;
        }
        json_name(writer, name);
        if (dr_slice_is(name, DR_LIT("tool_calls")) && dr_json_is(iter.value, DR_JSON_ARRAY)) {
            put_calls(writer, seals, iter.value);
        } else {
            json_value(writer, iter.value);
        }
    }
    json_close(writer, '}');
}

static void put_messages(struct json_writer *writer, struct seals *seals, dr_json messages) {
    struct dr_json_iter iter;

    json_open(writer, '[');
    dr_json_iter_init(&iter, messages);
    while (dr_json_iter_next(&iter)) put_message(writer, seals, iter.value);
    json_close(writer, ']');
}

static void put_request(struct json_writer *writer, struct seals *seals, dr_json root) {
    struct dr_json_iter iter;

    json_open(writer, '{');
    dr_json_iter_init(&iter, root);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        json_name(writer, name);
        if (dr_slice_is(name, DR_LIT("messages"))) {
            put_messages(writer, seals, iter.value);
        } else {
            json_value(writer, iter.value);
        }
    }
    json_close(writer, '}');
}

enum dr_status openai_strip_seals(struct dr_json_reader *reader, const struct prompt *prompt,
                                  dr_slice host, struct dr_buf *out, struct loss *loss,
                                  struct prompt *ret_prompt) {
    struct seals seals = {
        .takes_details = is_at(host, DR_LIT("openrouter.ai")),
        .takes_extras = is_at(host, DR_LIT("googleapis.com")),
        .loss = loss,
    };
    struct json_writer writer = {.out = out};
    struct prompt_fault fault;
    dr_json root;

    enum dr_status status = dr_json_read(reader, prompt->body, UINT32_MAX, &root, NULL);
    /* The body was accepted before, and so is what is left of it: only memory can be short. */
    if (status) return DR_NO_MEMORY;
    put_request(&writer, &seals, root);
    status = dr_buf_status(out);
    if (status) return status;
    if (!seals.has_left_out) {
        dr_buf_clear(out);
        *ret_prompt = *prompt;
        return DR_OK;
    }
    status = openai_read_prompt(reader, dr_buf_slice(out), ret_prompt, &fault);
    return status ? DR_NO_MEMORY : DR_OK;
}
