/* Streams over TCP. One allocation; a second one (`struct work`) lives only while a connection is
 * being made or bytes wait for the system. Must not parse what passes through.
 *
 * A socket is watched edge-triggered from its birth to its end: no system call but those that move
 * bytes is made for it in the steady state. That there may be bytes to read is remembered
 * (`is_readable`) while reading is paused. A small write goes to the loop's outbox, which leaves at
 * the end of the turn; a large one tries the system call at once. Only what the system leaves is
 * kept, and the system's word that there is room asked for, as long as something waits.
 *
 * Invariant: a stream has bytes in the outbox only while none of its bytes wait. */
#include "net/stream.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "net/loop_private.h"
#include "net/stream_private.h"

#include <uv.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    PARTS_PER_CALL = 32,
    READS_PER_TURN = 4, /* of a full buffer each; then other streams have their turn */
    CONSUME_BYTES = 64 * 1024,
};

static const uint32_t READING = EPOLLIN | EPOLLRDHUP;

struct work {
    struct dr_buf waiting;
    size_t sent; /* bytes at the front of `waiting` that the system has */
    /* while connecting: the system cannot tell it after a failure */
    char peer[DR_ADDRESS_TEXT_BYTES];
};

struct stream_tcp {
    struct dr_stream base;
    struct dr_watch watch;
    struct dr_loop *loop;
    struct work *work;
    /* ends gathering, goes on reading, tells a failure that dr_stream_write found, frees */
    struct dr_deferred deferred;
    uint32_t watched; /* what the system was asked to tell */
    bool is_readable; /* the system may have bytes, an end or a failure */
    bool has_ended;   /* an end or a failure is behind the bytes */
};

_Static_assert(sizeof(struct stream_tcp) <= 192, "an idle connection costs little");

static const struct dr_stream_kind tcp_kind;

size_t dr_stream_tcp_bytes(void) {
    return sizeof(struct stream_tcp);
}

static struct stream_tcp *tcp_of(struct dr_stream *stream) {
    dr_assert_slow(stream->kind == &tcp_kind);
    return (struct stream_tcp *)(void *)stream;
}

static void deferred_ran(void *owner);

static int tcp_fd(const struct stream_tcp *tcp) {
    return tcp->watch.fd;
}

static struct dr_loop *tcp_loop(const struct dr_stream *stream) {
    return ((const struct stream_tcp *)(const void *)stream)->loop;
}

static void socket_ready(void *owner, uint32_t events);

/* NULL when out of memory, or with the errno in `*ret_code`. Takes the descriptor in any case. */
static struct stream_tcp *tcp_new(struct dr_loop *loop, int fd, uint32_t events, int *ret_code) {
    struct stream_tcp *tcp = dr_alloc(sizeof(*tcp));
    *ret_code = ENOMEM;
    if (tcp) {
        *tcp = (struct stream_tcp){.loop = loop, .watched = events};
        tcp->watch = (struct dr_watch){.ready = socket_ready, .owner = tcp, .fd = fd};
        dr_stream_init(&tcp->base, &tcp_kind);
        dr_deferred_init(&tcp->deferred, tcp, deferred_ran);
        *ret_code = dr_watch_start(&tcp->watch, loop, events);
    }
    if (*ret_code == 0) return tcp;
    (void)close(fd);
    dr_free(tcp);
    return NULL;
}

static bool work_make(struct stream_tcp *tcp) {
    if (tcp->work) return true;
    struct work *work = dr_alloc(sizeof(*work));
    if (!work) return false;
    dr_buf_init(&work->waiting, SIZE_MAX / 2); /* the stream's own limit is kept in tcp_write */
    work->sent = 0;
    work->peer[0] = '\0';
    tcp->work = work;
    return true;
}

static void work_drop(struct stream_tcp *tcp) {
    if (!tcp->work) return;
    dr_buf_clear(&tcp->work->waiting);
    dr_free(tcp->work);
    tcp->work = NULL;
}

/* ---- failure */

static enum dr_status status_of(int code) {
    if (code == ETIMEDOUT) return DR_TIMED_OUT;
    if (code == ENOMEM) return DR_NO_MEMORY;
    if (code == ECONNRESET || code == EPIPE) return DR_CLOSED;
    return DR_IO;
}

static void tcp_fail(struct stream_tcp *tcp, int code) {
    struct dr_error error;
    char reason[96];
    (void)uv_strerror_r(-code, reason, sizeof(reason));
    if (tcp->base.is_connecting) {
        (void)dr_fail(&error, status_of(code), code, "cannot connect to %s: %s", tcp->work->peer,
                      reason);
    } else {
        (void)dr_fail(&error, status_of(code), code, "%s", reason);
    }
    dr_deferred_cancel(&tcp->deferred);
    tcp->base.failure = 0;
    dr_stream_tell_failed(&tcp->base, &error);
}

/* A write has failed, maybe from within a call of the owner: the fact comes later, behind what can
 * still be read. */
static void tcp_fail_later(struct stream_tcp *tcp, int code) {
    tcp->base.failure = code;
    tcp->base.is_gathering = false;
    dr_deferred_cancel(&tcp->deferred);
    dr_deferred_queue(&tcp->deferred, tcp->loop);
}

static size_t tcp_pending(const struct dr_stream *stream) {
    const struct work *work = ((const struct stream_tcp *)(const void *)stream)->work;
    return work ? work->waiting.len - work->sent : 0;
}

/* ---- reading */

static void places_fetch(const struct dr_stream *stream) {
    for (uint32_t i = 0; i < stream->place_count; i++) {
        __builtin_prefetch(stream->places[i]);
        __builtin_prefetch((const char *)stream->places[i] + DR_STREAM_PLACE_BYTES / 2);
    }
}

/* While a burst is gathered, the system's word for each of its pieces would cost more than they
 * do. */
static void watch_adjust(struct stream_tcp *tcp) {
    const struct dr_stream *base = &tcp->base;
    const uint32_t reading = base->is_gathering ? 0 : READING;
    const uint32_t writing = base->is_connecting || tcp_pending(base) > 0 ? EPOLLOUT : 0;
    const uint32_t wanted = reading | writing;
    if (base->is_closing || base->is_failed || tcp->watched == wanted) return;
    tcp->watched = wanted;
    dr_watch_change(&tcp->watch, tcp->loop, wanted);
}

static bool may_read(const struct stream_tcp *tcp) {
    const struct dr_stream *base = &tcp->base;
    return tcp->is_readable && !base->is_paused && !base->is_gathering && !base->is_closing &&
           !base->is_failed && !base->is_ended;
}

/* This and sending go by syscall(2): the C library's functions are cancellation points, which costs
 * two calls each in a process with threads, and none of ours is ever cancelled. */
static ssize_t receive(const struct stream_tcp *tcp, char *buffer) {
    places_fetch(&tcp->base); /* there when the system call returns */
    ssize_t len;
    do {
        len = syscall(SYS_recvfrom, tcp_fd(tcp), buffer, (size_t)DR_LOOP_READ_BYTES, 0, NULL, NULL);
    } while (len < 0 && errno == EINTR);
    return len;
}

/* A read that does not fill the buffer has taken all, unless an end is behind it. */
static void read_once(struct stream_tcp *tcp) {
    char *buffer = dr_loop_read_buffer(tcp->loop);
    const ssize_t len = receive(tcp, buffer);
    const int code = errno;
    tcp->is_readable = len == DR_LOOP_READ_BYTES || (len > 0 && tcp->has_ended);
    if (len > 0) {
        dr_stream_tell_received(&tcp->base, dr_slice_of(buffer, (size_t)len));
    } else if (len == 0) {
        dr_stream_tell_ended(&tcp->base);
    } else if (code != EAGAIN && code != EWOULDBLOCK) {
        tcp_fail(tcp, code);
    }
}

static void read_on(struct stream_tcp *tcp) {
    for (int i = 0; i < READS_PER_TURN; i++) {
        if (!may_read(tcp)) return;
        read_once(tcp);
    }
    if (may_read(tcp)) dr_loop_take_turns(tcp->loop, &tcp->deferred);
}

/* Of a paused stream, whose owner can't come upon its end by reading. */
static void hung_up_tell(struct stream_tcp *tcp) {
    if (tcp->base.is_paused && tcp->has_ended) dr_stream_tell_hung_up(&tcp->base);
}

/* Whether it is paused is asked for before each read. */
static void tcp_pause(struct dr_stream *stream) {
    struct stream_tcp *tcp = tcp_of(stream);
    if (tcp->has_ended) dr_deferred_queue(&tcp->deferred, tcp->loop);
}

static void tcp_resume(struct dr_stream *stream) {
    struct stream_tcp *tcp = tcp_of(stream);
    if (may_read(tcp)) dr_deferred_queue(&tcp->deferred, tcp->loop);
}

static void tcp_gather(struct dr_stream *stream) {
    struct stream_tcp *tcp = tcp_of(stream);
    if (stream->is_gathering || stream->is_connecting) return;
    stream->is_gathering = true;
    watch_adjust(tcp);
    dr_loop_gather(tcp->loop, &tcp->deferred);
}

static void tcp_free(struct stream_tcp *tcp) {
    dr_stream_tell_closed(&tcp->base);
    work_drop(tcp);
    dr_free(tcp);
}

/* Who resets a connection may have told why before. The system keeps what has come, and no more
 * can: the reading ends. */
static void fail_behind_bytes(struct stream_tcp *tcp) {
    const int code = tcp->base.failure;
    tcp->has_ended = true;
    tcp->is_readable = code != ENOMEM; /* that is ours: the peer may go on for ever */
    while (may_read(tcp)) read_once(tcp);
    if (!tcp->base.is_closing && !tcp->base.is_failed) tcp_fail(tcp, code);
}

static void deferred_ran(void *owner) {
    struct stream_tcp *tcp = owner;
    if (tcp->base.is_closing) {
        tcp_free(tcp);
        return;
    }
    if (tcp->base.failure) {
        fail_behind_bytes(tcp);
        return;
    }
    if (tcp->base.is_gathering) {
        tcp->base.is_gathering = false;
        tcp->is_readable = true; /* most likely; if so, and it goes on, nothing is to be adjusted */
    }
    read_on(tcp);
    hung_up_tell(tcp);
    watch_adjust(tcp);
}

/* ---- writing */

static void fin_send(struct stream_tcp *tcp) {
    (void)shutdown(tcp_fd(tcp), SHUT_WR);
}

/* The place behind `taken` bytes in a row of parts. */
struct rest {
    const dr_slice *parts;
    size_t count;
    size_t skip; /* of the first part */
};

static void rest_advance(struct rest *rest, size_t taken) {
    while (rest->count > 0 && taken >= rest->parts[0].len - rest->skip) {
        taken -= rest->parts[0].len - rest->skip;
        rest->parts++;
        rest->count--;
        rest->skip = 0;
    }
    rest->skip += taken;
}

static ssize_t send_parts(int fd, struct iovec *parts, size_t count) {
    const struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    ssize_t taken;
    do {
        taken = count == 1 ? syscall(SYS_sendto, fd, parts[0].iov_base, parts[0].iov_len,
                                     MSG_NOSIGNAL, NULL, 0)
                           : syscall(SYS_sendmsg, fd, &message, MSG_NOSIGNAL);
    } while (taken < 0 && errno == EINTR);
    return taken;
}

/* Offers the parts to the system until it takes no more. 0, or the errno. */
static int rest_try(struct stream_tcp *tcp, struct rest *rest) {
    rest_advance(rest, 0);
    while (rest->count > 0) {
        struct iovec parts[PARTS_PER_CALL];
        size_t used = 0;
        size_t offered = 0;
        for (size_t i = 0; i < rest->count && used < PARTS_PER_CALL; i++) {
            const dr_slice part = dr_slice_from(rest->parts[i], i == 0 ? rest->skip : 0);
            if (part.len == 0) continue;
            /* The system's type lacks the const; nothing is written there. */
            parts[used++] = (struct iovec){(void *)(uintptr_t)part.data, part.len};
            offered += part.len;
        }
        const ssize_t taken = send_parts(tcp_fd(tcp), parts, used);
        if (taken < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
        if (taken < 0) return errno;
        rest_advance(rest, (size_t)taken);
        if ((size_t)taken < offered) return 0;
    }
    return 0;
}

static size_t rest_len(const struct rest *rest) {
    size_t len = 0;
    for (size_t i = 0; i < rest->count; i++) len += rest->parts[i].len;
    return len - rest->skip;
}

static enum dr_status rest_keep(struct stream_tcp *tcp, const struct rest *rest) {
    if (!work_make(tcp)) return DR_NO_MEMORY;
    struct work *work = tcp->work;
    if (work->sent >= CONSUME_BYTES && work->sent >= work->waiting.len / 2) {
        dr_buf_consume(&work->waiting, work->sent);
        work->sent = 0;
    }
    for (size_t i = 0; i < rest->count; i++) {
        dr_buf_put(&work->waiting, dr_slice_from(rest->parts[i], i == 0 ? rest->skip : 0));
    }
    if (dr_buf_status(&work->waiting)) return DR_NO_MEMORY;
    watch_adjust(tcp);
    return DR_OK;
}

/* The system has room for what waits. */
static void waiting_send(struct stream_tcp *tcp) {
    struct work *work = tcp->work;
    const dr_slice bytes = dr_slice_from(dr_buf_slice(&work->waiting), work->sent);
    struct rest rest = {.parts = &bytes, .count = 1};
    const int code = rest_try(tcp, &rest);
    if (code) {
        tcp_fail_later(tcp, code);
        return;
    }
    if (rest.count > 0) {
        work->sent += rest.skip;
        return;
    }
    work_drop(tcp);
    watch_adjust(tcp);
    if (tcp->base.is_finished) fin_send(tcp);
    dr_stream_tell_drained(&tcp->base);
}

/* The pieces of the stream from number `at` on, which are taken out. */
static size_t outbox_take(struct dr_outbox *outbox, size_t at, dr_slice *parts) {
    const struct stream_tcp *tcp = outbox->pieces[at].stream;
    size_t count = 0;
    for (; count < tcp->base.outgoing_count; at++) {
        struct dr_outbox_piece *piece = &outbox->pieces[at];
        if (piece->stream != tcp) continue;
        parts[count++] = dr_slice_of(outbox->bytes + piece->start, piece->len);
        piece->stream = NULL;
    }
    return count;
}

/* The pieces are lent to the system, all of one stream at once. */
static void outbox_send(struct dr_outbox *outbox) {
    dr_slice parts[DR_OUTBOX_PIECES];
    for (size_t i = 0; i < outbox->piece_count; i++) {
        struct stream_tcp *tcp = outbox->pieces[i].stream;
        if (!tcp) continue;
        struct rest rest = {.parts = parts, .count = outbox_take(outbox, i, parts)};
        tcp->base.outgoing_count = 0;
        if (tcp->base.is_failed || tcp->base.failure) continue;
        const int code = rest_try(tcp, &rest);
        rest_advance(&rest, 0);
        if (code) {
            tcp_fail_later(tcp, code);
        } else if (rest.count > 0 && rest_keep(tcp, &rest) == DR_NO_MEMORY) {
            tcp_fail_later(tcp, ENOMEM);
        }
    }
    outbox->piece_count = 0;
    outbox->len = 0;
}

static void outgoing_send(struct stream_tcp *tcp) {
    if (tcp->base.outgoing_count > 0) outbox_send(dr_loop_outbox(tcp->loop));
}

static bool is_last_in(const struct dr_outbox *outbox, const struct stream_tcp *tcp) {
    return outbox->piece_count > 0 && outbox->pieces[outbox->piece_count - 1].stream == tcp;
}

/* May leave a rest of the stream's earlier bytes, which the next ones have to wait behind. */
static void outbox_make_room(struct stream_tcp *tcp, size_t len) {
    struct dr_outbox *outbox = dr_loop_outbox(tcp->loop);
    const bool has_place = outbox->piece_count < DR_OUTBOX_PIECES || is_last_in(outbox, tcp);
    if (outbox->len + len > DR_OUTBOX_BYTES || !has_place) outbox_send(outbox);
}

/* Behind outbox_make_room. */
static void outbox_put(struct stream_tcp *tcp, const dr_slice *parts, size_t part_count,
                       size_t len) {
    struct dr_outbox *outbox = dr_loop_outbox(tcp->loop);
    dr_assert(outbox->len + len <= DR_OUTBOX_BYTES);
    outbox->send = outbox_send;
    if (is_last_in(outbox, tcp)) {
        outbox->pieces[outbox->piece_count - 1].len += len;
    } else {
        _Static_assert(DR_OUTBOX_PIECES <= UINT8_MAX, "all may be of one stream");
        dr_assert(outbox->piece_count < DR_OUTBOX_PIECES);
        outbox->pieces[outbox->piece_count++] =
            (struct dr_outbox_piece){.stream = tcp, .start = outbox->len, .len = len};
        tcp->base.outgoing_count++;
    }
    for (size_t i = 0; i < part_count; i++) {
        if (parts[i].len == 0) continue;
        memcpy(outbox->bytes + outbox->len, parts[i].data, parts[i].len);
        outbox->len += parts[i].len;
    }
}

static enum dr_status tcp_write(struct dr_stream *stream, const dr_slice *parts,
                                size_t part_count) {
    struct stream_tcp *tcp = tcp_of(stream);
    struct rest rest = {.parts = parts, .count = part_count};
    const size_t len = rest_len(&rest);
    if (len == 0) return DR_OK;
    const bool is_small = len <= DR_OUTBOX_WRITE_BYTES;
    if (is_small) {
        outbox_make_room(tcp, len);
    } else {
        outgoing_send(tcp);
    }
    if (stream->failure) return DR_CLOSED;
    const size_t pending = tcp_pending(stream);
    if (!stream->is_connecting && pending == 0) {
        if (is_small) {
            outbox_put(tcp, parts, part_count, len);
            return DR_OK;
        }
        const int code = rest_try(tcp, &rest);
        if (code) {
            tcp_fail_later(tcp, code);
            return DR_CLOSED;
        }
    }
    rest_advance(&rest, 0);
    if (rest.count == 0) return DR_OK;
    if (pending > stream->pending_max || rest_len(&rest) > stream->pending_max - pending) {
        return DR_TOO_LARGE;
    }
    return rest_keep(tcp, &rest);
}

static void tcp_flush(struct dr_stream *stream) {
    outgoing_send(tcp_of(stream));
}

static void tcp_finish(struct dr_stream *stream) {
    struct stream_tcp *tcp = tcp_of(stream);
    outgoing_send(tcp);
    if (stream->failure) return;
    if (!stream->is_connecting && tcp_pending(stream) == 0) fin_send(tcp);
}

/* ---- what the system tells */

static int socket_error(const struct stream_tcp *tcp) {
    int code = 0;
    socklen_t len = sizeof(code);
    if (getsockopt(tcp_fd(tcp), SOL_SOCKET, SO_ERROR, &code, &len)) return errno;
    return code;
}

static void connected(struct stream_tcp *tcp) {
    const int code = socket_error(tcp);
    if (code) {
        tcp_fail(tcp, code);
        return;
    }
    tcp->base.is_connecting = false;
    if (tcp->work->waiting.len == 0) {
        work_drop(tcp);
        watch_adjust(tcp);
        if (tcp->base.is_finished) fin_send(tcp);
    }
    dr_stream_tell_opened(&tcp->base);
}

static void socket_ready(void *owner, uint32_t events) {
    struct stream_tcp *tcp = owner;
    const uint32_t ends = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    if (tcp->base.is_closing || tcp->base.is_failed) return;
    if (tcp->base.is_connecting) connected(tcp);
    if (events & (EPOLLIN | ends)) tcp->is_readable = true;
    if (events & ends) tcp->has_ended = true;
    if (events & (EPOLLOUT | EPOLLERR) && !tcp->base.is_closing && !tcp->base.is_failed &&
        !tcp->base.failure && tcp_pending(&tcp->base) > 0) {
        waiting_send(tcp);
    }
    read_on(tcp);
    hung_up_tell(tcp);
}

/* ---- life */

static void tcp_close(struct dr_stream *stream, bool is_reset) {
    struct stream_tcp *tcp = tcp_of(stream);
    outgoing_send(tcp);
    dr_deferred_cancel(&tcp->deferred);
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (is_reset) {
        (void)setsockopt(tcp_fd(tcp), SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    }
    dr_watch_stop(&tcp->watch, tcp->loop);
    (void)close(tcp_fd(tcp));
    dr_deferred_queue(&tcp->deferred, tcp->loop);
}

/* A socket on its way to the address; -1 with errno set. */
static int socket_connect(const struct sockaddr *address) {
    const int on = 1;
    const socklen_t len =
        address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    const int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    int code;
    do {
        code = connect(fd, address, len) ? errno : 0;
    } while (code == EINTR);
    if (code == 0 || code == EINPROGRESS) return fd;
    (void)close(fd);
    errno = code;
    return -1;
}

static enum dr_status fail_to_connect(const struct sockaddr *address, int code,
                                      struct dr_error *error) {
    char peer[DR_ADDRESS_TEXT_BYTES];
    if (code == ENOMEM) return dr_fail(error, DR_NO_MEMORY, 0, "no memory for a connection");
    dr_sockaddr_text(address, peer);
    return dr_fail(error, status_of(code), code, "cannot connect to %s: %s", peer,
                   uv_strerror(-code));
}

enum dr_status dr_stream_tcp_connect(struct dr_loop *loop, const struct sockaddr *address,
                                     const struct dr_stream_events *events, void *owner,
                                     struct dr_stream **ret_stream, struct dr_error *error) {
    int code;
    const int fd = socket_connect(address);
    if (fd < 0) return fail_to_connect(address, errno, error);
    struct stream_tcp *tcp = tcp_new(loop, fd, READING | EPOLLOUT, &code);
    if (!tcp) return fail_to_connect(address, code, error);
    if (!work_make(tcp)) {
        dr_stream_close(&tcp->base);
        return fail_to_connect(address, ENOMEM, error);
    }
    dr_sockaddr_text(address, tcp->work->peer);
    tcp->base.is_connecting = true;
    tcp->base.events = events;
    tcp->base.owner = owner;
    *ret_stream = &tcp->base;
    return DR_OK;
}

enum dr_status dr_stream_tcp_accept(struct dr_loop *loop, int fd, struct dr_stream **ret_stream,
                                    struct dr_error *error) {
    int code;
    struct stream_tcp *tcp = tcp_new(loop, fd, READING, &code);
    if (tcp) {
        *ret_stream = &tcp->base;
        return DR_OK;
    }
    if (code == ENOMEM) return dr_fail(error, DR_NO_MEMORY, 0, "no memory for a connection");
    return dr_fail(error, DR_IO, code, "cannot take a connection: %s", uv_strerror(-code));
}

void dr_sockaddr_text(const struct sockaddr *address, char text[DR_ADDRESS_TEXT_BYTES]) {
    char name[INET6_ADDRSTRLEN] = "unknown";
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)address;
        (void)uv_ip6_name(in6, name, sizeof(name));
        (void)snprintf(text, DR_ADDRESS_TEXT_BYTES, "[%s]:%u", name, ntohs(in6->sin6_port));
    } else if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)address;
        (void)uv_ip4_name(in, name, sizeof(name));
        (void)snprintf(text, DR_ADDRESS_TEXT_BYTES, "%s:%u", name, ntohs(in->sin_port));
    } else {
        (void)snprintf(text, DR_ADDRESS_TEXT_BYTES, "unknown");
    }
}

static void tcp_peer_text(const struct dr_stream *stream, char text[DR_ADDRESS_TEXT_BYTES]) {
    const struct stream_tcp *tcp = (const struct stream_tcp *)(const void *)stream;
    struct sockaddr_storage storage = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(storage);
    if (stream->is_connecting) {
        (void)snprintf(text, DR_ADDRESS_TEXT_BYTES, "%s", tcp->work->peer);
        return;
    }
    (void)getpeername(tcp_fd(tcp), (struct sockaddr *)&storage, &len);
    dr_sockaddr_text((const struct sockaddr *)&storage, text);
}

static const struct dr_stream_kind tcp_kind = {
    .write = tcp_write,
    .pending = tcp_pending,
    .flush = tcp_flush,
    .pause = tcp_pause,
    .resume = tcp_resume,
    .gather = tcp_gather,
    .finish = tcp_finish,
    .close = tcp_close,
    .loop = tcp_loop,
    .peer_text = tcp_peer_text,
    .is_tls = false,
};
