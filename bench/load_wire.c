/* Texts and framing of the load generator, with code of its own: a witness that shared the relay's
 * parsers would share their faults. Must not read or write a socket. */
#include "load_wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HOLE_NUMBER "0000000000"
#define HOLE_INDEX "000000"
#define HOLE_TIME "0000000000000000"
/* The name behind an alias, as providers answer with it. */
#define ANSWER_MODEL "gpt-4o-mini-2024-07-18"
/* Up to the details. */
#define USAGE "{\"prompt_tokens\":171,\"completion_tokens\":96,\"total_tokens\":267,"

static const char user_text[] =
    "Please read the following paragraph and say in three short sentences what it is about, which "
    "claims it makes, and whether they follow from what is given. A relay stands between "
    "applications and the providers of models. It knows who asks, decides who answers, counts what "
    "was used and passes every byte on as soon as it has come, for a reader watches the words "
    "appear, and a pause that a machine would not notice is a pause to him. What it costs must be "
    "small beside what it carries; what it keeps in memory must not grow with the patience of a "
    "slow reader; and what it writes into its books must be true even when the lights go out. "
    "Answer in plain words, without a list.";

static void put(struct load_text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void put(struct load_text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int len =
        vsnprintf(text->bytes + text->len, sizeof(text->bytes) - text->len, format, arguments);
    va_end(arguments);
    if (len > 0) text->len += (size_t)len;
    if (text->len >= sizeof(text->bytes)) text->len = sizeof(text->bytes) - 1;
}

static size_t put_hole(struct load_text *text, const char *zeros) {
    const size_t at = text->len;
    put(text, "%s", zeros);
    return at;
}

static void init_ask(struct load_text *ask, const char *key, const char *model, bool is_stream,
                     const char *header) {
    struct load_text body = {.len = 0};
    put(&body, "{\"model\":\"%s\",%s\"temperature\":0.7,\"max_tokens\":512,\"messages\":[", model,
        is_stream ? "\"stream\":true,\"stream_options\":{\"include_usage\":true}," : "");
    put(&body, "{\"role\":\"system\",\"content\":\"You are a careful assistant.\"},");
    put(&body, "{\"role\":\"user\",\"content\":\"%s\"}],\"user\":\"", user_text);
    const size_t number_at = put_hole(&body, HOLE_NUMBER);
    put(&body, "\"}");

    put(ask, "POST /v1/chat/completions HTTP/1.1\r\nHost: relay.example\r\n");
    put(ask, "Accept: application/json\r\nContent-Type: application/json\r\n");
    put(ask, "User-Agent: OpenAI/Python 1.51.0\r\nX-Stainless-Lang: python\r\n");
    put(ask, "X-Stainless-Runtime: CPython\r\nX-Stainless-Retry-Count: 0\r\n%s", header);
    put(ask, "Authorization: Bearer %s\r\nContent-Length: %zu\r\n\r\n", key, body.len);
    ask->number_at = ask->len + number_at;
    put(ask, "%s", body.bytes);
}

static void init_answer(struct load_wire *wire, const char *model) {
    struct load_text body = {.len = 0};
    put(&body, "{\"id\":\"chatcmpl-");
    const size_t number_at = put_hole(&body, HOLE_NUMBER);
    put(&body, "\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"%s\",", model);
    put(&body,
        "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%.420s\"",
        user_text);
    put(&body, ",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{");
    put(&body, "\"prompt_tokens\":171,\"completion_tokens\":96,\"total_tokens\":267,");
    put(&body, "\"prompt_tokens_details\":{\"cached_tokens\":0}},\"system_fingerprint\":\"fp_1\"}");

    put(&wire->answer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n");
    put(&wire->answer, "Date: Tue, 24 Nov 2026 00:00:00 GMT\r\nServer: provider\r\n");
    put(&wire->answer, "X-Request-Id: req_0123456789abcdef\r\nopenai-processing-ms: 12\r\n");
    put(&wire->answer, "Content-Length: %zu\r\n\r\n", body.len);
    wire->answer_head_len = wire->answer.len;
    wire->answer.number_at = wire->answer.len + number_at;
    put(&wire->answer, "%s", body.bytes);
}

/* `line` becomes the event of one HTTP chunk; the holes move by the chunk's head. */
static void init_chunk(struct load_text *chunk, const struct load_text *line) {
    put(chunk, "%zx\r\n", line->len + 2);
    chunk->payload_at = chunk->len;
    if (line->number_at > 0) chunk->number_at = chunk->len + line->number_at;
    if (line->index_at > 0) chunk->index_at = chunk->len + line->index_at;
    if (line->due_at > 0) chunk->due_at = chunk->len + line->due_at;
    if (line->sent_at > 0) chunk->sent_at = chunk->len + line->sent_at;
    put(chunk, "%s\n\n\r\n", line->bytes);
}

static void init_stream_head(struct load_wire *wire) {
    put(&wire->stream_head, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n");
    put(&wire->stream_head, "Date: Tue, 24 Nov 2026 00:00:00 GMT\r\nServer: provider\r\n");
    put(&wire->stream_head, "X-Request-Id: req_0123456789abcdef\r\nCache-Control: no-cache\r\n");
    put(&wire->stream_head, "Transfer-Encoding: chunked\r\n\r\n");
}

static void put_event_begin(struct load_text *event) {
    put(event, "data: {\"id\":\"chatcmpl-Chun1541wO9KsnA1Azu");
    event->number_at = put_hole(event, HOLE_NUMBER);
    put(event, "\",\"object\":\"chat.completion.chunk\",\"created\":1764582439,");
    put(event, "\"model\":\"" ANSWER_MODEL "\",\"service_tier\":\"default\",");
    put(event, "\"system_fingerprint\":\"fp_b547601dbd\",\"choices\":[");
}

static void put_event_end(struct load_text *event, const char *finish, const char *filler) {
    put(event, ",\"logprobs\":null,\"finish_reason\":%s}],\"usage\":null,", finish);
    put(event, "\"obfuscation\":\"%s\"}", filler);
}

/* As recorded streams of chat completions have it, but for the words. */
static void init_stream(struct load_wire *wire) {
    struct load_text begin = {.len = 0};
    struct load_text event = {.len = 0};
    struct load_text finish = {.len = 0};
    struct load_text usage = {.len = 0};

    put_event_begin(&begin);
    put(&begin, "{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",");
    put(&begin, "\"refusal\":null}");
    put_event_end(&begin, "null", "Uz2DY2OFR");
    wire->begin_line_len = begin.len;
    init_chunk(&wire->begin, &begin);

    put_event_begin(&event);
    put(&event, "{\"index\":0,\"delta\":{\"content\":\" ");
    event.index_at = put_hole(&event, HOLE_INDEX);
    put(&event, " ");
    event.due_at = put_hole(&event, HOLE_TIME);
    put(&event, " ");
    event.sent_at = put_hole(&event, HOLE_TIME);
    put(&event, "\"}");
    put_event_end(&event, "null", "pmqxUY");
    wire->event_line_len = event.len;
    init_chunk(&wire->event, &event);

    put_event_begin(&finish);
    put(&finish, "{\"index\":0,\"delta\":{}");
    put_event_end(&finish, "\"stop\"", "X52pC");
    wire->finish_line_len = finish.len;
    init_chunk(&wire->finish, &finish);

    put_event_begin(&usage);
    put(&usage, "],\"usage\":" USAGE "\"prompt_tokens_details\":{\"cached_tokens\":0,");
    put(&usage, "\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0,");
    put(&usage, "\"audio_tokens\":0,\"accepted_prediction_tokens\":0,");
    put(&usage, "\"rejected_prediction_tokens\":0}},\"obfuscation\":\"pJV\"}");
    wire->usage_line_len = usage.len;
    init_chunk(&wire->usage, &usage);
    put(&wire->done, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
}

/* As recorded streams have it; only the first event names the message. */
static void init_messages(struct load_wire *wire, const char *model) {
    struct load_text begin = {.len = 0};
    struct load_text event = {.len = 0};
    struct load_text end = {.len = 0};

    put(&begin, "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{");
    put(&begin, "\"model\":\"%s\",\"id\":\"msg_", model);
    begin.number_at = put_hole(&begin, HOLE_NUMBER);
    put(&begin, "\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],");
    put(&begin, "\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":171,");
    put(&begin, "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0,");
    put(&begin, "\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: ");
    put(&begin, "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":");
    put(&begin, "{\"type\":\"text\",\"text\":\"\"}}\n\nevent: ping\ndata: {\"type\": \"ping\"}");
    init_chunk(&wire->begin, &begin);

    put(&event, "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,");
    put(&event, "\"delta\":{\"type\":\"text_delta\",\"text\":\" ");
    event.index_at = put_hole(&event, HOLE_INDEX);
    put(&event, " ");
    event.due_at = put_hole(&event, HOLE_TIME);
    put(&event, " ");
    event.sent_at = put_hole(&event, HOLE_TIME);
    put(&event, "\"}}");
    init_chunk(&wire->event, &event);

    put(&end, "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n");
    put(&end, "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":");
    put(&end, "{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":");
    put(&end, "{\"output_tokens\":96}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}");
    init_chunk(&wire->usage, &end);
    put(&wire->done, "0\r\n\r\n");
}

/* The key and what has to come back for it are those of RFC 6455 section 1.3. */
const char load_ws_accept[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

static void init_ws_ask(struct load_wire *wire, const char *key, const char *model) {
    struct load_text *handshake = &wire->ws_handshake;
    struct load_text *ask = &wire->ws_ask;
    put(handshake, "GET /v1/ws/chat HTTP/1.1\r\nHost: relay.example\r\nUpgrade: websocket\r\n");
    put(handshake, "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n");
    put(handshake, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    put(handshake, "User-Agent: load\r\nAuthorization: Bearer %s\r\n\r\n", key);

    put(ask, "{\"id\":\"");
    ask->index_at = put_hole(ask, HOLE_NUMBER);
    put(ask, "\",\"model\":\"%s\",\"temperature\":0.7,\"max_tokens\":512,\"messages\":[", model);
    put(ask, "{\"role\":\"system\",\"content\":\"You are a careful assistant.\"},");
    put(ask, "{\"role\":\"user\",\"content\":\"%s\"}],\"user\":\"", user_text);
    ask->number_at = put_hole(ask, HOLE_NUMBER);
    put(ask, "\"}");
}

static void init_ws_frames(struct load_wire *wire) {
    struct load_text *event = &wire->ws_event;
    put(&wire->ws_head, "{\"id\":\"");
    wire->ws_head.number_at = put_hole(&wire->ws_head, HOLE_NUMBER);
    put(&wire->ws_head, "\",\"seq\":");
    put(&wire->ws_accepted, ",\"accepted\":true,\"request_id\":\"");
    put(event, ",\"content\":\" ");
    event->index_at = put_hole(event, HOLE_INDEX);
    put(event, " ");
    event->due_at = put_hole(event, HOLE_TIME);
    put(event, " ");
    event->sent_at = put_hole(event, HOLE_TIME);
    put(event, "\"}");
    put(&wire->ws_done,
        ",\"done\":true,\"finish_reason\":\"stop\",\"model\":\"" ANSWER_MODEL "\",");
    put(&wire->ws_done, "\"usage\":" USAGE "\"prompt_tokens_details\":{\"cached_tokens\":0},");
    put(&wire->ws_done, "\"completion_tokens_details\":{\"reasoning_tokens\":0}}");
}

void load_wire_init(struct load_wire *wire, const char *key, const char *model,
                    bool speaks_anthropic) {
    *wire = (struct load_wire){.speaks_anthropic = speaks_anthropic};
    init_ws_ask(wire, key, model);
    init_ws_frames(wire);
    init_ask(&wire->ask_json, key, model, false, "");
    init_ask(&wire->ask_stream, key, model, true, "");
    init_ask(&wire->ask_resumable, key, model, true, "x-drover-resumable: true\r\n");
    init_answer(wire, model);
    init_stream_head(wire);
    if (speaks_anthropic)
        init_messages(wire, model);
    else
        init_stream(wire);
}

void load_digits_put(char *place, size_t digits, uint64_t value) {
    for (size_t i = digits; i > 0; i--) {
        place[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
}

bool load_digits_read(const char *place, size_t digits, uint64_t *ret) {
    uint64_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        if (place[i] < '0' || place[i] > '9') return false;
        value = value * 10 + (uint64_t)(place[i] - '0');
    }
    *ret = value;
    return true;
}

void load_text_number(struct load_text *text, uint64_t number) {
    if (text->number_at == 0) return;
    load_digits_put(text->bytes + text->number_at, LOAD_NUMBER_DIGITS, number);
}

/* --- heads ---------------------------------------------------------------------------------- */

static bool is_header(const char *line, size_t len, const char *name, size_t name_len) {
    return len > name_len && line[name_len] == ':' && strncasecmp(line, name, name_len) == 0;
}

static size_t read_length(const char *line, size_t len) {
    size_t value = 0;
    for (size_t i = 0; i < len; i++) {
        if (line[i] >= '0' && line[i] <= '9') value = value * 10 + (size_t)(line[i] - '0');
    }
    return value;
}

enum load_head_outcome load_head_read(const char *bytes, size_t len, struct load_head *ret_head) {
    const char *end = memmem(bytes, len, "\r\n\r\n", 4);
    if (!end) return LOAD_HEAD_PART;
    struct load_head head = {.len = (size_t)(end - bytes) + 4};
    uint64_t status = 0;
    if (head.len > 12 && memcmp(bytes, "HTTP/1.1 ", 9) == 0) {
        if (!load_digits_read(bytes + 9, 3, &status)) return LOAD_HEAD_WRONG;
    }
    head.status = (unsigned)status;
    const char *line = memchr(bytes, '\n', head.len);
    while (line && line < end) {
        line++;
        const char *next = memchr(line, '\n', (size_t)(end + 2 - line));
        const size_t line_len = (size_t)((next ? next : end + 2) - line);
        const char first = (char)(line[0] | 0x20);
        if (first == 'c' && is_header(line, line_len, "content-length", 14))
            head.body_len = read_length(line + 15, line_len - 15);
        else if (first == 'c' && is_header(line, line_len, "connection", 10))
            head.will_close = memmem(line, line_len, "close", 5) != NULL;
        else if (first == 't' && is_header(line, line_len, "transfer-encoding", 17))
            head.is_chunked = true;
        line = next;
    }
    *ret_head = head;
    return LOAD_HEAD_WHOLE;
}

/* --- chunks --------------------------------------------------------------------------------- */

static void take_size_byte(struct load_chunks *chunks, char byte) {
    if (byte >= '0' && byte <= '9')
        chunks->left = chunks->left * 16 + (size_t)(byte - '0');
    else if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f')
        chunks->left = chunks->left * 16 + (size_t)((byte | 0x20) - 'a' + 10);
    else
        chunks->stage = byte == '\r' ? LOAD_CHUNK_SIZE_END : LOAD_CHUNK_WRONG;
}

size_t load_chunks_skip(struct load_chunks *chunks, const char *bytes, size_t len) {
    size_t at = 0;
    if (chunks->stage == LOAD_CHUNK_BYTES && chunks->left == 0) chunks->stage = LOAD_CHUNK_END;
    while (at < len) {
        switch (chunks->stage) {
        case LOAD_CHUNK_SIZE: take_size_byte(chunks, bytes[at++]); break;
        case LOAD_CHUNK_SIZE_END:
            if (bytes[at++] != '\n')
                chunks->stage = LOAD_CHUNK_WRONG;
            else
                chunks->stage = chunks->left > 0 ? LOAD_CHUNK_BYTES : LOAD_CHUNK_LAST;
            break;
        case LOAD_CHUNK_END:
            if (bytes[at++] == '\n') chunks->stage = LOAD_CHUNK_SIZE;
            break;
        case LOAD_CHUNK_LAST:
            if (bytes[at++] == '\n') chunks->stage = LOAD_CHUNK_DONE;
            break;
        case LOAD_CHUNK_BYTES:
        case LOAD_CHUNK_DONE:
        case LOAD_CHUNK_WRONG: return at;
        }
    }
    return at;
}
