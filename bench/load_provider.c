/* Answers chat requests. Must not allocate for a request that comes in one piece, nor touch a
 * socket more often than a provider would: its own cost must stay below that of the relay. */
#include "load_provider.h"

#include "base/alloc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
    CARRY_BYTES = 64 * 1024, /* a request that came in pieces */
    GATHER_MAX = 64,
    OUT_BYTES = 32 * 1024,
    /* Events sent before the sockets get their turn: a provider is on time, whoever is late. */
    TURN_EVENTS_MAX = 4096,
    BACKLOG = 4096,
};

enum call_stage {
    CALL_IDLE,
    CALL_STREAMING, /* in `streams` */
    CALL_BLOCKED,   /* waits for room in the socket, with `rest` unsent */
};

/* One connection from the relay. */
struct call {
    struct load_socket socket;
    struct load_provider *provider;
    struct dr_list place; /* in `streams` or `idle` */
    enum call_stage stage;
    bool is_stream;
    uint64_t number;
    bool has_begun; /* the stream has */
    uint32_t sent_count;
    int64_t due_ns;
    char *rest;
    size_t rest_at;
    size_t rest_len;
    char *carry;
    size_t carry_len;
};

static void close_call(struct call *call) {
    if (call->is_stream) call->provider->abandoned++;
    load_socket_close(&call->socket);
    dr_list_remove(&call->place);
    dr_free(call->rest);
    dr_free(call->carry);
    dr_free(call);
}

/* Sends all of it, or keeps what the socket does not take. False when the connection is gone. */
static bool send_out(struct call *call, const char *bytes, size_t len) {
    ssize_t sent = send(call->socket.fd, bytes, len, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return false;
    if (sent < 0) sent = 0;
    if ((size_t)sent == len) return true;
    call->rest_len = len - (size_t)sent;
    call->rest_at = 0;
    call->rest = dr_alloc(call->rest_len);
    if (!call->rest) return false;
    memcpy(call->rest, bytes + sent, call->rest_len);
    call->stage = CALL_BLOCKED;
    dr_list_remove(&call->place);
    dr_list_put_last(&call->provider->idle, &call->place);
    return true;
}

/* --- streams -------------------------------------------------------------------------------- */

static size_t put_text(char *out, const struct load_text *text) {
    memcpy(out, text->bytes, text->len);
    return text->len;
}

static size_t put_event(struct call *call, char *out, int64_t now_ns) {
    struct load_text *event = &call->provider->wire->event;
    load_text_number(event, call->number);
    load_digits_put(event->bytes + event->index_at, LOAD_INDEX_DIGITS, call->sent_count);
    load_digits_put(event->bytes + event->due_at, LOAD_TIME_DIGITS, (uint64_t)call->due_ns);
    load_digits_put(event->bytes + event->sent_at, LOAD_TIME_DIGITS, (uint64_t)now_ns);
    call->sent_count++;
    call->due_ns += call->provider->options.spacing_ns;
    call->provider->event_count++;
    return put_text(out, event);
}

/* The head and what precedes the events. False when the connection is gone. */
static bool write_begin(struct call *call) {
    struct load_wire *wire = call->provider->wire;
    char *out = call->provider->out;
    call->has_begun = true;
    load_text_number(&wire->begin, call->number);
    const size_t len = put_text(out, &wire->stream_head);
    return send_out(call, out, len + put_text(out + len, &wire->begin));
}

static size_t put_end(struct call *call, char *out) {
    struct load_wire *wire = call->provider->wire;
    size_t len = 0;
    if (wire->finish.len > 0) {
        load_text_number(&wire->finish, call->number);
        len = put_text(out, &wire->finish);
    }
    load_text_number(&wire->usage, call->number);
    len += put_text(out + len, &wire->usage);
    return len + put_text(out + len, &wire->done);
}

/* One write of up to `gather` events. False when the connection is gone. */
static bool write_events(struct call *call, int64_t now_ns) {
    const struct load_provider_options *options = &call->provider->options;
    char *out = call->provider->out;
    size_t len = 0;
    for (uint32_t i = 0; i < options->gather && call->sent_count < options->event_count; i++) {
        len += put_event(call, out + len, now_ns);
    }
    if (call->sent_count == options->event_count) {
        len += put_end(call, out + len);
        call->is_stream = false;
    }
    return send_out(call, out, len);
}

/* Takes its place among the streams; nearly always the last, since all have the same pace. */
static void wait_for_due(struct call *call) {
    struct load_provider *provider = call->provider;
    dr_list_remove(&call->place);
    struct dr_list *before = provider->streams.prev;
    while (before != &provider->streams &&
           dr_list_item(before, struct call, place)->due_ns > call->due_ns) {
        before = before->prev;
    }
    dr_list_put_first(before, &call->place);
    call->stage = CALL_STREAMING;
    struct dr_list *first = provider->streams.next;
    provider->timer.due_ns = dr_list_item(first, struct call, place)->due_ns;
}

static void end_answer(struct call *call) {
    call->stage = CALL_IDLE;
    dr_list_remove(&call->place);
    dr_list_put_last(&call->provider->idle, &call->place);
}

/* Writes what is due now; a burst is written at once, one write after the other. False when the
 * connection is gone and closed. */
static bool go_on(struct call *call, int64_t now_ns) {
    const bool is_burst = call->provider->options.spacing_ns == 0;
    uint32_t writes = is_burst ? GATHER_MAX : 1;
    while (writes > 0 && call->is_stream && call->stage != CALL_BLOCKED) {
        const bool is_event = call->has_begun;
        if (is_event && call->due_ns > now_ns) break;
        if (!(is_event ? write_events(call, now_ns) : write_begin(call))) {
            close_call(call);
            return false;
        }
        if (is_event) writes--;
    }
    if (call->stage == CALL_BLOCKED) return true;
    if (call->is_stream)
        wait_for_due(call);
    else
        end_answer(call);
    return true;
}

static void streams_due(struct load_timer *timer, int64_t now_ns) {
    struct load_provider *provider = LOAD_OWNER(timer, struct load_provider, timer);
    for (size_t i = 0; i < TURN_EVENTS_MAX && !dr_list_is_empty(&provider->streams); i++) {
        struct call *call = dr_list_item(provider->streams.next, struct call, place);
        if (call->due_ns > now_ns) break;
        go_on(call, load_now_ns());
    }
    struct dr_list *first = provider->streams.next;
    timer->due_ns = dr_list_is_empty(&provider->streams)
                        ? LOAD_NEVER
                        : dr_list_item(first, struct call, place)->due_ns;
}

/* --- requests ------------------------------------------------------------------------------- */

static bool answer_whole(struct call *call) {
    struct load_text *answer = &call->provider->wire->answer;
    load_digits_put(answer->bytes + answer->number_at, LOAD_NUMBER_DIGITS, call->number);
    return send_out(call, answer->bytes, answer->len);
}

/* Where the client's `user` stands: at the end of its own request, in the metadata of one that the
 * relay wrote anew. */
static const char *find_number(const struct call *call, const char *body, size_t len) {
    static const char user[] = "\"user_id\":\"";
    const char *place = NULL;
    if (call->provider->wire->speaks_anthropic) place = memmem(body, len, user, sizeof(user) - 1);
    if (place) place += sizeof(user) - 1;
    if (place && (size_t)(body + len - place) < LOAD_NUMBER_DIGITS) return NULL;
    if (place || len < LOAD_NUMBER_DIGITS + 2) return place;
    return body + len - LOAD_NUMBER_DIGITS - 2;
}

/* When a stream's events come must not follow from when its relay let the stream before it end: it
 * would gather streams into herds, each relay its own, that share a turn of its loop ever after. So
 * an answer begins at a moment of the spacing that depends on its number alone. */
static int64_t first_due(const struct call *call, int64_t now_ns) {
    const int64_t spacing_ns = call->provider->options.spacing_ns;
    if (spacing_ns == 0) return now_ns;
    const uint64_t mixed = call->number * 0x9E3779B97F4A7C15U; /* Fibonacci hashing */
    const int64_t moment_ns = (int64_t)((mixed >> 11) % (uint64_t)spacing_ns);
    return now_ns + (moment_ns - now_ns % spacing_ns + spacing_ns) % spacing_ns;
}

/* False when the connection is gone and closed. */
static bool answer_body(struct call *call, const char *body, size_t len) {
    static const char streams[] = "\"stream\":true";
    const size_t look = len < 256 || call->provider->wire->speaks_anthropic ? len : 256;
    const char *number = find_number(call, body, len);
    if (!number || !load_digits_read(number, LOAD_NUMBER_DIGITS, &call->number)) call->number = 0;
    if (!memmem(body, look, streams, sizeof(streams) - 1)) {
        if (answer_whole(call)) return true;
        close_call(call);
        return false;
    }
    call->is_stream = true;
    call->has_begun = false;
    call->sent_count = 0;
    call->due_ns = first_due(call, load_now_ns());
    return go_on(call, load_now_ns());
}

/* Answers the request at the front of `bytes`. Returns its length, 0 when it is not there whole,
 * SIZE_MAX when the connection was closed. */
static size_t take_request(struct call *call, const char *bytes, size_t len) {
    struct load_head head;
    switch (load_head_read(bytes, len, &head)) {
    case LOAD_HEAD_PART:
        if (len < CARRY_BYTES / 2) return 0;
        break;
    case LOAD_HEAD_WHOLE:
        if (head.is_chunked || head.body_len > CARRY_BYTES / 2) break;
        if (head.len + head.body_len > len) return 0;
        return answer_body(call, bytes + head.len, head.body_len) ? head.len + head.body_len
                                                                  : SIZE_MAX;
    case LOAD_HEAD_WRONG: break;
    }
    call->provider->refused++;
    close_call(call);
    return SIZE_MAX;
}

/* False when the connection was closed. */
static bool take_bytes(struct call *call, const char *bytes, size_t len) {
    if (call->carry_len > 0) {
        if (len > CARRY_BYTES - call->carry_len) len = CARRY_BYTES - call->carry_len;
        memcpy(call->carry + call->carry_len, bytes, len);
        call->carry_len += len;
        bytes = call->carry;
        len = call->carry_len;
    }
    while (len > 0) {
        const size_t taken = take_request(call, bytes, len);
        if (taken == SIZE_MAX) return false;
        if (taken == 0) break;
        bytes += taken;
        len -= taken;
    }
    if (len > 0 && !call->carry) call->carry = dr_alloc(CARRY_BYTES);
    if (len > CARRY_BYTES || (len > 0 && !call->carry)) {
        close_call(call);
        return false;
    }
    if (len > 0) memmove(call->carry, bytes, len);
    if (len == 0 && call->carry) {
        dr_free(call->carry);
        call->carry = NULL;
    }
    call->carry_len = len;
    return true;
}

static bool send_rest(struct call *call) {
    const ssize_t sent = send(call->socket.fd, call->rest + call->rest_at,
                              call->rest_len - call->rest_at, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN;
    call->rest_at += (size_t)sent;
    if (call->rest_at < call->rest_len) return true;
    dr_free(call->rest);
    call->rest = NULL;
    call->stage = CALL_IDLE;
    return true;
}

static void call_ready(struct load_socket *socket, uint32_t events) {
    struct call *call = LOAD_OWNER(socket, struct call, socket);
    char *room = call->provider->loop->room;
    if (call->stage == CALL_BLOCKED && (events & EPOLLOUT)) {
        if (!send_rest(call)) {
            close_call(call);
            return;
        }
        if (call->stage == CALL_IDLE && call->is_stream && !go_on(call, load_now_ns())) return;
    }
    if (!(events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))) return;
    for (;;) {
        const ssize_t len = recv(socket->fd, room, LOAD_ROOM_BYTES, 0);
        if (len < 0 && errno == EAGAIN) return;
        if (len <= 0) {
            close_call(call);
            return;
        }
        if (!take_bytes(call, room, (size_t)len)) return;
        if ((size_t)len < LOAD_ROOM_BYTES && !(events & (EPOLLRDHUP | EPOLLHUP))) return;
    }
}

/* --- connections ---------------------------------------------------------------------------- */

static void listener_ready(struct load_socket *socket, uint32_t events) {
    struct load_provider *provider = LOAD_OWNER(socket, struct load_provider, listener);
    (void)events;
    for (;;) {
        const int fd = accept4(socket->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        struct call *call = dr_alloc_zero(1, sizeof(*call));
        if (!call) {
            struct load_socket refused = {.fd = fd};
            load_socket_close(&refused);
            return;
        }
        call->socket = (struct load_socket){.fd = fd, .ready = call_ready};
        call->provider = provider;
        dr_list_init(&call->place);
        dr_list_put_last(&provider->idle, &call->place);
        provider->connection_count++;
        if (!load_loop_watch(provider->loop, &call->socket)) close_call(call);
    }
}

static int listen_on(uint16_t port) {
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    /* Accepted sockets inherit it. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
        listen(fd, BACKLOG) == 0) {
        return fd;
    }
    struct load_socket refused = {.fd = fd};
    load_socket_close(&refused);
    return -1;
}

bool load_provider_init(struct load_provider *provider, struct load_loop *loop,
                        struct load_wire *wire, const struct load_provider_options *options) {
    *provider = (struct load_provider){.options = *options, .loop = loop, .wire = wire};
    if (provider->options.gather == 0) provider->options.gather = 1;
    if (provider->options.gather > GATHER_MAX) provider->options.gather = GATHER_MAX;
    provider->timer = (struct load_timer){LOAD_NEVER, streams_due};
    dr_list_init(&provider->streams);
    dr_list_init(&provider->idle);
    provider->listener =
        (struct load_socket){.fd = listen_on(options->port), .ready = listener_ready};
    provider->out = dr_alloc(OUT_BYTES);
    if (!provider->out || provider->listener.fd < 0 ||
        !load_loop_watch(loop, &provider->listener)) {
        fprintf(stderr, "load: no provider on port %u: %s\n", options->port, strerror(errno));
        return false;
    }
    load_loop_add(loop, &provider->timer);
    return true;
}

static void close_calls(struct dr_list *list) {
    while (!dr_list_is_empty(list)) {
        close_call(dr_list_item(list->next, struct call, place));
    }
}

void load_provider_clear(struct load_provider *provider) {
    load_socket_close(&provider->listener);
    close_calls(&provider->streams);
    close_calls(&provider->idle);
    dr_free(provider->out);
    provider->out = NULL;
}
