/* Speaks HTTP/1.1 as a client and compares what comes with what must come. Must not decide when to
 * ask: that is the run's. */
#include "load_client_private.h"

#include "base/alloc.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { CARRY_BYTES = 16 * 1024 };

const char *const load_fault_names[LOAD_FAULT_COUNT] = {
    [LOAD_FAULT_CONNECT] = "connect", [LOAD_FAULT_SEND] = "send", [LOAD_FAULT_STATUS] = "status",
    [LOAD_FAULT_FRAMING] = "framing", [LOAD_FAULT_CUT] = "cut",   [LOAD_FAULT_ORDER] = "order",
    [LOAD_FAULT_SHORT] = "short",
};

void load_client_close(struct load_client *client) {
    load_socket_close(&client->socket);
    client->stage = LOAD_CLIENT_CLOSED;
    dr_free(client->carry);
    client->carry = NULL;
    client->carry_len = 0;
}

void load_client_fail(struct load_client *client, enum load_fault fault, const char *bytes,
                      size_t len) {
    struct load_tally *tally = client->tally;
    if (tally->first_fault[0] == '\0') {
        (void)snprintf(tally->first_fault, sizeof(tally->first_fault),
                       "%s at request %llu, event %u: %.*s", load_fault_names[fault],
                       (unsigned long long)client->number, client->event_count,
                       (int)(len < 300 ? len : 300), bytes ? bytes : strerror(errno));
    }
    tally->faults[fault]++;
    load_client_close(client);
    client->answered(client, load_now_ns());
}

/* --- lines of a stream ---------------------------------------------------------------------- */

/* `line` against the text of one chunk, whose holes were filled with what must come. */
static bool is_line(const struct load_text *text, const char *line, size_t len) {
    return memcmp(line, text->bytes + text->payload_at, len) == 0;
}

bool load_client_note_event(struct load_client *client, const char *due, const char *sent,
                            int64_t now_ns) {
    struct load_tally *tally = client->tally;
    uint64_t due_ns;
    uint64_t sent_ns;
    if (!load_digits_read(due, LOAD_TIME_DIGITS, &due_ns)) return false;
    if (!load_digits_read(sent, LOAD_TIME_DIGITS, &sent_ns)) return false;
    if (tally->is_open) {
        tally->events++;
        load_histogram_note(&tally->lateness, now_ns - (int64_t)due_ns);
        load_histogram_note(&tally->relayed, now_ns - (int64_t)sent_ns);
        if (client->event_count == 0) {
            load_histogram_note(&tally->first_event, now_ns - client->due_ns);
        }
    }
    client->event_count++;
    return true;
}

static bool check_event(struct load_client *client, const char *line, int64_t now_ns) {
    struct load_text *event = &client->wire->event;
    const char *due = line + event->due_at - event->payload_at;
    const char *sent = line + event->sent_at - event->payload_at;
    memcpy(event->bytes + event->due_at, due, LOAD_TIME_DIGITS);
    memcpy(event->bytes + event->sent_at, sent, LOAD_TIME_DIGITS);
    load_text_number(event, client->number);
    load_digits_put(event->bytes + event->index_at, LOAD_INDEX_DIGITS, client->event_count);
    return is_line(event, line, client->wire->event_line_len) &&
           load_client_note_event(client, due, sent, now_ns);
}

/* What stands before the events, or follows them. */
static bool check_other(const struct load_client *client, struct load_text *text, size_t text_len,
                        const char *line, size_t len) {
    load_text_number(text, client->number);
    return len == text_len && is_line(text, line, len);
}

/* Events of a resumable stream count from 1. */
static bool take_id(struct load_client *client, const char *digits, size_t len) {
    uint64_t id = 0;
    return len > 0 && len < LOAD_NUMBER_DIGITS && load_digits_read(digits, len, &id) &&
           digits[0] != '0' && id == ++client->frame_count;
}

/* False when the line is not the one that had to come. */
static bool take_line(struct load_client *client, const char *line, size_t len, int64_t now_ns) {
    static const char done[] = "data: [DONE]";
    if (client->wire->speaks_anthropic) {
        return load_client_take_message_line(client, line, len, now_ns);
    }
    /* Blank lines end events; a line that begins with a colon is a comment. */
    if (len == 0 || line[0] == ':') return true;
    if (client->is_done) return false;
    if (client->options->is_resumable && len > 4 && memcmp(line, "id: ", 4) == 0) {
        return take_id(client, line + 4, len - 4);
    }
    if (len == sizeof(done) - 1 && memcmp(line, done, sizeof(done) - 1) == 0) {
        client->is_done = true;
        return true;
    }
    if (client->options->is_trusting) {
        client->event_count++;
        if (client->tally->is_open) {
            client->tally->events++;
            if (client->event_count == 1) {
                load_histogram_note(&client->tally->first_event, now_ns - client->due_ns);
            }
        }
        return true;
    }
    struct load_wire *wire = client->wire;
    if (!client->has_begun) {
        client->has_begun = check_other(client, &wire->begin, wire->begin_line_len, line, len);
        return client->has_begun;
    }
    if (client->event_count < client->options->event_count) {
        return len == client->wire->event_line_len && check_event(client, line, now_ns);
    }
    if (client->has_finish) {
        return check_other(client, &wire->usage, wire->usage_line_len, line, len);
    }
    client->has_finish = check_other(client, &wire->finish, wire->finish_line_len, line, len);
    return client->has_finish;
}

bool load_client_carry(struct load_client *client, const char *bytes, size_t len) {
    if (!client->carry) client->carry = dr_alloc(CARRY_BYTES);
    if (!client->carry || len > CARRY_BYTES - client->carry_len) return false;
    memcpy(client->carry + client->carry_len, bytes, len);
    client->carry_len += len;
    return true;
}

static bool take_stream(struct load_client *client, const char *bytes, size_t len, int64_t now_ns) {
    while (len > 0) {
        const char *end = memchr(bytes, '\n', len);
        if (!end) return load_client_carry(client, bytes, len);
        const size_t part = (size_t)(end - bytes);
        const char *line = bytes;
        size_t line_len = part;
        if (client->carry_len > 0) {
            if (!load_client_carry(client, bytes, part)) return false;
            line = client->carry;
            line_len = client->carry_len;
        }
        const bool is_good = take_line(client, line, line_len, now_ns);
        client->carry_len = 0;
        if (!is_good) return false;
        bytes = end + 1;
        len -= part + 1;
    }
    return true;
}

/* --- bodies --------------------------------------------------------------------------------- */

static bool take_whole(struct load_client *client, const char *bytes, size_t len) {
    struct load_text *answer = &client->wire->answer;
    const size_t body_len = answer->len - client->wire->answer_head_len;
    const size_t at = client->body_at;
    client->body_at += len;
    if (client->options->is_trusting) return true;
    if (len > body_len || at > body_len - len) return false;
    load_digits_put(answer->bytes + answer->number_at, LOAD_NUMBER_DIGITS, client->number);
    return memcmp(bytes, answer->bytes + client->wire->answer_head_len + at, len) == 0;
}

static bool take_payload(struct load_client *client, const char *bytes, size_t len,
                         int64_t now_ns) {
    client->chunks.left -= len;
    if (client->tally->is_open) client->tally->bytes += len;
    const bool is_good = client->options->is_stream ? take_stream(client, bytes, len, now_ns)
                                                    : take_whole(client, bytes, len);
    if (!is_good) load_client_fail(client, LOAD_FAULT_ORDER, bytes, len);
    return is_good;
}

static bool is_complete(const struct load_client *client) {
    const struct load_wire *wire = client->wire;
    if (client->options->is_ws) {
        return client->options->is_trusting || client->event_count == client->options->event_count;
    }
    if (client->options->is_resumable && client->frame_count < client->event_count) return false;
    if (client->options->is_stream) {
        return client->is_done && (client->options->is_trusting ||
                                   client->event_count == client->options->event_count);
    }
    return client->options->is_trusting ||
           client->body_at == wire->answer.len - wire->answer_head_len;
}

void load_client_end_answer(struct load_client *client, int64_t now_ns) {
    struct load_tally *tally = client->tally;
    if (!is_complete(client)) {
        load_client_fail(client, LOAD_FAULT_SHORT, "the answer ended", 16);
        return;
    }
    client->stage = LOAD_CLIENT_READY;
    tally->answers_ever++;
    if (tally->is_open) {
        tally->answers++;
        load_histogram_note(&tally->latency, now_ns - client->due_ns);
    }
    if (client->will_close) load_client_close(client);
    client->answered(client, now_ns);
}

/* Bytes behind the head. */
static void take_body(struct load_client *client, const char *bytes, size_t len, int64_t now_ns) {
    while (client->is_chunked) {
        const size_t skipped = load_chunks_skip(&client->chunks, bytes, len);
        bytes += skipped;
        len -= skipped;
        if (client->chunks.stage == LOAD_CHUNK_DONE && len == 0) {
            load_client_end_answer(client, now_ns);
            return;
        }
        if (client->chunks.stage == LOAD_CHUNK_DONE || client->chunks.stage == LOAD_CHUNK_WRONG) {
            load_client_fail(client, LOAD_FAULT_FRAMING, bytes, len);
            return;
        }
        if (len == 0) return;
        const size_t part = len < client->chunks.left ? len : client->chunks.left;
        if (!take_payload(client, bytes, part, now_ns)) return;
        bytes += part;
        len -= part;
    }
    if (len > client->chunks.left) {
        load_client_fail(client, LOAD_FAULT_FRAMING, bytes, len);
        return;
    }
    if (len > 0 && !take_payload(client, bytes, len, now_ns)) return;
    if (client->chunks.left == 0) load_client_end_answer(client, now_ns);
}

/* The answer to a WebSocket's handshake. */
static void take_opening(struct load_client *client, const char *bytes, size_t len,
                         const struct load_head *head) {
    if (!load_client_ws_is_accepted(bytes, head->len, head->status) || len > head->len) {
        /* Nothing is to come behind it: nothing has been asked. */
        load_client_fail(client, LOAD_FAULT_STATUS, bytes, len);
        return;
    }
    client->carry_len = 0;
    load_client_ws_ask(client);
}

static void take_head(struct load_client *client, const char *bytes, size_t len, int64_t now_ns) {
    struct load_head head;
    const bool is_carried = client->carry_len > 0;
    if (is_carried) {
        if (!load_client_carry(client, bytes, len)) {
            load_client_fail(client, LOAD_FAULT_FRAMING, bytes, len);
            return;
        }
        bytes = client->carry;
        len = client->carry_len;
    }
    const enum load_head_outcome outcome = load_head_read(bytes, len, &head);
    if (outcome == LOAD_HEAD_PART && (is_carried || load_client_carry(client, bytes, len))) return;
    if (outcome == LOAD_HEAD_WHOLE && client->stage == LOAD_CLIENT_OPENING) {
        take_opening(client, bytes, len, &head);
        return;
    }
    if (outcome != LOAD_HEAD_WHOLE || head.status != 200) {
        load_client_fail(client,
                         outcome == LOAD_HEAD_WHOLE ? LOAD_FAULT_STATUS : LOAD_FAULT_FRAMING, bytes,
                         len);
        return;
    }
    client->is_chunked = head.is_chunked;
    client->will_close = head.will_close;
    client->chunks = (struct load_chunks){LOAD_CHUNK_SIZE, head.is_chunked ? 0 : head.body_len};
    client->stage = LOAD_CLIENT_READING;
    if (!is_carried) {
        take_body(client, bytes + head.len, len - head.len, now_ns);
        return;
    }
    /* The carry is wanted for lines now: the rest moves into the loop's room, which is read. */
    const size_t rest = len - head.len;
    memcpy(client->loop->room, bytes + head.len, rest);
    client->carry_len = 0;
    take_body(client, client->loop->room, rest, now_ns);
}

/* False when there is no more to read now. */
static bool read_once(struct load_client *client, size_t max) {
    const ssize_t len = recv(client->socket.fd, client->loop->room, max, 0);
    if (len < 0 && errno == EAGAIN) return false;
    if (len <= 0) {
        if (client->stage == LOAD_CLIENT_READY)
            load_client_close(client);
        else
            load_client_fail(client, LOAD_FAULT_CUT, NULL, 0);
        return false;
    }
    if (client->stage == LOAD_CLIENT_WAITING || client->stage == LOAD_CLIENT_OPENING)
        take_head(client, client->loop->room, (size_t)len, load_now_ns());
    else if (client->options->is_ws && client->stage >= LOAD_CLIENT_READY)
        load_client_ws_take(client, client->loop->room, (size_t)len, load_now_ns());
    else if (client->stage == LOAD_CLIENT_READING)
        take_body(client, client->loop->room, (size_t)len, load_now_ns());
    else
        load_client_fail(client, LOAD_FAULT_FRAMING, client->loop->room, (size_t)len);
    return (size_t)len == max && client->socket.fd >= 0;
}

/* --- asking --------------------------------------------------------------------------------- */

static void send_ask(struct load_client *client) {
    struct load_wire *wire = client->wire;
    const bool is_stream = client->options->is_stream;
    struct load_text *ask = !is_stream                      ? &wire->ask_json
                            : client->options->is_resumable ? &wire->ask_resumable
                                                            : &wire->ask_stream;
    load_digits_put(ask->bytes + ask->number_at, LOAD_NUMBER_DIGITS, client->number);
    client->stage = LOAD_CLIENT_WAITING;
    client->is_done = false;
    client->has_begun = false;
    client->has_finish = false;
    client->message_stage = LOAD_MESSAGE_NEW;
    client->event_count = 0;
    client->frame_count = 0;
    client->body_at = 0;
    const ssize_t sent = send(client->socket.fd, ask->bytes, ask->len, MSG_NOSIGNAL);
    if (sent == (ssize_t)ask->len) return;
    load_client_fail(client, LOAD_FAULT_SEND, NULL, 0);
}

static void client_ready(struct load_socket *socket, uint32_t events) {
    struct load_client *client = LOAD_OWNER(socket, struct load_client, socket);
    if (client->stage == LOAD_CLIENT_CONNECTING) {
        int failed = 0;
        socklen_t len = sizeof(failed);
        (void)getsockopt(socket->fd, SOL_SOCKET, SO_ERROR, &failed, &len);
        if (failed) {
            errno = failed;
            load_client_fail(client, LOAD_FAULT_CONNECT, NULL, 0);
            return;
        }
        if ((events & EPOLLOUT) && client->options->is_ws)
            load_client_ws_open(client);
        else if (events & EPOLLOUT)
            send_ask(client);
        return;
    }
    const bool is_deaf = client->options->is_deaf && client->stage != LOAD_CLIENT_OPENING;
    if (is_deaf && !(events & (EPOLLHUP | EPOLLERR))) return;
    if (!(events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))) return;
    while (read_once(client, LOAD_ROOM_BYTES)) {
        /* The room was filled: there may be more. */
    }
    /* The end of the connection may lie behind what was read, and is told only once. */
    for (int i = 0; i < 4 && (events & (EPOLLRDHUP | EPOLLHUP)); i++) {
        if (socket->fd < 0 || client->stage == LOAD_CLIENT_CONNECTING) return;
        (void)read_once(client, LOAD_ROOM_BYTES);
    }
}

static void connect_to_target(struct load_client *client) {
    const struct load_client_options *options = client->options;
    const int on = 1;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    client->socket = (struct load_socket){.fd = fd, .ready = client_ready};
    client->stage = LOAD_CLIENT_CONNECTING;
    if (fd < 0) {
        load_client_fail(client, LOAD_FAULT_CONNECT, NULL, 0);
        return;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (options->receive_buffer > 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &options->receive_buffer,
                         sizeof(options->receive_buffer));
    }
    const int outcome =
        connect(fd, (const struct sockaddr *)&options->target, sizeof(options->target));
    if ((outcome != 0 && errno != EINPROGRESS) || !load_loop_watch(client->loop, &client->socket)) {
        load_client_fail(client, LOAD_FAULT_CONNECT, NULL, 0);
    }
}

void load_client_ask(struct load_client *client, uint64_t number, int64_t due_ns) {
    client->number = number;
    client->due_ns = due_ns;
    if (client->stage == LOAD_CLIENT_READY && client->options->is_ws)
        load_client_ws_ask(client);
    else if (client->stage == LOAD_CLIENT_READY)
        send_ask(client);
    else if (client->stage == LOAD_CLIENT_CLOSED)
        connect_to_target(client);
}

void load_client_listen(struct load_client *client, size_t len) {
    if (client->stage == LOAD_CLIENT_WAITING || client->stage == LOAD_CLIENT_READING) {
        (void)read_once(client, len);
    }
}
