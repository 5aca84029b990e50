/* The other end for tests of the simulated provider: one request over a connection of its own, what
 * came, and what a stream said. Only for *_test.c files of this folder. */
#ifndef DR_SIM_PROVIDER_PEER_H
#define DR_SIM_PROVIDER_PEER_H

#include "base/assert.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/utf8.h"
#include "net/address.h"
#include "net/http1_parse.h"
#include "net/stream.h"
#include "sim/provider.h"

#include <stdio.h>

#define PEER_CALL static inline __attribute__((unused))

enum { PATIENCE_MS = 20000, REPLY_BYTES_MAX = 128 * 1024 * 1024, CUTS_SEEN_MAX = 8192 };

struct fixture {
    struct dr_loop *loop;
    struct sim_provider *provider;
    struct dr_json_reader *reader;
};

/* A client's connection and what came over it. */
struct peer {
    struct fixture *fixture;
    struct dr_stream *stream;
    struct dr_buf raw;
    struct dr_buf body;         /* unframed, once parsed */
    size_t ends[CUTS_SEEN_MAX]; /* of `raw`, after each read */
    size_t read_count;
    uint16_t status;
    bool is_whole; /* the response is complete */
    bool is_http;
    bool keeps_alive;
    bool is_open;
    bool has_ended;
    bool has_failed;
    bool is_closed;
};

/* Last words of a test that can't go on. */
PEER_CALL void peer_give_up(const char *reason, dr_slice seen) {
    (void)fprintf(stderr, "%s: %.*s\n", reason, DR_FMT(seen));
    dr_unreachable();
}

/* --- the other end --- */

PEER_CALL void peer_opened(void *owner) {
    ((struct peer *)owner)->is_open = true;
}

PEER_CALL void peer_parse(struct peer *peer) {
    static const struct dr_http1_limits limits = {
        .head_bytes_max = 65536,
        .headers_max = 100,
        .chunk_extension_bytes_max = 64,
        .trailer_bytes_max = 64,
        .body_bytes_max = UINT64_MAX,
    };
    struct dr_http1_parser *parser = dr_http1_parser_new_response(&limits);
    dr_slice bytes = dr_buf_slice(&peer->raw);
    dr_buf_reset(&peer->body);
    peer->is_http = true;
    for (bool is_on = true; is_on;) {
        switch (dr_http1_parse(parser, &bytes)) {
        case DR_HTTP1_HEAD:
            peer->status = dr_http1_head(parser)->status;
            peer->keeps_alive = dr_http1_head(parser)->keeps_alive;
            break;
        case DR_HTTP1_BODY: dr_buf_put(&peer->body, dr_http1_body(parser)); break;
        case DR_HTTP1_MESSAGE_DONE:
            peer->is_whole = true;
            is_on = false;
            break;
        case DR_HTTP1_FAILED:
            peer->is_http = false;
            is_on = false;
            break;
        case DR_HTTP1_NEED_MORE: is_on = false; break;
        }
    }
    dr_http1_parser_free(parser);
}

PEER_CALL void peer_received(void *owner, dr_slice bytes) {
    struct peer *peer = owner;
    dr_buf_put(&peer->raw, bytes);
    if (peer->read_count < CUTS_SEEN_MAX) peer->ends[peer->read_count++] = peer->raw.len;
}

PEER_CALL void peer_ended(void *owner) {
    ((struct peer *)owner)->has_ended = true;
}

PEER_CALL void peer_failed(void *owner, const struct dr_error *error) {
    (void)error;
    ((struct peer *)owner)->has_failed = true;
}

PEER_CALL void peer_drained(void *owner) {
    (void)owner;
}

PEER_CALL void peer_closed(void *owner) {
    ((struct peer *)owner)->is_closed = true;
}

static const struct dr_stream_events peer_events = {
    .opened = peer_opened,
    .received = peer_received,
    .ended = peer_ended,
    .failed = peer_failed,
    .drained = peer_drained,
    .closed = peer_closed,
};

/* Runs the loop until the condition holds; fails the test when that takes too long. */
#define UNTIL(fixture, condition) \
    do { \
        const dr_instant until_start = dr_instant_now(); \
        while (!(condition)) { \
            dr_loop_run_once((fixture)->loop, 2); \
            if (dr_instant_us_since(dr_instant_now(), until_start) > PATIENCE_MS * 1000LL) { \
                peer_give_up("never came true: " #condition, DR_NONE); \
            } \
        } \
    } while (0)

PEER_CALL void peer_connect(struct fixture *fixture, struct peer *peer) {
    struct dr_address address;
    *peer = (struct peer){.fixture = fixture};
    dr_buf_init(&peer->raw, REPLY_BYTES_MAX);
    dr_buf_init(&peer->body, REPLY_BYTES_MAX);
    dr_assert(dr_address_parse(DR_LIT("127.0.0.1"), sim_port(fixture->provider), &address));
    const struct sockaddr *place = (const struct sockaddr *)(const void *)&address.storage;
    dr_assert(dr_stream_connect(fixture->loop, place, NULL, NULL, &peer_events, peer, &peer->stream,
                                NULL) == DR_OK);
    UNTIL(fixture, peer->is_open || peer->has_failed);
}

PEER_CALL void peer_send(struct peer *peer, const char *line, const char *headers,
                         const char *body) {
    struct dr_buf request;
    dr_buf_init(&request, REPLY_BYTES_MAX);
    dr_buf_put(&request, dr_slice_text(line));
    dr_buf_put(&request, DR_LIT(" HTTP/1.1\r\nHost: sim\r\n"));
    dr_buf_put(&request, dr_slice_text(headers));
    dr_buf_format(&request, "Content-Length: %zu\r\n\r\n", strlen(body));
    dr_buf_put(&request, dr_slice_text(body));
    const dr_slice bytes = dr_buf_slice(&request);
    dr_assert(dr_stream_write(peer->stream, &bytes, 1) == DR_OK);
    dr_buf_clear(&request);
}

/* Whole, cut, or broken: nothing more will come. */
PEER_CALL bool peer_is_over(struct peer *peer) {
    if (!peer->has_ended && !peer->has_failed &&
        (peer->raw.len < 5 || peer->raw.data[peer->raw.len - 1] == 0)) {
        return false;
    }
    peer_parse(peer);
    return peer->is_whole || peer->has_ended || peer->has_failed;
}

PEER_CALL void peer_close(struct peer *peer) {
    dr_stream_close(peer->stream);
    UNTIL(peer->fixture, peer->is_closed);
    dr_buf_clear(&peer->raw);
    dr_buf_clear(&peer->body);
}

#define KEY "Authorization: Bearer sk-sim-test\r\n"
#define CHAT "POST /v1/chat/completions"
#define ASK(more) \
    "{\"model\":\"gpt-4.1\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]" more "}"
#define STREAM(more) ASK(",\"stream\":true" more)

/* One request over a connection of its own, until its answer is over. */
PEER_CALL void peer_ask(struct fixture *fixture, struct peer *peer, const char *headers,
                        const char *body) {
    char all[512];
    (void)snprintf(all, sizeof all, "%s%s", KEY, headers);
    peer_connect(fixture, peer);
    peer_send(peer, CHAT, all, body);
    UNTIL(fixture, peer_is_over(peer));
}

#define MESSAGES "POST /v1/messages"
#define GENERATE "POST /v1beta/models/gemini-2.5-flash:generateContent"
#define STREAM_GENERATE "POST /v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
#define VERSION "anthropic-version: 2023-06-01\r\n"
#define ANTHROPIC_KEY "x-api-key: sk-sim-test\r\n" VERSION
#define GOOGLE_KEY "x-goog-api-key: sk-sim-test\r\n"

#define CLAUDE(messages, more) \
    "{\"model\":\"claude-sonnet-4-5\",\"max_tokens\":4000,\"messages\":[" messages "]" more "}"
#define USER(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
#define GEMINI(contents, more) "{\"contents\":[" contents "]" more "}"
#define PARTS(role, parts) "{\"role\":\"" role "\",\"parts\":[" parts "]}"
#define TEXT_PART(text) "{\"text\":\"" text "\"}"
#define HELLO PARTS("user", TEXT_PART("hello"))

/* One request over a connection of its own, until its answer is over. */
PEER_CALL void peer_call(struct fixture *fixture, struct peer *peer, const char *line,
                         const char *headers, const char *body) {
    peer_connect(fixture, peer);
    peer_send(peer, line, headers, body);
    UNTIL(fixture, peer_is_over(peer));
}

PEER_CALL bool peer_has(const struct peer *peer, const char *text) {
    return dr_slice_find(dr_buf_slice(&peer->body), dr_slice_text(text)) < peer->body.len;
}

PEER_CALL size_t peer_count(const struct peer *peer, const char *text) {
    size_t count = 0;
    dr_slice rest = dr_buf_slice(&peer->body);
    for (;;) {
        const size_t at = dr_slice_find(rest, dr_slice_text(text));
        if (at == rest.len) return count;
        rest = dr_slice_from(rest, at + strlen(text));
        count++;
    }
}

/* --- what came --- */

PEER_CALL dr_json read_json(struct fixture *fixture, dr_slice text) {
    dr_json root;
    struct dr_error error;
    const enum dr_status status = dr_json_read(fixture->reader, text, 64, &root, &error);
    if (status) peer_give_up(error.text, text);
    return root;
}

PEER_CALL dr_json at(dr_json value, const char *name) {
    return dr_json_member(value, dr_slice_text(name));
}

PEER_CALL dr_json first(dr_json array) {
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, array);
    return dr_json_iter_next(&iter) ? iter.value : NULL;
}

PEER_CALL void assert_text(dr_json value, const char *expected) {
    const dr_slice text = dr_json_text(value);
    if (!dr_slice_is(text, dr_slice_text(expected))) {
        peer_give_up(expected, text);
    }
}

static uint64_t number(dr_json value) {
    uint64_t result = UINT64_MAX;
    dr_assert(dr_json_to_u64(value, &result));
    return result;
}

/* Joins what a stream says: content of choice 0, arguments of its calls; counts the finishes. */
struct joined {
    struct dr_buf text;
    struct dr_buf arguments;
    char finish[32];
    size_t events;
    size_t finishes;
    size_t call_starts;
    uint64_t completion_tokens;
    bool has_done;
};

PEER_CALL void join_event(struct fixture *fixture, struct joined *joined, dr_slice data) {
    joined->events++;
    if (dr_slice_is(data, DR_LIT("[DONE]"))) {
        joined->has_done = true;
        return;
    }
    dr_json root = read_json(fixture, data);
    assert_text(at(root, "object"), "chat.completion.chunk");
    dr_json choice = first(at(root, "choices"));
    dr_json delta = at(choice, "delta");
    dr_json usage = at(root, "usage");
    if (dr_json_is(usage, DR_JSON_OBJECT)) {
        joined->completion_tokens = number(at(usage, "completion_tokens"));
    }
    if (!choice || number(at(choice, "index")) != 0) return;
    dr_buf_put(&joined->text, dr_json_text(at(delta, "content")));
    dr_json call = first(at(delta, "tool_calls"));
    if (at(call, "id")) joined->call_starts++;
    dr_buf_put(&joined->arguments, dr_json_text(at(at(call, "function"), "arguments")));
    const dr_slice finish = dr_json_text(at(choice, "finish_reason"));
    if (!finish.data) return;
    joined->finishes++;
    dr_assert(dr_slice_to_text(finish, joined->finish, sizeof joined->finish));
}

PEER_CALL void join(const struct peer *peer, struct joined *joined) {
    *joined = (struct joined){.events = 0};
    dr_buf_init(&joined->text, REPLY_BYTES_MAX);
    dr_buf_init(&joined->arguments, REPLY_BYTES_MAX);
    dr_slice rest = dr_buf_slice(&peer->body);
    while (rest.len > 0) {
        const size_t end = dr_slice_find(rest, DR_LIT("\n\n"));
        dr_assert(end < rest.len);
        dr_assert(dr_slice_starts(rest, DR_LIT("data: ")));
        join_event(peer->fixture, joined, dr_slice_from(dr_slice_first(rest, end), 6));
        rest = dr_slice_from(rest, end + 2);
    }
}

PEER_CALL void joined_clear(struct joined *joined) {
    dr_buf_clear(&joined->text);
    dr_buf_clear(&joined->arguments);
}

/* --- fixture --- */

PEER_CALL struct fixture open_with(const struct sim_options *options) {
    struct fixture fixture = {.loop = NULL};
    struct dr_error error;
    struct sim_options all = *options;
    all.listen = DR_LIT("127.0.0.1:0");
    dr_assert(dr_loop_new(&fixture.loop, NULL) == DR_OK);
    if (sim_open(fixture.loop, &all, &fixture.provider, &error)) peer_give_up(error.text, DR_NONE);
    fixture.reader = dr_json_reader_new();
    dr_assert(sim_port(fixture.provider) > 0);
    return fixture;
}

PEER_CALL struct fixture open_plain(void) {
    return open_with(&(struct sim_options){.burst_events = 0});
}

PEER_CALL void shut(struct fixture *fixture) {
    sim_close(fixture->provider);
    dr_loop_run(fixture->loop);
    dr_loop_free(fixture->loop);
    dr_json_reader_free(fixture->reader);
}

/* --- refusals --- */

struct refusal_case {
    const char *body;
    const char *said; /* in the words of the refusal */
};

/* Each body is refused with status 400 in the words of its case; `judge` asserts what the dialect's
 * errors have in common. */
PEER_CALL void peer_expect_refusals(const char *line, const char *headers,
                                    const struct refusal_case *cases, size_t count,
                                    void (*judge)(dr_json root)) {
    struct fixture fixture = open_plain();
    for (size_t i = 0; i < count; i++) {
        struct peer peer;
        peer_call(&fixture, &peer, line, headers, cases[i].body);
        if (peer.status != 400 || !peer_has(&peer, cases[i].said)) {
            peer_give_up(cases[i].body, dr_buf_slice(&peer.body));
        }
        judge(read_json(&fixture, dr_buf_slice(&peer.body)));
        peer_close(&peer);
    }
    shut(&fixture);
}

struct route_case {
    const char *line;
    const char *headers;
    uint16_t status;
    const char *said;
};

PEER_CALL void peer_expect_routes(const struct route_case *routes, size_t count, const char *body) {
    struct fixture fixture = open_plain();
    for (size_t i = 0; i < count; i++) {
        struct peer peer;
        peer_call(&fixture, &peer, routes[i].line, routes[i].headers, body);
        if (peer.status != routes[i].status || !peer_has(&peer, routes[i].said)) {
            peer_give_up(routes[i].line, dr_buf_slice(&peer.raw));
        }
        peer_close(&peer);
    }
    shut(&fixture);
}

/* A table and how many rows it has. */
#define ALL_OF(cases) (cases), sizeof(cases) / sizeof((cases)[0])

#endif
