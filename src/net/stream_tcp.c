/* Streams over TCP by libuv. One allocation for stream and handle; a second one (`struct work`)
 * lives only while a connection is being made or bytes wait for the system. Must not parse what
 * passes through.
 *
 * Reading is started once; libuv then reads into the loop's shared buffer without touching epoll
 * again. A small write goes to the loop's outbox, which leaves at the end of the turn; a large one
 * tries the system call at once. Only what the system leaves is kept: in `waiting` while an earlier
 * rest (`writing`) is under way, so that libuv sees one request at a time and many small writes
 * become one.
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
#include <sys/socket.h>
#include <unistd.h>

enum { PARTS_PER_CALL = 32 };

struct work {
    struct dr_buf waiting;
    struct dr_buf writing;
    bool is_writing;
    uv_write_t write;
    uv_connect_t connect;
    /* while connecting: the system cannot tell it after a failure */
    char peer[DR_ADDRESS_TEXT_BYTES];
};

struct stream_tcp {
    struct dr_stream base;
    struct work *work;
    /* ends gathering, or tells a failure that dr_stream_write found */
    struct dr_deferred deferred;
    uv_tcp_t handle;
};

_Static_assert(sizeof(struct stream_tcp) <= sizeof(uv_tcp_t) + 96,
               "an idle connection costs little more than libuv's part");

static const struct dr_stream_kind tcp_kind;

size_t dr_stream_tcp_bytes(void) {
    return sizeof(struct stream_tcp);
}

static struct stream_tcp *tcp_of(struct dr_stream *stream) {
    dr_assert_slow(stream->kind == &tcp_kind);
    return (struct stream_tcp *)(void *)stream;
}

static uv_stream_t *uv_of(struct stream_tcp *tcp) {
    return (uv_stream_t *)(void *)&tcp->handle;
}

static void deferred_ran(void *owner);

static struct stream_tcp *tcp_new(struct dr_loop *loop) {
    struct stream_tcp *tcp = dr_alloc(sizeof(*tcp));
    if (!tcp) return NULL;
    dr_stream_init(&tcp->base, &tcp_kind);
    tcp->work = NULL;
    dr_deferred_init(&tcp->deferred, tcp, deferred_ran);
    if (uv_tcp_init(dr_loop_uv(loop), &tcp->handle)) {
        dr_free(tcp);
        return NULL;
    }
    tcp->handle.data = tcp;
    return tcp;
}

static struct dr_loop *tcp_loop(const struct dr_stream *stream) {
    return ((const struct stream_tcp *)(const void *)stream)->handle.loop->data;
}

static bool work_make(struct stream_tcp *tcp) {
    if (tcp->work) return true;
    struct work *work = dr_alloc(sizeof(*work));
    if (!work) return false;
    dr_buf_init(&work->waiting, SIZE_MAX / 2); /* the stream's own limit is kept in tcp_write */
    dr_buf_init(&work->writing, SIZE_MAX / 2);
    work->is_writing = false;
    work->peer[0] = '\0';
    tcp->work = work;
    return true;
}

static void work_drop(struct stream_tcp *tcp) {
    if (!tcp->work) return;
    dr_buf_clear(&tcp->work->waiting);
    dr_buf_clear(&tcp->work->writing);
    dr_free(tcp->work);
    tcp->work = NULL;
}

/* ---- failure */

static enum dr_status status_of(int code) {
    if (code == UV_ETIMEDOUT) return DR_TIMED_OUT;
    if (code == UV_ENOMEM) return DR_NO_MEMORY;
    if (code == UV_ECONNRESET || code == UV_EPIPE) return DR_CLOSED;
    return DR_IO;
}

static void tcp_fail(struct stream_tcp *tcp, int code) {
    struct dr_error error;
    char reason[96];
    (void)uv_strerror_r(code, reason, sizeof(reason));
    if (tcp->base.is_connecting) {
        (void)dr_fail(&error, status_of(code), -code, "cannot connect to %s: %s", tcp->work->peer,
                      reason);
    } else {
        (void)dr_fail(&error, status_of(code), -code, "%s", reason);
    }
    dr_deferred_cancel(&tcp->deferred);
    (void)uv_read_stop(uv_of(tcp));
    dr_stream_tell_failed(&tcp->base, &error);
}

/* From within a call of the owner: the fact comes later. */
static void tcp_fail_later(struct stream_tcp *tcp, int code) {
    tcp->base.is_failed = true;
    tcp->base.failure = code;
    tcp->base.is_gathering = false;
    dr_deferred_cancel(&tcp->deferred);
    dr_deferred_queue(&tcp->deferred, tcp_loop(&tcp->base));
}

/* ---- reading */

static void places_fetch(const struct dr_stream *stream) {
    for (uint32_t i = 0; i < stream->place_count; i++) {
        __builtin_prefetch(stream->places[i]);
        __builtin_prefetch((const char *)stream->places[i] + DR_STREAM_PLACE_BYTES / 2);
    }
}

/* The system call that reads follows: what is fetched now is there when it returns. */
static void buffer_asked(uv_handle_t *handle, size_t suggested, uv_buf_t *ret) {
    const struct stream_tcp *tcp = handle->data;
    (void)suggested;
    places_fetch(&tcp->base);
    *ret = uv_buf_init(dr_loop_read_buffer(handle->loop->data), DR_LOOP_READ_BYTES);
}

static void read_done(uv_stream_t *handle, ssize_t len, const uv_buf_t *buf) {
    struct stream_tcp *tcp = handle->data;
    if (len > 0) {
        dr_stream_tell_received(&tcp->base, dr_slice_of(buf->base, (size_t)len));
    } else if (len == UV_EOF) {
        dr_stream_tell_ended(&tcp->base);
    } else if (len < 0 && !tcp->base.is_failed) {
        tcp_fail(tcp, (int)len);
    }
}

static void reading_adjust(struct stream_tcp *tcp) {
    const struct dr_stream *base = &tcp->base;
    if (base->is_closing || base->is_failed || base->is_connecting || base->is_ended) return;
    if (base->is_paused || base->is_gathering) {
        (void)uv_read_stop(uv_of(tcp));
    } else {
        (void)uv_read_start(uv_of(tcp), buffer_asked, read_done);
    }
}

static void tcp_pause_or_resume(struct dr_stream *stream) {
    reading_adjust(tcp_of(stream));
}

static void tcp_gather(struct dr_stream *stream) {
    struct stream_tcp *tcp = tcp_of(stream);
    if (stream->is_gathering || stream->is_connecting) return;
    stream->is_gathering = true;
    reading_adjust(tcp);
    dr_loop_gather(tcp_loop(stream), &tcp->deferred);
}

static void deferred_ran(void *owner) {
    struct stream_tcp *tcp = owner;
    if (tcp->base.failure) {
        const int code = tcp->base.failure;
        tcp->base.failure = 0;
        tcp_fail(tcp, code);
        return;
    }
    tcp->base.is_gathering = false;
    reading_adjust(tcp);
}

/* ---- writing */

static size_t tcp_pending(const struct dr_stream *stream) {
    const struct stream_tcp *tcp = (const struct stream_tcp *)(const void *)stream;
    if (!tcp->work) return 0;
    return tcp->work->waiting.len + tcp->handle.write_queue_size;
}

/* libuv's own uv_shutdown would register for writability and wait a turn. */
static void fin_send(struct stream_tcp *tcp) {
    uv_os_fd_t fd;
    if (uv_fileno((const uv_handle_t *)&tcp->handle, &fd) == 0) (void)shutdown(fd, SHUT_WR);
}

static void write_done(uv_write_t *write, int code);

static int rest_start(struct stream_tcp *tcp) {
    struct work *work = tcp->work;
    dr_assert(!work->is_writing);
    const struct dr_buf spare = work->writing;
    work->writing = work->waiting;
    work->waiting = spare;
    dr_buf_reset(&work->waiting);
    const uv_buf_t buf = {.base = work->writing.data, .len = work->writing.len};
    work->write.data = tcp;
    const int code = uv_write(&work->write, uv_of(tcp), &buf, 1, write_done);
    work->is_writing = code == 0;
    return code;
}

static void write_done(uv_write_t *write, int code) {
    struct stream_tcp *tcp = write->data;
    tcp->work->is_writing = false;
    if (tcp->base.is_closing || tcp->base.is_failed) return;
    if (!code && tcp->work->waiting.len > 0) {
        code = rest_start(tcp);
        if (!code) return;
    }
    if (code) {
        tcp_fail(tcp, code);
        return;
    }
    work_drop(tcp);
    if (tcp->base.is_finished) fin_send(tcp);
    dr_stream_tell_drained(&tcp->base);
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
        taken = count == 1 ? send(fd, parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL)
                           : sendmsg(fd, &message, MSG_NOSIGNAL);
    } while (taken < 0 && errno == EINTR);
    return taken;
}

/* Offers the parts to the system until it takes no more; returns a negative errno on failure. By
 * send(2) itself, since nothing of ours waits in libuv when this is called. */
static int rest_try(struct stream_tcp *tcp, struct rest *rest) {
    uv_os_fd_t fd;
    if (uv_fileno((const uv_handle_t *)&tcp->handle, &fd)) return UV_EPIPE;
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
        const ssize_t taken = send_parts(fd, parts, used);
        if (taken < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return 0;
        if (taken < 0) return -errno;
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

/* Whatever may happen to the bytes is told by a deferred call. */
static enum dr_status rest_keep(struct stream_tcp *tcp, const struct rest *rest) {
    if (!work_make(tcp)) return DR_NO_MEMORY;
    struct dr_buf *waiting = &tcp->work->waiting;
    for (size_t i = 0; i < rest->count; i++) {
        dr_buf_put(waiting, dr_slice_from(rest->parts[i], i == 0 ? rest->skip : 0));
    }
    if (dr_buf_status(waiting)) return DR_NO_MEMORY;
    if (tcp->work->is_writing) return DR_OK;
    const int code = rest_start(tcp);
    if (!code) return DR_OK;
    tcp_fail_later(tcp, code);
    return DR_CLOSED;
}

/* The outbox's pieces are lent to the system one after the other. */
static void outbox_send(struct dr_outbox *outbox) {
    for (size_t i = 0; i < outbox->piece_count; i++) {
        const struct dr_outbox_piece *piece = &outbox->pieces[i];
        struct stream_tcp *tcp = piece->stream;
        const dr_slice bytes = dr_slice_of(outbox->bytes + piece->start, piece->len);
        struct rest rest = {.parts = &bytes, .count = 1};
        tcp->base.has_outgoing = false;
        if (tcp->base.is_failed) continue;
        /* An earlier piece of the same stream may have left a rest. */
        const int code = tcp_pending(&tcp->base) == 0 ? rest_try(tcp, &rest) : 0;
        rest_advance(&rest, 0);
        if (code) {
            tcp_fail_later(tcp, code);
        } else if (rest.count > 0 && rest_keep(tcp, &rest) == DR_NO_MEMORY) {
            tcp_fail_later(tcp, UV_ENOMEM);
        }
    }
    outbox->piece_count = 0;
    outbox->len = 0;
}

static void outgoing_send(struct stream_tcp *tcp) {
    if (tcp->base.has_outgoing) outbox_send(dr_loop_outbox(tcp_loop(&tcp->base)));
}

static bool is_last_in(const struct dr_outbox *outbox, const struct stream_tcp *tcp) {
    return outbox->piece_count > 0 && outbox->pieces[outbox->piece_count - 1].stream == tcp;
}

/* May leave a rest of the stream's earlier bytes, which the next ones have to wait behind. */
static void outbox_make_room(struct stream_tcp *tcp, size_t len) {
    struct dr_outbox *outbox = dr_loop_outbox(tcp_loop(&tcp->base));
    const bool has_place = outbox->piece_count < DR_OUTBOX_PIECES || is_last_in(outbox, tcp);
    if (outbox->len + len > DR_OUTBOX_BYTES || !has_place) outbox_send(outbox);
}

/* Behind outbox_make_room. */
static void outbox_put(struct stream_tcp *tcp, const dr_slice *parts, size_t part_count,
                       size_t len) {
    struct dr_outbox *outbox = dr_loop_outbox(tcp_loop(&tcp->base));
    dr_assert(outbox->len + len <= DR_OUTBOX_BYTES);
    outbox->send = outbox_send;
    if (is_last_in(outbox, tcp)) {
        outbox->pieces[outbox->piece_count - 1].len += len;
    } else {
        dr_assert(outbox->piece_count < DR_OUTBOX_PIECES);
        outbox->pieces[outbox->piece_count++] =
            (struct dr_outbox_piece){.stream = tcp, .start = outbox->len, .len = len};
    }
    for (size_t i = 0; i < part_count; i++) {
        if (parts[i].len == 0) continue;
        memcpy(outbox->bytes + outbox->len, parts[i].data, parts[i].len);
        outbox->len += parts[i].len;
    }
    tcp->base.has_outgoing = true;
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
    if (stream->is_failed) return DR_CLOSED;
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
    if (stream->is_failed) return;
    if (!stream->is_connecting && tcp_pending(stream) == 0) fin_send(tcp);
}

/* ---- life */

static void handle_closed(uv_handle_t *handle) {
    struct stream_tcp *tcp = handle->data;
    dr_stream_tell_closed(&tcp->base);
    work_drop(tcp);
    dr_free(tcp);
}

static void tcp_close(struct dr_stream *stream, bool is_reset) {
    struct stream_tcp *tcp = tcp_of(stream);
    outgoing_send(tcp);
    dr_deferred_cancel(&tcp->deferred);
    if (is_reset && uv_tcp_close_reset(&tcp->handle, handle_closed) == 0) return;
    uv_close((uv_handle_t *)&tcp->handle, handle_closed);
}

static void connected(uv_connect_t *connect, int code) {
    struct stream_tcp *tcp = connect->data;
    if (tcp->base.is_closing) return;
    if (code) {
        tcp_fail(tcp, code);
        return;
    }
    tcp->base.is_connecting = false;
    const bool is_idle = !tcp->work->is_writing && tcp->work->waiting.len == 0;
    if (is_idle) work_drop(tcp);
    if (is_idle && tcp->base.is_finished) fin_send(tcp);
    reading_adjust(tcp);
    dr_stream_tell_opened(&tcp->base);
}

enum dr_status dr_stream_tcp_connect(struct dr_loop *loop, const struct sockaddr *address,
                                     const struct dr_stream_events *events, void *owner,
                                     struct dr_stream **ret_stream, struct dr_error *error) {
    struct stream_tcp *tcp = tcp_new(loop);
    if (!tcp) return dr_fail(error, DR_NO_MEMORY, 0, "no memory for a connection");
    if (!work_make(tcp)) {
        dr_stream_close(&tcp->base);
        return dr_fail(error, DR_NO_MEMORY, 0, "no memory for a connection");
    }
    dr_sockaddr_text(address, tcp->work->peer);
    tcp->base.is_connecting = true;
    tcp->work->connect.data = tcp;
    (void)uv_tcp_nodelay(&tcp->handle, 1); /* kept by libuv until it makes the socket */
    const int code = uv_tcp_connect(&tcp->work->connect, &tcp->handle, address, connected);
    if (code) {
        const enum dr_status status =
            dr_fail(error, status_of(code), -code, "cannot connect to %s: %s", tcp->work->peer,
                    uv_strerror(code));
        dr_stream_close(&tcp->base);
        return status;
    }
    tcp->base.events = events;
    tcp->base.owner = owner;
    *ret_stream = &tcp->base;
    return DR_OK;
}

enum dr_status dr_stream_tcp_accept(struct dr_loop *loop, int fd, struct dr_stream **ret_stream,
                                    struct dr_error *error) {
    struct stream_tcp *tcp = tcp_new(loop);
    if (!tcp) {
        (void)close(fd);
        return dr_fail(error, DR_NO_MEMORY, 0, "no memory for a connection");
    }
    const int code = uv_tcp_open(&tcp->handle, fd);
    if (code) {
        (void)close(fd);
        dr_stream_close(&tcp->base);
        return dr_fail(error, DR_IO, -code, "cannot take a connection: %s", uv_strerror(code));
    }
    reading_adjust(tcp);
    *ret_stream = &tcp->base;
    return DR_OK;
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
    int len = sizeof(storage);
    if (stream->is_connecting) {
        (void)snprintf(text, DR_ADDRESS_TEXT_BYTES, "%s", tcp->work->peer);
        return;
    }
    (void)uv_tcp_getpeername(&tcp->handle, (struct sockaddr *)&storage, &len);
    dr_sockaddr_text((const struct sockaddr *)&storage, text);
}

static const struct dr_stream_kind tcp_kind = {
    .write = tcp_write,
    .pending = tcp_pending,
    .flush = tcp_flush,
    .pause = tcp_pause_or_resume,
    .resume = tcp_pause_or_resume,
    .gather = tcp_gather,
    .finish = tcp_finish,
    .close = tcp_close,
    .loop = tcp_loop,
    .peer_text = tcp_peer_text,
    .is_tls = false,
};
