/* A request of Anthropic's Messages, read as its reference describes it. */
#include "dialect/sample_sent.h"

static void put_mark(struct dr_buf *out, dr_json block) {
    const dr_json mark = sample_sent_member(block, "cache_control");

    if (mark) sample_sent_put_value(out, "-|mark ", mark);
}

static void read_source(struct sample_sent *sent, const char *role, dr_json block) {
    const dr_json source = sample_sent_member(block, "source");
    const dr_json title = sample_sent_member(block, "title");
    struct dr_buf *out = &sent->facts.talk;

    sample_sent_only(sent, block, " type source title cache_control ");
    if (dr_slice_is(sample_sent_text(source, "type"), DR_LIT("url"))) {
        sample_sent_only(sent, source, " type url ");
        dr_buf_format(out, "-|%s address %.*s\n", role, DR_FMT(sample_sent_text(source, "url")));
    } else if (dr_slice_is(sample_sent_text(source, "type"), DR_LIT("text"))) {
        sample_sent_only(sent, source, " type media_type data ");
        sample_sent_put_text(out, "-|user document ", sample_sent_text(source, "data"));
    } else {
        sample_sent_only(sent, source, " type media_type data ");
        (void)sample_sent_must(sent,
                               dr_slice_is(sample_sent_text(source, "type"), DR_LIT("base64")),
                               "a source of base64");
        dr_buf_format(out, "-|%s data %.*s %.*s\n", role,
                      DR_FMT(sample_sent_text(source, "media_type")),
                      DR_FMT(sample_sent_text(source, "data")));
    }
    if (title) sample_sent_put_value(out, "-|title ", title);
    put_mark(out, block);
}

static uint32_t number_of(struct sample_sent *sent, dr_slice id) {
    for (uint32_t i = 0; i < sent->call_count; i++) {
        if (dr_slice_is(sample_sent_text(sent->calls[i], "id"), id)) return sent->calls_before + i;
    }
    (void)sample_sent_must(sent, false, "a result of one of the calls");
    return 0;
}

/* Its texts make one; pictures and marks follow. */
static void read_result(struct sample_sent *sent, dr_json block) {
    const dr_json content = sample_sent_member(block, "content");
    struct dr_json_iter iter;
    struct dr_buf text;

    sample_sent_only(sent, block, " type tool_use_id content cache_control ");
    dr_buf_init(&text, SAMPLE_BYTES_MAX);
    dr_buf_put(&text, dr_json_text(content));
    dr_json_iter_init(&iter, content);
    while (dr_json_iter_next(&iter)) dr_buf_put(&text, sample_sent_text(iter.value, "text"));
    sample_sent_put_result(sent, number_of(sent, sample_sent_text(block, "tool_use_id")),
                           dr_buf_slice(&text));
    dr_buf_clear(&text);
    dr_json_iter_init(&iter, content);
    while (dr_json_iter_next(&iter)) {
        if (sample_sent_member(iter.value, "source"))
            read_source(sent, "result", iter.value);
        else
            put_mark(&sent->facts.talk, iter.value);
    }
    put_mark(&sent->facts.talk, block);
    sent->result_count++;
}

static void read_call(struct sample_sent *sent, dr_json block) {
    const dr_slice id = sample_sent_text(block, "id");
    const dr_slice name = sample_sent_text(block, "name");

    sample_sent_only(sent, block, " type id name input cache_control ");
    (void)sample_sent_must(sent, id.len > 0, "an id");
    (void)sample_sent_must(sent, !sample_has_line(&sent->ids, id), "ids that differ");
    dr_buf_format(&sent->ids, "%.*s\n", DR_FMT(id));
    for (size_t i = 0; i < id.len; i++) {
        const char byte = id.data[i];
        (void)sample_sent_must(sent,
                               (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
                                   (byte >= '0' && byte <= '9') || byte == '_' || byte == '-',
                               "an id of letters, digits, '_' and '-'");
    }
    (void)sample_sent_must(sent, dr_json_is(sample_sent_member(block, "input"), DR_JSON_OBJECT),
                           "an input that is an object");
    if (!sample_sent_must(sent, sent->call_count < SAMPLE_CALLS_MAX, "fewer calls")) return;
    dr_buf_format(&sent->facts.talk, "-|call %u %.*s ", sent->calls_before + sent->call_count,
                  DR_FMT(name));
    dr_json_put_value(&sent->facts.talk, sample_sent_member(block, "input"));
    dr_buf_put(&sent->facts.talk,
               sample_sent_member(block, "cache_control") ? DR_LIT(" marked\n") : DR_LIT("\n"));
    sent->calls[sent->call_count++] = block;
}

static void read_block(struct sample_sent *sent, dr_json block, bool is_assistant) {
    struct dr_buf *out = &sent->facts.talk;
    const char *role = is_assistant ? "assistant" : "user";
    const dr_slice type = sample_sent_text(block, "type");

    if (dr_slice_is(type, DR_LIT("text"))) {
        sample_sent_only(sent, block, " type text cache_control ");
        (void)sample_sent_must(sent, sample_sent_text(block, "text").len > 0,
                               "a text that is not empty");
        dr_buf_format(out, "-|%s text ", role);
        sample_sent_put_text(out, "", sample_sent_text(block, "text"));
        put_mark(out, block);
    } else if (!is_assistant && dr_slice_is(type, DR_LIT("tool_result"))) {
        read_result(sent, block);
    } else if (!is_assistant) {
        (void)sample_sent_must(
            sent, dr_slice_is(type, DR_LIT("image")) || dr_slice_is(type, DR_LIT("document")),
            "an image or a document");
        read_source(sent, role, block);
    } else if (dr_slice_is(type, DR_LIT("thinking"))) {
        sample_sent_only(sent, block, " type thinking signature ");
        dr_buf_put(out, DR_LIT("-|thought "));
        dr_json_put_string(out, sample_sent_text(block, "thinking"));
        dr_buf_format(out, " %.*s\n", DR_FMT(sample_sent_text(block, "signature")));
    } else if (dr_slice_is(type, DR_LIT("redacted_thinking"))) {
        sample_sent_only(sent, block, " type data ");
        dr_buf_format(out, "-|redacted %.*s\n", DR_FMT(sample_sent_text(block, "data")));
    } else {
        (void)sample_sent_must(sent, dr_slice_is(type, DR_LIT("tool_use")), "a call");
        read_call(sent, block);
    }
}

/* Turns alternate, begin with the user's, and every call has one result in the turn behind it. */
static void read_messages(struct sample_sent *sent, dr_json messages) {
    struct dr_json_iter iter;
    struct dr_json_iter blocks;
    bool was_assistant = true;

    dr_json_iter_init(&iter, messages);
    while (dr_json_iter_next(&iter)) {
        const dr_slice role = sample_sent_text(iter.value, "role");
        const bool is_assistant = dr_slice_is(role, DR_LIT("assistant"));
        const dr_json content = sample_sent_member(iter.value, "content");
        sample_sent_only(sent, iter.value, " role content ");
        (void)sample_sent_must(sent, is_assistant || dr_slice_is(role, DR_LIT("user")), "a role");
        (void)sample_sent_must(sent, is_assistant != was_assistant, "turns that alternate");
        (void)sample_sent_must(sent, dr_json_count(content) > 0, "a turn that holds something");
        was_assistant = is_assistant;
        sent->result_count = 0;
        if (is_assistant) {
            sent->calls_before += sent->call_count;
            sent->call_count = 0;
        }
        dr_json_iter_init(&blocks, content);
        while (dr_json_iter_next(&blocks)) read_block(sent, blocks.value, is_assistant);
        if (!is_assistant)
            (void)sample_sent_must(sent, sent->result_count == sent->call_count,
                                   "a result for each call");
    }
}

static void read_system(struct sample_sent *sent, dr_json system, struct dr_buf *format) {
    struct dr_json_iter iter;

    dr_json_iter_init(&iter, system);
    while (dr_json_iter_next(&iter)) {
        const dr_slice text = sample_sent_text(iter.value, "text");
        sample_sent_only(sent, iter.value, " type text cache_control ");
        (void)sample_sent_must(sent,
                               dr_slice_is(sample_sent_text(iter.value, "type"), DR_LIT("text")),
                               "a text in 'system'");
        if (sample_sent_is_instruction(sent, text, format)) continue;
        (void)sample_sent_must(sent, text.len > 0, "a text that is not empty");
        sample_sent_put_text(&sent->facts.system, "-|system text ", text);
        put_mark(&sent->facts.system, iter.value);
    }
}

static void read_tool(struct sample_sent *sent, dr_json tool) {
    struct dr_buf *out = &sent->facts.rest;

    sample_sent_only(sent, tool, " name description input_schema strict cache_control ");
    dr_buf_format(out, "-|tool %.*s ", DR_FMT(sample_sent_text(tool, "name")));
    dr_json_put_string(out, sample_sent_text(tool, "description"));
    dr_buf_put_char(out, ' ');
    dr_json_put_value(out, sample_sent_member(tool, "input_schema"));
    if (dr_json_bool(sample_sent_member(tool, "strict"))) dr_buf_put(out, DR_LIT(" strict"));
    if (sample_sent_member(tool, "cache_control")) dr_buf_put(out, DR_LIT(" marked"));
    dr_buf_put_char(out, '\n');
    sent->tool_count++;
}

static void read_choice(struct sample_sent *sent, dr_json choice) {
    struct dr_buf *out = &sent->facts.rest;
    const dr_slice type = sample_sent_text(choice, "type");
    const dr_slice name = sample_sent_text(choice, "name");

    if (sent->tool_count == 0) {
        (void)sample_sent_must(sent, !choice, "nothing beside what it needs");
        return;
    }
    if (choice) sample_sent_only(sent, choice, " type name disable_parallel_tool_use ");
    if (!choice || dr_slice_is(type, DR_LIT("auto"))) {
        dr_buf_put(out, DR_LIT("-|choice may\n"));
    } else if (dr_slice_is(type, DR_LIT("none"))) {
        dr_buf_put(out, DR_LIT("-|choice none\n"));
    } else if (dr_slice_is(type, DR_LIT("any")) || sent->tool_count == 1) {
        dr_buf_put(out, DR_LIT("-|choice must\n"));
    } else {
        (void)sample_sent_must(sent, dr_slice_is(type, DR_LIT("tool")), "a choice");
        dr_buf_format(out, "-|choice must %.*s\n", DR_FMT(name));
    }
    if (dr_json_bool(sample_sent_member(choice, "disable_parallel_tool_use"))) {
        dr_buf_put(out, DR_LIT("-|one call at a time\n"));
    }
}

static void read_format(struct sample_sent *sent, dr_json config) {
    const dr_json format = sample_sent_member(config, "format");

    if (config) sample_sent_only(sent, config, " effort format ");
    if (!format) return;
    sample_sent_only(sent, format, " type schema ");
    (void)sample_sent_must(sent,
                           dr_slice_is(sample_sent_text(format, "type"), DR_LIT("json_schema")),
                           "a JSON schema as format");
    sample_sent_put_member(sent, format, "schema", "-|format ");
}

static void read_thinking(struct sample_sent *sent, dr_json thinking) {
    if (!thinking) return;
    sample_sent_only(sent, thinking, " type budget_tokens display ");
    (void)dr_json_to_u64(sample_sent_member(thinking, "budget_tokens"), &sent->budget);
    dr_buf_format(&sent->facts.rest, "%s|thinking on\n", sent->thinking);
}

void sample_sent_read_anthropic(struct sample_sent *sent, dr_json root) {
    struct dr_json_iter iter;
    struct dr_buf format;

    sample_sent_init(sent);
    dr_buf_init(&format, SAMPLE_BYTES_MAX);
    sample_sent_only(sent, root,
                     " model max_tokens system messages tools tool_choice temperature top_p "
                     "stop_sequences thinking output_config metadata service_tier "
                     "cache_control stream ");
    read_system(sent, sample_sent_member(root, "system"), &format);
    read_messages(sent, sample_sent_member(root, "messages"));
    dr_json_iter_init(&iter, sample_sent_member(root, "tools"));
    while (dr_json_iter_next(&iter)) read_tool(sent, iter.value);
    read_choice(sent, sample_sent_member(root, "tool_choice"));
    dr_buf_put(&sent->facts.rest, dr_buf_slice(&format));
    dr_buf_clear(&format);
    read_format(sent, sample_sent_member(root, "output_config"));
    (void)sample_sent_must(
        sent, dr_json_to_u64(sample_sent_member(root, "max_tokens"), &sent->limit), "max_tokens");
    sample_sent_put_member(sent, root, "max_tokens", "-|limit ");
    read_thinking(sent, sample_sent_member(root, "thinking"));
    sample_sent_put_member(sent, root, "temperature", "temperature|temperature ");
    sample_sent_put_member(sent, root, "top_p", "top_p|top_p ");
    dr_json_iter_init(&iter, sample_sent_member(root, "stop_sequences"));
    while (dr_json_iter_next(&iter)) {
        sample_sent_put_value(&sent->facts.rest, "-|stop ", iter.value);
    }
    sample_sent_put_member(sent, sample_sent_member(root, "metadata"), "user_id", "-|user ");
    sample_sent_put_member(sent, root, "service_tier", "-|service_tier ");
    sample_sent_put_member(sent, root, "cache_control", "-|cache_control ");
    sample_sent_put_member(sent, root, "stream", "-|stream ");
}
