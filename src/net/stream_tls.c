/* Streams that speak TLS over another stream. OpenSSL takes ciphertext where it lies (the loop's
 * read buffer) and deciphers into the loop's second buffer; what it produces is gathered in the
 * loop's scratch buffer and written at once. An idle connection so holds no buffer of ours, and by
 * SSL_MODE_RELEASE_BUFFERS none of OpenSSL's. Must not decide whom to trust: that is tls_shared.c.
 *
 * Bounds: ciphertext is kept (`held`) only when the owner pauses in the middle of what one read
 * brought, and the stream below is paused then too; plaintext waits only for the handshake, up to
 * `pending_max`. */
#include "net/stream.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/buf.h"
#include "net/loop_private.h"
#include "net/stream_private.h"
#include "net/tls_private.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <errno.h>

enum {
    RECORD_BYTES = 16384, /* most that one record carries (RFC 8446 section 5.1) */
    FLUSH_BYTES = 65536,  /* ciphertext gathered before it is written */
    HANDSHAKE_MS = 10000,
};

struct stream_tls {
    struct dr_stream base;
    struct dr_stream *inner;
    SSL *ssl;
    struct dr_tls_client *client; /* either of the two, held */
    struct dr_tls_server *server;
    struct dr_tls_wire wire;
    struct dr_buf held;
    struct dr_buf waiting;
    bool is_open;     /* the handshake is done */
    bool has_hung_up; /* the peer, while the stream below was paused */
    /* goes on after a pause, tells under it of a peer that has hung up, or anywhere a failure found
     * while writing */
    struct dr_deferred deferred;
    struct dr_timer handshake_bound;
    char server_name[];
};

static const struct dr_stream_kind tls_kind;

static struct stream_tls *tls_of(struct dr_stream *stream) {
    dr_assert_slow(stream->kind == &tls_kind);
    return (struct stream_tls *)(void *)stream;
}

static struct dr_loop *tls_loop(const struct dr_stream *stream) {
    return dr_stream_loop(((const struct stream_tls *)(const void *)stream)->inner);
}

static bool is_over(const struct stream_tls *tls) {
    return tls->base.is_closing || tls->base.is_failed;
}

/* ---- failure */

static void tls_fail(struct stream_tls *tls, enum dr_status status, const char *reason) {
    struct dr_error error;
    if (tls->is_open) {
        (void)dr_fail(&error, status, 0, "%s", reason);
    } else if (tls->client) {
        (void)dr_fail(&error, status, 0, "TLS handshake with %s failed: %s", tls->server_name,
                      reason);
    } else {
        (void)dr_fail(&error, status, 0, "TLS handshake failed: %s", reason);
    }
    dr_timer_stop(&tls->handshake_bound);
    dr_deferred_cancel(&tls->deferred);
    dr_stream_pause(tls->inner);
    dr_stream_tell_failed(&tls->base, &error);
}

/* After an SSL call has failed for good. */
static void tls_fail_by_ssl(struct stream_tls *tls) {
    char reason[160] = "protocol error";
    const unsigned long code = ERR_peek_error();
    const char *text = ERR_reason_error_string(code);
    const long verdict = SSL_get_verify_result(tls->ssl);
    if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK) {
        (void)snprintf(reason, sizeof(reason), "certificate verify failed: %s",
                       X509_verify_cert_error_string(verdict));
    } else if (text) {
        (void)snprintf(reason, sizeof(reason), "%s", text);
    }
    ERR_clear_error();
    tls_fail(tls, DR_INVALID, reason);
}

static void tls_fail_later(struct stream_tls *tls) {
    tls->base.is_failed = true;
    tls->base.failure = -EPROTO;
    dr_deferred_cancel(&tls->deferred);
    dr_deferred_queue(&tls->deferred, tls_loop(&tls->base));
}

/* ---- between begin and end OpenSSL may be called; no callback of the owner may run in between */

static void ssl_begin(struct stream_tls *tls) {
    tls->wire.out = dr_loop_scratch(tls_loop(&tls->base));
    ERR_clear_error();
}

static enum dr_status ssl_flush(struct stream_tls *tls) {
    struct dr_buf *out = tls->wire.out;
    enum dr_status status = dr_buf_status(out);
    const dr_slice bytes = dr_buf_slice(out);
    if (!status && bytes.len > 0) status = dr_stream_write(tls->inner, &bytes, 1);
    dr_buf_reset(out);
    return status;
}

static enum dr_status ssl_end(struct stream_tls *tls) {
    const enum dr_status status = ssl_flush(tls);
    tls->wire.out = NULL;
    dr_loop_scratch_done(tls_loop(&tls->base));
    return status;
}

/* ---- writing */

/* The next record's bytes: where they lie when one part fills the record or is the last, otherwise
 * gathered into `gathered`. Takes them from the parts. */
static dr_slice record_take(const dr_slice **parts, size_t *count, size_t *skip,
                            char gathered[RECORD_BYTES]) {
    size_t len = 0;
    while (*count > 0) {
        const dr_slice part = dr_slice_from((*parts)[0], *skip);
        const dr_slice piece = dr_slice_first(part, RECORD_BYTES - len);
        *skip += piece.len;
        if (piece.len == part.len) {
            (*parts)++;
            (*count)--;
            *skip = 0;
        }
        if (len == 0 && (piece.len == RECORD_BYTES || *count == 0)) return piece;
        memcpy(gathered + len, piece.data ? piece.data : "", piece.len);
        len += piece.len;
        if (len == RECORD_BYTES) break;
    }
    return dr_slice_of(gathered, len);
}

static enum dr_status records_write(struct stream_tls *tls, const dr_slice *parts, size_t count) {
    char gathered[RECORD_BYTES];
    size_t skip = 0;
    enum dr_status status = DR_OK;
    bool is_sound = true;
    tls->inner->pending_max = tls->base.pending_max + tls->base.pending_max / 16 + 4096;
    ssl_begin(tls);
    while (is_sound && !status && count > 0) {
        const dr_slice record = record_take(&parts, &count, &skip, gathered);
        size_t written = 0;
        if (record.len > 0) {
            is_sound = SSL_write_ex(tls->ssl, record.data, record.len, &written) == 1;
        }
        if (tls->wire.out->len >= FLUSH_BYTES) status = ssl_flush(tls);
    }
    const enum dr_status end = ssl_end(tls);
    if (!status) status = end;
    if (is_sound || status) return status;
    ERR_clear_error();
    tls_fail_later(tls);
    return DR_CLOSED;
}

static enum dr_status tls_write(struct dr_stream *stream, const dr_slice *parts,
                                size_t part_count) {
    struct stream_tls *tls = tls_of(stream);
    if (tls->is_open) return records_write(tls, parts, part_count);
    size_t len = tls->waiting.len;
    for (size_t i = 0; i < part_count; i++) len += parts[i].len;
    if (len > stream->pending_max) return DR_TOO_LARGE;
    for (size_t i = 0; i < part_count; i++) dr_buf_put(&tls->waiting, parts[i]);
    return dr_buf_status(&tls->waiting);
}

static size_t tls_pending(const struct dr_stream *stream) {
    const struct stream_tls *tls = (const struct stream_tls *)(const void *)stream;
    return dr_stream_pending(tls->inner) + tls->waiting.len;
}

static void tls_flush(struct dr_stream *stream) {
    dr_stream_flush(tls_of(stream)->inner);
}

static void end_send(struct stream_tls *tls) {
    ssl_begin(tls);
    (void)SSL_shutdown(tls->ssl);
    (void)ssl_end(tls); /* a failure is told by the stream below */
    dr_stream_finish(tls->inner);
}

static void tls_finish(struct dr_stream *stream) {
    struct stream_tls *tls = tls_of(stream);
    if (tls->is_open) end_send(tls);
}

/* ---- reading */

enum ssl_progress { SSL_WANTS_MORE, SSL_IS_FULL, SSL_HAS_ENDED, SSL_HAS_FAILED };

static enum ssl_progress ssl_read(struct stream_tls *tls, char *buffer, size_t *ret_len) {
    size_t filled = 0;
    enum ssl_progress progress = SSL_IS_FULL;
    ssl_begin(tls);
    while (filled < DR_LOOP_READ_BYTES) {
        size_t len = 0;
        const int result =
            SSL_read_ex(tls->ssl, buffer + filled, DR_LOOP_READ_BYTES - filled, &len);
        if (result == 1) {
            filled += len;
            continue;
        }
        const int reason = SSL_get_error(tls->ssl, result);
        progress = reason == SSL_ERROR_WANT_READ     ? SSL_WANTS_MORE
                   : reason == SSL_ERROR_ZERO_RETURN ? SSL_HAS_ENDED
                                                     : SSL_HAS_FAILED;
        break;
    }
    (void)ssl_end(tls); /* key updates, alerts; a failure is told by the stream below */
    *ret_len = filled;
    return progress;
}

static void records_read(struct stream_tls *tls) {
    char *buffer = dr_loop_plain_buffer(tls_loop(&tls->base));
    if (!buffer) {
        tls_fail(tls, DR_NO_MEMORY, "no memory to read TLS");
        return;
    }
    enum ssl_progress progress = SSL_IS_FULL;
    while (progress == SSL_IS_FULL && !is_over(tls) && !tls->base.is_paused &&
           !tls->base.is_ended) {
        size_t len;
        progress = ssl_read(tls, buffer, &len);
        if (len > 0) dr_stream_tell_received(&tls->base, dr_slice_of(buffer, len));
    }
    if (is_over(tls)) return;
    if (progress == SSL_HAS_FAILED) tls_fail_by_ssl(tls);
    if (progress == SSL_HAS_ENDED) dr_stream_tell_ended(&tls->base);
}

/* ---- handshake */

static void handshake_done(struct stream_tls *tls) {
    tls->is_open = true;
    dr_timer_stop(&tls->handshake_bound);
    if (tls->waiting.len > 0) {
        const dr_slice bytes = dr_buf_slice(&tls->waiting);
        const enum dr_status status = records_write(tls, &bytes, 1);
        const bool is_drained = !status && dr_stream_pending(tls->inner) == 0;
        dr_buf_clear(&tls->waiting);
        if (status && !is_over(tls)) {
            tls_fail(tls, status, "what waited for the TLS handshake cannot be written");
        }
        if (is_drained) dr_stream_tell_drained(&tls->base);
    }
    if (is_over(tls)) return;
    if (tls->base.is_finished) end_send(tls);
    dr_stream_tell_opened(&tls->base);
    if (!is_over(tls) && tls->base.is_paused) dr_stream_pause(tls->inner);
}

static void handshake_advance(struct stream_tls *tls) {
    ssl_begin(tls);
    const int result = SSL_do_handshake(tls->ssl);
    const int reason = result == 1 ? SSL_ERROR_NONE : SSL_get_error(tls->ssl, result);
    const enum dr_status status = ssl_end(tls);
    if (result == 1) {
        handshake_done(tls);
    } else if (reason != SSL_ERROR_WANT_READ) {
        tls_fail_by_ssl(tls);
    } else if (status && status != DR_CLOSED) {
        tls_fail(tls, status, "cannot write");
    }
}

/* Lets OpenSSL take from `wire.in` what it can. */
static void tls_advance(struct stream_tls *tls) {
    if (!tls->is_open) handshake_advance(tls);
    if (tls->is_open && !is_over(tls) && !tls->base.is_paused) records_read(tls);
}

static void handshake_late(void *owner) {
    tls_fail(owner, DR_TIMED_OUT, "not done within 10 s");
}

/* ---- facts of the stream below */

static void inner_opened(void *owner) {
    tls_advance(owner);
}

static void inner_received(void *owner, dr_slice bytes) {
    struct stream_tls *tls = owner;
    if (is_over(tls)) return;
    dr_assert(tls->held.len == 0);
    tls->wire.in = bytes;
    tls_advance(tls);
    const dr_slice rest = tls->wire.in;
    tls->wire.in = DR_NONE;
    if (rest.len == 0 || is_over(tls) || tls->base.is_ended) return;
    dr_buf_put(&tls->held, rest);
    if (dr_buf_status(&tls->held)) {
        tls_fail(tls, DR_NO_MEMORY, "no memory to read TLS");
        return;
    }
    dr_stream_pause(tls->inner);
    if (!tls->base.is_paused) dr_deferred_queue(&tls->deferred, tls_loop(&tls->base));
}

static void inner_ended(void *owner) {
    struct stream_tls *tls = owner;
    if (is_over(tls) || tls->base.is_ended) return;
    if (tls->is_open) {
        tls_fail(tls, DR_CLOSED, "connection cut: it ended without TLS close_notify");
    } else {
        tls_fail(tls, DR_CLOSED, "the peer closed the connection");
    }
}

static void inner_failed(void *owner, const struct dr_error *error) {
    struct stream_tls *tls = owner;
    dr_timer_stop(&tls->handshake_bound);
    dr_deferred_cancel(&tls->deferred);
    const bool is_told = tls->base.is_failed && !tls->base.failure;
    tls->base.failure = 0;
    if (!is_told) dr_stream_tell_failed(&tls->base, error);
}

/* The stream below may be paused for what is held, and its owner only a moment later. */
static void inner_hung_up(void *owner) {
    struct stream_tls *tls = owner;
    tls->has_hung_up = true;
    if (tls->base.is_paused) dr_stream_tell_hung_up(&tls->base);
}

static void inner_drained(void *owner) {
    struct stream_tls *tls = owner;
    if (tls->is_open) dr_stream_tell_drained(&tls->base);
}

static void tls_free(struct stream_tls *tls) {
    /* OpenSSL forgets the session of a connection that it thinks was cut. */
    if (tls->ssl && tls->is_open && !tls->base.is_failed) {
        SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }
    SSL_free(tls->ssl);
    dr_tls_client_release(tls->client);
    dr_tls_server_release(tls->server);
    dr_buf_clear(&tls->held);
    dr_buf_clear(&tls->waiting);
    dr_free(tls);
}

static void inner_closed(void *owner) {
    struct stream_tls *tls = owner;
    dr_stream_tell_closed(&tls->base);
    tls_free(tls);
}

static const struct dr_stream_events inner_events = {
    .opened = inner_opened,
    .received = inner_received,
    .ended = inner_ended,
    .failed = inner_failed,
    .hung_up = inner_hung_up,
    .drained = inner_drained,
    .closed = inner_closed,
};

/* ---- the other verbs */

static void deferred_ran(void *owner) {
    struct stream_tls *tls = owner;
    if (tls->base.failure) {
        tls->base.failure = 0;
        tls_fail(tls, DR_INVALID, "TLS cannot write");
        return;
    }
    if (tls->base.is_paused) {
        if (tls->has_hung_up) dr_stream_tell_hung_up(&tls->base);
        return;
    }
    const size_t held = tls->held.len;
    tls->wire.in = dr_buf_slice(&tls->held);
    tls_advance(tls);
    const size_t left = tls->wire.in.len;
    tls->wire.in = DR_NONE;
    if (is_over(tls)) return;
    dr_buf_consume(&tls->held, held - left);
    if (tls->held.len == 0) {
        dr_buf_clear(&tls->held);
        if (!tls->base.is_paused) dr_stream_resume(tls->inner);
    } else if (!tls->base.is_paused && !tls->base.is_ended) {
        dr_deferred_queue(&tls->deferred, tls_loop(&tls->base));
    }
}

/* A handshake goes on under a pause: it delivers nothing. */
static void tls_pause(struct dr_stream *stream) {
    struct stream_tls *tls = tls_of(stream);
    if (!tls->is_open) return;
    dr_stream_pause(tls->inner);
    if (tls->has_hung_up && !stream->is_failed) dr_deferred_queue(&tls->deferred, tls_loop(stream));
}

static void tls_resume(struct dr_stream *stream) {
    struct stream_tls *tls = tls_of(stream);
    if (tls->is_open && !stream->is_failed) dr_deferred_queue(&tls->deferred, tls_loop(stream));
}

static void tls_gather(struct dr_stream *stream) {
    dr_stream_gather(tls_of(stream)->inner);
}

static void tls_close(struct dr_stream *stream, bool is_reset) {
    struct stream_tls *tls = tls_of(stream);
    dr_timer_stop(&tls->handshake_bound);
    dr_deferred_cancel(&tls->deferred);
    if (is_reset) {
        dr_stream_reset(tls->inner);
    } else {
        dr_stream_close(tls->inner);
    }
}

static void tls_peer_text(const struct dr_stream *stream, char text[DR_ADDRESS_TEXT_BYTES]) {
    dr_stream_peer_text(((const struct stream_tls *)(const void *)stream)->inner, text);
}

static const struct dr_stream_kind tls_kind = {
    .write = tls_write,
    .pending = tls_pending,
    .flush = tls_flush,
    .pause = tls_pause,
    .resume = tls_resume,
    .gather = tls_gather,
    .finish = tls_finish,
    .close = tls_close,
    .loop = tls_loop,
    .peer_text = tls_peer_text,
    .is_tls = true,
};

/* ---- life */

static struct stream_tls *tls_new(struct dr_stream *inner, const char *server_name) {
    const size_t name_bytes = strlen(server_name) + 1;
    struct stream_tls *tls = dr_alloc_zero(1, sizeof(*tls) + name_bytes);
    if (!tls) return NULL;
    dr_stream_init(&tls->base, &tls_kind);
    tls->inner = inner;
    memcpy(tls->server_name, server_name, name_bytes);
    dr_buf_init(&tls->held, SIZE_MAX / 2);    /* at most what one read brings */
    dr_buf_init(&tls->waiting, SIZE_MAX / 2); /* `pending_max` is kept in tls_write */
    dr_deferred_init(&tls->deferred, tls, deferred_ran);
    dr_timer_init(&tls->handshake_bound, tls, handshake_late);
    return tls;
}

static enum dr_status no_memory(struct stream_tls *tls, struct dr_stream *inner,
                                struct dr_error *error) {
    if (tls) tls_free(tls);
    dr_stream_close(inner);
    ERR_clear_error();
    return dr_fail(error, DR_NO_MEMORY, 0, "no memory for a TLS connection");
}

enum dr_status dr_stream_tls_connect(struct dr_stream *inner, struct dr_tls_client *client,
                                     const char *server_name, const struct dr_stream_events *events,
                                     void *owner, struct dr_stream **ret_stream,
                                     struct dr_error *error) {
    struct stream_tls *tls = tls_new(inner, server_name);
    if (!tls) return no_memory(NULL, inner, error);
    tls->client = dr_tls_client_hold(client);
    tls->ssl = dr_tls_client_connection(client, tls->server_name, &tls->wire);
    if (!tls->ssl) return no_memory(tls, inner, error);
    tls->base.events = events;
    tls->base.owner = owner;
    dr_stream_set_owner(inner, &inner_events, tls);
    if (!inner->is_connecting) dr_deferred_queue(&tls->deferred, dr_stream_loop(inner));
    *ret_stream = &tls->base;
    return DR_OK;
}

bool dr_stream_tls_is_resumed(const struct dr_stream *stream) {
    dr_assert(stream->kind == &tls_kind);
    return SSL_session_reused(((const struct stream_tls *)(const void *)stream)->ssl) == 1;
}

enum dr_status dr_stream_tls_accept(struct dr_stream *inner, struct dr_tls_server *server,
                                    struct dr_stream **ret_stream, struct dr_error *error) {
    struct stream_tls *tls = tls_new(inner, "");
    if (!tls) return no_memory(NULL, inner, error);
    tls->server = dr_tls_server_hold(server);
    tls->ssl = dr_tls_server_connection(server, &tls->wire);
    if (!tls->ssl) return no_memory(tls, inner, error);
    dr_stream_set_owner(inner, &inner_events, tls);
    dr_timer_start(&tls->handshake_bound, dr_stream_loop(inner), HANDSHAKE_MS);
    *ret_stream = &tls->base;
    return DR_OK;
}
