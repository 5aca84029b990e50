/* Material for tests of the pipeline. Asserts where something of its own does not work; what the
 * gateway does is judged by the tests. Must not use memory of dr_alloc while the plan of failures
 * may be on. */
#include "gateway/sample_worker.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "gateway/http_front.h"
#include "gateway/replay_shared.h"
#include "net/address.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SEGMENT_BYTES = 256 * 1024,
    FILE_BYTES = 4 * SEGMENT_BYTES,
    CONFIG_BYTES = 4096,
    RECORDS_BYTES = 2 * DR_SHEET_BYTES,
};

/* --- the provider's part -------------------------------------------------------------------- */

#define CHUNK(delta) \
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\"," \
    "\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":null}]}\n\n"
#define FINISH_FOR(reason) \
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\"," \
    "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"" reason "\"}]}\n\n"
#define FINISH FINISH_FOR("stop")
#define CALL(call) CHUNK("{\"tool_calls\":[{" call "}]}")
#define USAGE \
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\"," \
    "\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":12}}" \
    "\n\n"
#define BODY(usage) \
    "{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{" \
    "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"good day to you\"}," \
    "\"finish_reason\":\"stop\"}]" usage "}"
#define HELLO CHUNK("{\"role\":\"assistant\",\"content\":\"\"}")

/* What Azure says before the answer. */
#define VERDICT \
    "data: {\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\"," \
    "\"prompt_filter_results\":[{\"prompt_index\":0,\"content_filter_results\":{}}]}\n\n"

/* What Anthropic and Google say. */
#define MESSAGE_START \
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m1\"," \
    "\"model\":\"c\",\"content\":[],\"usage\":{\"input_tokens\":7,\"output_tokens\":1}}}\n\n"
#define BLOCK_START \
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0," \
    "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n"
#define BLOCK_DELTA(text) \
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{" \
    "\"type\":\"text_delta\",\"text\":\"" text "\"}}\n\n"
#define MESSAGE_DELTA \
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":" \
    "\"end_turn\"},\"usage\":{\"output_tokens\":5}}\n\n"
#define MESSAGE_STOP "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
#define CANDIDATE(text, finish) \
    "{\"candidates\":[{\"content\":{\"role\":\"model\",\"parts\":[{\"text\":\"" text \
    "\"}]}" finish "}],\"usageMetadata\":{\"promptTokenCount\":7,\"candidatesTokenCount\":5," \
    "\"totalTokenCount\":12},\"modelVersion\":\"g\",\"responseId\":\"r1\"}"

#define EVENTS "text/event-stream"
#define JSON "application/json"

static const struct script scripts[] = {
    {"whole",
     200,
     JSON,
     {BODY(",\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":12}")},
     false,
     NULL},
    {"deepseek-chat",
     200,
     JSON,
     {BODY(",\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":5,\"total_tokens\":12}")},
     false,
     NULL},
    {"uncounted", 200, JSON, {BODY("")}, false, NULL},
    {"stream",
     200,
     EVENTS,
     {HELLO, CHUNK("{\"content\":\"good \"}") CHUNK("{\"content\":\"day\"}"),
      CHUNK("{\"content\":\" to you\"}"), FINISH USAGE, "data: [DONE]\n\n"},
     false,
     NULL},
    /* a character in two events */
    {"halves",
     200,
     EVENTS,
     {HELLO CHUNK("{\"content\":\"good \\ud83d\"}"), CHUNK("{\"content\":\"\\ude00 day\"}"),
      CHUNK("{\"content\":\" to you\"}"), FINISH USAGE, "data: [DONE]\n\n"},
     false,
     NULL},
    {"calls",
     200,
     EVENTS,
     {HELLO CALL("\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"look\","
                 "\"arguments\":\"\"}"),
      CALL("\"index\":0,\"function\":{\"arguments\":\"{at:\"}")
          CALL("\"index\":0,\"function\":{\"arguments\":\"sea}\"}"),
      CALL("\"index\":1,\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"wait\","
           "\"arguments\":\"{}\"}"),
      FINISH_FOR("tool_calls") USAGE, "data: [DONE]\n\n"},
     false,
     NULL},
    {"uncounted-stream",
     200,
     EVENTS,
     {HELLO CHUNK("{\"content\":\"good day\"}"), FINISH "data: [DONE]\n\n"},
     false,
     NULL},
    /* an event in three pieces: what has come of it must be kept */
    {"torn-stream",
     200,
     EVENTS,
     {"data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"con", "tent\":\"good \xe2\x82",
      "\xac day\"},\"finish_reason\":null}]}\n", "\n" FINISH USAGE "da", "ta: [DONE]\n\n"},
     false,
     NULL},
    {"finishless",
     200,
     EVENTS,
     {HELLO CHUNK("{\"content\":\"good day\"}"), "data: [DONE]\n\n"},
     false,
     NULL},
    {"endless", 200, EVENTS, {HELLO, CHUNK("{\"content\":\"good \"}"), FINISH USAGE}, false, NULL},
    {"cut-stream", 200, EVENTS, {HELLO, CHUNK("{\"content\":\"good \"}")}, true, NULL},
    {"error-stream",
     200,
     EVENTS,
     {HELLO CHUNK("{\"content\":\"good \"}"),
      "data: {\"error\":{\"message\":\"it broke\",\"type\":\"server_error\"}}\n\n"},
     false,
     NULL},
    {"cut-whole", 200, JSON, {"{\"id\":\"c1\",\"choices\":["}, true, NULL},
    {"broken", 500, JSON, {"{\"error\":{\"message\":\"it broke\"}}"}, false, NULL},
    {"rejects",
     400,
     JSON,
     {"{\"error\":{\"message\":\"no such tool\",\"type\":\"invalid_request_error\",\"param\":"
      "\"tools\",\"code\":\"bad_tool\"}}"},
     false,
     NULL},
    {"busy", 429, JSON, {"{}"}, false, "Retry-After: Fri, 31 Dec 2100 23:59:59 GMT\r\n"},
    {"busy-soon", 429, JSON, {"{}"}, false, "Retry-After: Sunday, 06-Nov-94 08:49:37 GMT\r\n"},
    {"verdict",
     200,
     EVENTS,
     {": hello\n\n" VERDICT, VERDICT HELLO, FINISH USAGE, "data: [DONE]\n\n"},
     false,
     NULL},
    {"verdict-error",
     200,
     EVENTS,
     {VERDICT, "data: {\"error\":{\"message\":\"it broke\"}}\n\n"},
     false,
     NULL},
    {"verdict-end", 200, EVENTS, {VERDICT "data: [DONE]\n\n"}, false, NULL},
    {"claude-stream",
     200,
     EVENTS,
     {MESSAGE_START BLOCK_START, BLOCK_DELTA("good ") BLOCK_DELTA("day"), BLOCK_DELTA(" to you"),
      MESSAGE_DELTA, MESSAGE_STOP},
     false,
     NULL},
    {"claude-whole",
     200,
     JSON,
     {"{\"id\":\"m1\",\"type\":\"message\",\"model\":\"c\",\"content\":[{\"type\":\"text\","
      "\"text\":\"good day\"},{\"type\":\"text\",\"text\":\" to you\"}],\"stop_reason\":"
      "\"end_turn\",\"usage\":{\"input_tokens\":7,\"output_tokens\":5}}"},
     false,
     NULL},
    {"claude-cut",
     200,
     EVENTS,
     {MESSAGE_START BLOCK_START, BLOCK_DELTA("good ") "event: content_bl", "ock_delta\n"},
     false,
     NULL},
    {"claude-overloaded",
     529,
     JSON,
     {"{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}"},
     false,
     NULL},
    {"gemini-stream",
     200,
     EVENTS,
     {"data: " CANDIDATE("good ", "") "\r\n\r\nda", "ta: " CANDIDATE("day", "") "\r\n\r\n",
      "data: " CANDIDATE(" to you", ",\"finishReason\":\"STOP\"") "\r\n\r\n"},
     false,
     NULL},
    {"gemini-uncounted",
     200,
     EVENTS,
     {"data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"good day\"}]},\"finishReason\":"
      "\"STOP\"}]}\r\n\r\n"},
     false,
     NULL},
    {"gemini-unended",
     200,
     EVENTS,
     {"data: " CANDIDATE("good day", ",\"finishReason\":\"STOP\"")},
     false,
     NULL},
    {"gemini-whole", 200, JSON, {CANDIDATE("good day", ",\"finishReason\":\"STOP\"")}, false, NULL},
    {"garbage", 200, EVENTS, {"data: {\"id\":\n\n"}, false, NULL},
};
enum { SCRIPT_COUNT = sizeof scripts / sizeof scripts[0] };

static const char models_text[] =
    "models:\n"
    "  fallback: {price: {input: 1, output: 2}, targets: [{name: a, provider: p, model: broken}, "
    "{name: b, provider: p, model: stream}]}\n"
    "  fallback-whole: {price: {input: 1, output: 2}, targets: [{name: a, provider: p, model: "
    "cut-whole}, {name: b, provider: p, model: whole}]}\n"
    "  fallback-verdict: {price: {input: 1, output: 2}, targets: [{name: a, provider: p, model: "
    "verdict-error}, {name: b, provider: p, model: stream}]}\n"
    "  fallback-claude: {price: {input: 1, output: 2}, targets: [{name: a, provider: c, model: "
    "claude-overloaded}, {name: b, provider: g, model: gemini-stream}]}\n"
    "  claude-first: {price: {input: 1, output: 2}, targets: [{name: a, provider: c, model: "
    "claude-stream}, {name: b, provider: g, model: gemini-stream}]}\n"
    "  able: {price: {input: 1, output: 2}, targets: [{name: a, provider: c, model: claude-whole}, "
    "{name: b, provider: p, model: whole}]}\n"
    "  deepseek: {price: {input: 1, output: 2}, targets: [{provider: p, model: deepseek-chat}]}\n"
    "  \"claude-*\": {price: {input: 1, output: 2}, targets: [{provider: c, model: \"*\"}]}\n"
    "  \"gemini-*\": {price: {input: 1, output: 2}, targets: [{provider: g, model: \"*\"}]}\n"
    "  unreachable: {price: {input: 1, output: 2}, targets: [{name: a, provider: q, model: x}, "
    "{name: b, provider: p, model: whole}]}\n"
    "  \"*\": {price: {input: 1, output: 2}, targets: [{name: only, provider: p, model: \"*\"}]}\n";

/* --- sockets -------------------------------------------------------------------------------- */

static void peer_take(struct peer *peer, int fd) {
    peer->fd = fd;
    peer->has_ended = false;
    peer->len = 0;
    peer->text[0] = '\0';
}

static void peer_close(struct peer *peer) {
    if (peer->fd >= 0) (void)close(peer->fd);
    peer->fd = -1;
}

static void peer_read(struct peer *peer, size_t len_max) {
    if (peer->fd < 0 || peer->has_ended) return;
    size_t room = PEER_BYTES - peer->len;
    dr_assert(room > 0); /* nothing here says that much */
    if (len_max < room) room = len_max;
    const ssize_t len = recv(peer->fd, peer->text + peer->len, room, MSG_DONTWAIT);
    if (len > 0) {
        peer->len += (size_t)len;
        peer->text[peer->len] = '\0';
    } else if (len == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
        peer->has_ended = true;
    }
}

static struct sockaddr_in loopback(uint16_t port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int listen_anywhere(uint16_t *ret_port) {
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    dr_assert(fd >= 0);
    dr_assert(bind(fd, (struct sockaddr *)(void *)&address, len) == 0);
    dr_assert(listen(fd, UPSTREAMS_MAX) == 0);
    dr_assert(getsockname(fd, (struct sockaddr *)(void *)&address, &len) == 0);
    *ret_port = ntohs(address.sin_port);
    return fd;
}

/* --- the provider --------------------------------------------------------------------------- */

/* Sends what fits into an empty socket: all that is said here does. */
static void upstream_send(struct upstream *upstream, const char *text, size_t len) {
    if (upstream->peer.fd < 0) return;
    const ssize_t sent = send(upstream->peer.fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent != (ssize_t)len) upstream->peer.has_ended = true; /* the gateway has left */
}

/* The length of the request that stands whole at the front; 0: not yet. */
static size_t request_len(const struct peer *peer) {
    const char *end = strstr(peer->text, "\r\n\r\n");
    const char *field = strstr(peer->text, "Content-Length: ");
    uint64_t body_len = 0;
    if (!end) return 0;
    dr_assert(field && field < end);
    field += sizeof "Content-Length: " - 1;
    const dr_slice digits = dr_slice_of(field, strcspn(field, "\r"));
    dr_assert(dr_slice_to_u64(digits, &body_len));
    const size_t len = (size_t)(end - peer->text) + 4 + (size_t)body_len;
    return peer->len >= len ? len : 0;
}

static const struct script *script_asked_for(const struct peer *peer) {
    char member[64];
    for (size_t i = 0; i < SCRIPT_COUNT; i++) {
        (void)snprintf(member, sizeof member, "\"model\":\"%s\"", scripts[i].model);
        if (strstr(peer->text, member)) return &scripts[i];
        (void)snprintf(member, sizeof member, "/models/%s:", scripts[i].model);
        if (strstr(peer->text, member)) return &scripts[i];
    }
    dr_unreachable(); /* the gateway asked for what no test asks */
}

static void upstream_begin(struct upstream *upstream) {
    const size_t len = request_len(&upstream->peer);
    char head[256];
    if (len == 0) return;
    const struct script *script = script_asked_for(&upstream->peer);
    upstream->script = script;
    upstream->piece_next = 0;
    upstream->peer.len -= len;
    memmove(upstream->peer.text, upstream->peer.text + len, upstream->peer.len + 1);
    const int head_len =
        snprintf(head, sizeof head,
                 "HTTP/1.1 %u Said\r\nContent-Type: %s\r\n%s"
                 "Transfer-Encoding: chunked\r\n\r\n",
                 script->status, script->type, script->headers ? script->headers : "");
    upstream_send(upstream, head, (size_t)head_len);
}

static void upstream_go_on(struct upstream *upstream) {
    const struct script *script = upstream->script;
    char chunk[2048];
    const bool has_piece =
        upstream->piece_next < SCRIPT_PIECES_MAX && script->pieces[upstream->piece_next];
    if (has_piece) {
        const char *piece = script->pieces[upstream->piece_next++];
        const int len = snprintf(chunk, sizeof chunk, "%zx\r\n%s\r\n", strlen(piece), piece);
        dr_assert(len > 0 && (size_t)len < sizeof chunk);
        upstream_send(upstream, chunk, (size_t)len);
        return;
    }
    if (!script->is_cut) upstream_send(upstream, "0\r\n\r\n", 5);
    if (script->is_cut) peer_close(&upstream->peer);
    upstream->script = NULL;
}

static void provider_accept(struct sample_worker *sample) {
    for (;;) {
        const int fd = accept4(sample->provider_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) return;
        struct upstream *upstream = NULL;
        for (size_t i = 0; i < UPSTREAMS_MAX && !upstream; i++) {
            if (sample->upstreams[i].peer.fd < 0) upstream = &sample->upstreams[i];
        }
        dr_assert(upstream);
        upstream->script = NULL;
        const int is_on = 1;
        dr_assert(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &is_on, sizeof is_on) == 0);
        peer_take(&upstream->peer, fd);
    }
}

static void provider_turn(struct sample_worker *sample) {
    provider_accept(sample);
    for (size_t i = 0; i < UPSTREAMS_MAX; i++) {
        struct upstream *upstream = &sample->upstreams[i];
        if (upstream->peer.fd < 0) continue;
        if (sample->random && dr_random_below(sample->random, 3) == 0) continue; /* slow today */
        peer_read(&upstream->peer, PEER_BYTES);
        if (upstream->peer.has_ended) {
            peer_close(&upstream->peer);
        } else if (upstream->script) {
            upstream_go_on(upstream);
        } else {
            upstream_begin(upstream);
        }
    }
}

/* --- clients -------------------------------------------------------------------------------- */

void client_say(struct sample_worker *sample, struct peer *client, const char *text, size_t len) {
    const struct sockaddr_in address = loopback(dr_listener_port(sample->worker.listener));
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    dr_assert(fd >= 0);
    dr_assert(connect(fd, (const struct sockaddr *)(const void *)&address, sizeof address) == 0);
    dr_assert(send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len);
    peer_take(client, fd);
}

void client_ask(struct sample_worker *sample, struct peer *client, const char *key,
                const char *body) {
    char request[2048];
    const int len = snprintf(request, sizeof request,
                             "POST /v1/chat/completions HTTP/1.1\r\nHost: t\r\n"
                             "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
                             "Connection: close\r\nContent-Length: %zu\r\n\r\n%s",
                             key, strlen(body), body);
    dr_assert(len > 0 && (size_t)len < sizeof request);
    client_say(sample, client, request, (size_t)len);
}

void client_read(struct peer *client) {
    peer_read(client, PEER_BYTES);
}

void client_leave(struct peer *client, bool is_reset) {
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    if (is_reset) (void)setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    peer_close(client);
}

/* --- judging -------------------------------------------------------------------------------- */

dr_slice answer_field(dr_slice head, const char *name) {
    const size_t at = dr_slice_find(head, dr_slice_text(name));
    if (at == head.len) return DR_NONE;
    dr_slice rest = dr_slice_from(head, at + strlen(name));
    return dr_slice_first(rest, dr_slice_find_char(rest, '\r'));
}

static bool is_error_object(dr_slice text) {
    return dr_slice_starts(text, DR_LIT("{\"error\":{\"message\":")) &&
           dr_slice_find(text, DR_LIT(",\"type\":")) < text.len &&
           dr_slice_find(text, DR_LIT(",\"param\":")) < text.len &&
           dr_slice_find(text, DR_LIT(",\"code\":")) < text.len &&
           dr_slice_ends(text, DR_LIT("}}"));
}

static const char *judge_whole(dr_slice head, dr_slice body, uint16_t status) {
    uint64_t len = 0;
    if (!dr_slice_to_u64(answer_field(head, "Content-Length: "), &len)) return "no length";
    if (body.len != len) return "the body is not as long as it says";
    if (status >= 400) return is_error_object(body) ? NULL : "no error object";
    if (status != 200) return "a status that nobody knows";
    return dr_slice_ends(body, DR_LIT("}")) ? NULL : "the answer is cut";
}

bool answer_take_chunks(dr_slice rest, char text[PEER_BYTES], size_t *ret_len, bool *ret_is_whole) {
    *ret_len = 0;
    *ret_is_whole = false;
    while (rest.len > 0) {
        const size_t line = dr_slice_find(rest, DR_LIT("\r\n"));
        size_t size = 0;
        if (line == rest.len) return true; /* cut */
        for (size_t i = 0; i < line; i++) {
            const char *digits = "0123456789abcdef";
            const char *digit = strchr(digits, rest.data[i]);
            if (!digit) return false;
            size = size * 16 + (size_t)(digit - digits);
        }
        rest = dr_slice_from(rest, line + 2);
        *ret_is_whole = size == 0;
        if (size == 0) return dr_slice_is(rest, DR_LIT("\r\n"));
        if (rest.len < size + 2) return true; /* cut */
        memcpy(text + *ret_len, rest.data, size);
        *ret_len += size;
        if (rest.data[size] != '\r' || rest.data[size + 1] != '\n') return false;
        rest = dr_slice_from(rest, size + 2);
    }
    return true;
}

static const char *judge_stream(dr_slice chunks, struct answer *answer) {
    char text[PEER_BYTES];
    size_t len = 0;
    bool is_whole = false;
    bool has_error = false;
    bool has_done = false;
    if (!answer_take_chunks(chunks, text, &len, &is_whole)) return "malformed chunks";
    dr_slice rest = dr_slice_of(text, len);
    while (rest.len > 0) {
        const size_t end = dr_slice_find(rest, DR_LIT("\n\n"));
        if (end == rest.len) return "an event without an end";
        const dr_slice event = dr_slice_first(rest, end);
        rest = dr_slice_from(rest, end + 2);
        if (has_done || has_error) return "something behind the end";
        if (dr_slice_starts(event, DR_LIT(":"))) continue;
        if (!dr_slice_starts(event, DR_LIT("data: "))) return "an event that is none";
        const dr_slice payload = dr_slice_from(event, 6);
        if (dr_slice_find(payload, DR_LIT("\"usage\":{")) < payload.len) answer->usage_count++;
        has_done = dr_slice_is(payload, DR_LIT("[DONE]"));
        has_error = dr_slice_starts(payload, DR_LIT("{\"error\""));
        if (has_error && !is_error_object(payload)) return "an error event without its object";
    }
    if (is_whole && !has_done && !has_error) return "a stream that ends well without an end";
    answer->form = FORM_CUT;
    if (is_whole) answer->form = has_done ? FORM_DONE : FORM_FAILED;
    return NULL;
}

const char *client_judge(const struct peer *client, bool has_left, struct answer *ret_answer) {
    const dr_slice text = dr_slice_of(client->text, client->len);
    uint64_t status = 0;
    *ret_answer = (struct answer){.form = FORM_NOTHING};
    if (text.len == 0) return NULL;
    const size_t head_len = dr_slice_find(text, DR_LIT("\r\n\r\n"));
    if (head_len == text.len) return has_left ? NULL : "half a head";
    const dr_slice head = dr_slice_first(text, head_len + 2);
    const dr_slice body = dr_slice_from(text, head_len + 4);
    if (!dr_slice_starts(head, DR_LIT("HTTP/1.1 "))) return "no HTTP";
    if (!dr_slice_to_u64(dr_slice_first(dr_slice_from(head, 9), 3), &status)) return "no status";
    ret_answer->status = (uint16_t)status;
    ret_answer->request_id = answer_field(head, "x-request-id: ");
    ret_answer->cost = answer_field(head, "x-drover-cost: ");
    if (ret_answer->request_id.len != REQUEST_ID_BYTES) return "no request id";
    if (answer_field(head, "Transfer-Encoding: ").len > 0) {
        if (status != 200) return "a stream with a status of its own";
        return judge_stream(body, ret_answer);
    }
    ret_answer->form = FORM_WHOLE;
    if (dr_slice_find(body, DR_LIT("\"usage\":{")) < body.len) ret_answer->usage_count++;
    return has_left ? NULL : judge_whole(head, body, (uint16_t)status);
}

/* --- books ---------------------------------------------------------------------------------- */

void sample_data_open(struct sample_data *data) {
    struct dr_arena arena;
    struct dr_error error;
    struct account account;
    struct api_key key = {.hint = DR_LIT("test"), .name = DR_LIT("k"), .created = {1}};
    const money credit = {1000 * INT64_C(1000000000)};
    *data = (struct sample_data){.store = NULL};
    sample_folder_make(data->folder);
    dr_arena_init(&arena, 64 * 1024, NULL);
    dr_assert(store_open(data->folder, &data->store, &error) == DR_OK);
    dr_assert(store_create_account(data->store, DR_LIT("t"), (dr_wall){1}, &arena, &account,
                                   &error) == DR_OK);
    dr_assert(store_topup(data->store, account.id, credit, DR_NONE, (dr_wall){1}, &error) == DR_OK);
    key.account_id = account.id;
    key.digest = dr_sha256(DR_LIT("sk-test"));
    dr_assert(store_create_key(data->store, &key, &arena, &key, &error) == DR_OK);
    data->tally = tally_new();
    dr_assert(data->tally);
    dr_assert(key_table_build(data->store, data->tally, &data->keys, &error) == DR_OK);
    data->account = tally_find_account(data->tally, account.id);
    dr_assert(data->account);
    dr_arena_clear(&arena);
}

void sample_data_close(struct sample_data *data) {
    key_table_release(data->keys);
    tally_free(data->tally);
    store_close(data->store);
    sample_folder_remove(data->folder);
}

static size_t take_file(const char *path, void (*visit)(void *owner, const struct ledger_entry *),
                        void *owner) {
    char *bytes = dr_alloc(FILE_BYTES);
    size_t count = 0;
    dr_assert(bytes);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    dr_assert(fd >= 0);
    const ssize_t len = read(fd, bytes, FILE_BYTES);
    dr_assert(len >= 0 && len < FILE_BYTES);
    (void)close(fd);
    dr_slice rest = dr_slice_of(bytes, (size_t)len);
    struct ledger_entry entry;
    enum journal_read found = journal_decode(&rest, &entry);
    for (; found == JOURNAL_RECORD; found = journal_decode(&rest, &entry)) {
        count++;
        if (visit) visit(owner, &entry);
    }
    dr_assert(found == JOURNAL_END && rest.len == 0);
    dr_assert(unlink(path) == 0);
    dr_free(bytes);
    return count;
}

size_t sample_data_take_records(struct sample_data *data,
                                void (*visit)(void *owner, const struct ledger_entry *entry),
                                void *owner) {
    char folder_path[SAMPLE_PATH_BYTES];
    char path[PATH_MAX];
    size_t count = 0;
    sample_journal_path(data->folder, folder_path);
    DIR *folder = opendir(folder_path);
    dr_assert(folder);
    for (const struct dirent *file = readdir(folder); file; file = readdir(folder)) {
        if (!dr_slice_ends(dr_slice_text(file->d_name), DR_LIT(".log"))) continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder_path, file->d_name);
        count += take_file(path, visit, owner);
    }
    (void)closedir(folder);
    return count;
}

/* --- the worker ----------------------------------------------------------------------------- */

static void read_config(struct sample_worker *sample, uint16_t provider_port) {
    struct config *config = NULL;
    struct dr_error error;
    char text[CONFIG_BYTES];
    const int len =
        snprintf(text, sizeof text,
                 "workers: 1\nlogs: {level: error}\nproviders:\n"
                 "  p: {base_url: \"http://127.0.0.1:%u/v1\", api_keys: [sk-upstream]}\n"
                 "  q: {base_url: \"http://127.0.0.1:1/v1\"}\n"
                 "  c: {dialect: anthropic, base_url: \"http://127.0.0.1:%u\"}\n"
                 "  g: {dialect: gemini, base_url: \"http://127.0.0.1:%u\"}\n%s",
                 provider_port, provider_port, provider_port, models_text);
    dr_assert(len > 0 && (size_t)len < sizeof text);
    const enum dr_status status = config_read_text("test", dr_slice_text(text), &config, &error);
    dr_assert(status == DR_OK);
    dr_assert(snapshot_new(config, &sample->snapshot, &error) == DR_OK);
}

static void accepted(void *owner, struct dr_stream *stream) {
    struct worker *worker = owner;
    dr_http_server_take(worker->http, stream);
}

static void open_net(struct sample_worker *sample) {
    struct worker *worker = &sample->worker;
    struct dr_error error;
    const struct dr_http_pool_options pool_options = {.response_head_bytes_max = 65536};
    dr_assert(dr_loop_new(&worker->loop, &error) == DR_OK);
    dr_assert(dr_mailbox_open(worker->loop, &worker->mailbox, &error) == DR_OK);
    dr_assert(dr_resolver_open(worker->loop, "127.0.0.1:1", &worker->resolver, &error) == DR_OK);
    worker->pool = dr_http_pool_new(worker->loop, worker->resolver, &pool_options);
    dr_assert(worker->pool);
    worker->edition = edition_new(worker, sample->snapshot, key_table_hold(sample->data->keys));
    dr_assert(worker->edition);
    dr_assert(dr_http_server_new(worker->loop, &http_front_service, worker, &sample->snapshot->http,
                                 &worker->http, &error) == DR_OK);
    dr_assert(dr_ws_hub_new(worker->loop, &worker->ws, &error) == DR_OK);
    const struct dr_listener_options listener_options = {
        .address = DR_LIT("127.0.0.1:0"),
        .connections_max = CLIENTS_MAX,
        .accepted = accepted,
        .owner = worker,
    };
    dr_assert(dr_listener_open(worker->loop, &listener_options, NULL, &worker->listener, &error) ==
              DR_OK);
}

void sample_worker_open(struct sample_worker *sample, struct sample_data *data) {
    struct worker *worker = &sample->worker;
    struct dr_error error;
    char folder[SAMPLE_PATH_BYTES];
    uint16_t port = 0;
    memset(worker, 0, sizeof *worker);
    sample->data = data;
    sample->random = NULL;
    for (size_t i = 0; i < UPSTREAMS_MAX; i++) sample->upstreams[i].peer.fd = -1;
    for (size_t i = 0; i < CLIENTS_MAX; i++) sample->clients[i].fd = -1;
    sample->provider_fd = listen_anywhere(&port);
    read_config(sample, port);
    dr_assert(worker_memory_init(worker, &error) == DR_OK);
    open_net(sample);
    sample_journal_path(data->folder, folder);
    worker->replays = replay_table_new(1, RECORDS_BYTES, NULL);
    dr_assert(worker->replays);
    dr_assert(journal_open(folder, 0, SEGMENT_BYTES, &worker->journal, &error) == DR_OK);
}

void sample_worker_close(struct sample_worker *sample) {
    struct worker *worker = &sample->worker;
    for (size_t i = 0; i < CLIENTS_MAX; i++) peer_close(&sample->clients[i]);
    dr_listener_close(worker->listener);
    edition_release(worker->edition);
    dr_http_pool_close(worker->pool);
    dr_resolver_close(worker->resolver);
    dr_mailbox_close(worker->mailbox);
    dr_loop_run(worker->loop);
    dr_http_server_free(worker->http);
    dr_ws_hub_free(worker->ws);
    replay_table_free(worker->replays);
    journal_close(worker->journal);
    dr_loop_free(worker->loop);
    worker_memory_clear(worker);
    for (size_t i = 0; i < UPSTREAMS_MAX; i++) peer_close(&sample->upstreams[i].peer);
    (void)close(sample->provider_fd);
}

int sample_data_set_up(void **state) {
    struct sample_data *data = dr_alloc(sizeof *data);
    if (!data) return -1;
    sample_data_open(data);
    *state = data;
    return 0;
}

int sample_data_tear_down(void **state) {
    sample_data_close(*state);
    dr_free(*state);
    return 0;
}

bool sample_plan_end(uint64_t made_before, uint64_t fail_at) {
    const bool has_come_to_it = fail_at > 0 && dr_alloc_count() - made_before >= fail_at - 1;
    /* One more tells "the last one failed" from "the next one would". */
    void *one_more = dr_alloc(1);
    const bool has_failed = has_come_to_it && one_more;
    dr_free(one_more);
    dr_alloc_fail_at(0);
    return has_failed;
}

void sample_worker_turn(struct sample_worker *sample) {
    provider_turn(sample);
    dr_loop_run_once(sample->worker.loop, 0);
}

bool sample_worker_is_quiet(const struct sample_worker *sample) {
    return dr_list_is_empty(&sample->worker.exchanges) &&
           dr_http_server_connection_count(sample->worker.http) == 0 &&
           dr_ws_hub_session_count(sample->worker.ws) == 0;
}
