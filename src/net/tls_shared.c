/* TLS contexts: certificates, verification, ALPN, sessions. Counted by atomics and with a lock
 * round the sessions, since the workers share them. Must not move a byte: that is stream_tls.c. */
#include "net/tls.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/list.h"
#include "base/map.h"
#include "base/random.h"
#include "net/tls_private.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <pthread.h>
#include <stdatomic.h>

enum { SESSIONS_MAX = 256 };

/* A protocol list in ALPN's form: each name behind its length. */
static const unsigned char alpn_http1[] = "\x08http/1.1";

struct session {
    struct dr_list node; /* oldest first */
    SSL_SESSION *session;
    size_t name_len;
    char name[];
};

struct dr_tls_client {
    atomic_uint holders;
    SSL_CTX *ssl;
    BIO_METHOD *wire_method;
    pthread_mutex_t lock; /* over the two below */
    struct dr_map sessions;
    struct dr_list by_age;
};

struct dr_tls_server {
    atomic_uint holders;
    SSL_CTX *ssl;
    BIO_METHOD *wire_method;
};

/* ---- the wire */

static int wire_read(BIO *bio, char *bytes, size_t len, size_t *ret_len) {
    struct dr_tls_wire *wire = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (len > wire->in.len) len = wire->in.len;
    if (len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(bytes, wire->in.data, len);
    wire->in = dr_slice_from(wire->in, len);
    *ret_len = len;
    return 1;
}

static int wire_write(BIO *bio, const char *bytes, size_t len, size_t *ret_len) {
    struct dr_tls_wire *wire = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    dr_assert(wire->out);
    dr_buf_put(wire->out, dr_slice_of(bytes, len));
    if (dr_buf_status(wire->out)) return 0;
    *ret_len = len;
    return 1;
}

static long wire_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static int wire_create(BIO *bio) {
    BIO_set_init(bio, 1);
    return 1;
}

static BIO_METHOD *wire_method_new(void) {
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "drover wire");
    if (!method) return NULL;
    if (BIO_meth_set_read_ex(method, wire_read) && BIO_meth_set_write_ex(method, wire_write) &&
        BIO_meth_set_ctrl(method, wire_control) && BIO_meth_set_create(method, wire_create)) {
        return method;
    }
    BIO_meth_free(method);
    return NULL;
}

static SSL *connection_new(SSL_CTX *context, const BIO_METHOD *method, struct dr_tls_wire *wire) {
    SSL *ssl = SSL_new(context);
    BIO *bio = BIO_new(method);
    if (!ssl || !bio) {
        SSL_free(ssl);
        BIO_free(bio);
        return NULL;
    }
    BIO_set_data(bio, wire);
    SSL_set_bio(ssl, bio, bio); /* takes the one reference for both directions */
    return ssl;
}

/* ---- what both ends have in common */

static enum dr_status ssl_failed(struct dr_error *error, const char *what, const char *name) {
    const unsigned long code = ERR_peek_error(); /* the oldest is the cause of the others */
    const char *reason = NULL;
    if (ERR_SYSTEM_ERROR(code)) reason = strerror(ERR_GET_REASON(code));
    if (!reason && code) reason = ERR_reason_error_string(code);
    ERR_clear_error();
    return dr_fail(error, DR_INVALID, 0, "%s %s: %s", what, name,
                   reason ? reason : "unknown reason");
}

/* Instead of a prompt on the terminal: an encrypted key is an error. */
/* NOLINTNEXTLINE(readability-non-const-parameter): OpenSSL's pem_password_cb says so */
static int no_password(char *buffer, int size, int is_writing, void *owner) {
    (void)buffer;
    (void)size;
    (void)is_writing;
    (void)owner;
    return -1;
}

static SSL_CTX *context_new(const SSL_METHOD *method) {
    ERR_clear_error();
    SSL_CTX *context = SSL_CTX_new(method);
    if (!context) return NULL;
    (void)SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    (void)SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_default_passwd_cb(context, no_password);
    (void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    return context;
}

/* ---- sessions of the client */

static void session_free(struct session *session) {
    SSL_SESSION_free(session->session);
    dr_free(session);
}

/* Under the lock. */
static void session_drop(struct dr_tls_client *tls, struct session *session) {
    (void)dr_map_take(&tls->sessions, dr_slice_of(session->name, session->name_len));
    dr_list_remove(&session->node);
    session_free(session);
}

/* Takes one reference of `ssl_session`. */
static void session_put(struct dr_tls_client *tls, dr_slice name, SSL_SESSION *ssl_session) {
    struct session *session = dr_alloc(sizeof(*session) + name.len);
    if (!session) {
        SSL_SESSION_free(ssl_session);
        return;
    }
    session->session = ssl_session;
    session->name_len = name.len;
    memcpy(session->name, name.data, name.len);
    dr_list_init(&session->node);
    pthread_mutex_lock(&tls->lock);
    struct session *old = dr_map_find(&tls->sessions, name);
    if (!old && tls->sessions.count >= SESSIONS_MAX) {
        old = dr_list_item(tls->by_age.next, struct session, node);
    }
    if (old) session_drop(tls, old);
    if (dr_map_put(&tls->sessions, dr_slice_of(session->name, name.len), session)) {
        session_free(session);
    } else {
        dr_list_put_last(&tls->by_age, &session->node);
    }
    pthread_mutex_unlock(&tls->lock);
}

/* From OpenSSL, when the peer has sent a ticket. 1: the reference is ours. */
static int session_given(SSL *ssl, SSL_SESSION *ssl_session) {
    struct dr_tls_client *tls = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const char *name = SSL_get_app_data(ssl);
    if (!name) return 0;
    session_put(tls, dr_slice_text(name), ssl_session);
    return 1;
}

static void session_offer(struct dr_tls_client *tls, SSL *ssl, const char *server_name) {
    pthread_mutex_lock(&tls->lock);
    struct session *session = dr_map_find(&tls->sessions, dr_slice_text(server_name));
    if (session && SSL_SESSION_is_resumable(session->session)) {
        (void)SSL_set_session(ssl, session->session);
    } else if (session) {
        session_drop(tls, session);
    }
    pthread_mutex_unlock(&tls->lock);
}

/* ---- client */

static void client_free(struct dr_tls_client *tls) {
    while (!dr_list_is_empty(&tls->by_age)) {
        session_drop(tls, dr_list_item(tls->by_age.next, struct session, node));
    }
    dr_map_clear(&tls->sessions);
    SSL_CTX_free(tls->ssl);
    BIO_meth_free(tls->wire_method);
    (void)pthread_mutex_destroy(&tls->lock);
    dr_free(tls);
}

static enum dr_status client_trust(struct dr_tls_client *tls, const char *ca_file,
                                   struct dr_error *error) {
    SSL_CTX_set_verify(tls->ssl, SSL_VERIFY_PEER, NULL);
    /* Without any roots of the system every server is refused, with the reason, unless `ca_file`
     * helps. */
    (void)SSL_CTX_set_default_verify_paths(tls->ssl);
    ERR_clear_error();
    if (ca_file && SSL_CTX_load_verify_locations(tls->ssl, ca_file, NULL) != 1) {
        return ssl_failed(error, "cannot read the authorities in", ca_file);
    }
    return DR_OK;
}

enum dr_status dr_tls_client_new(const char *ca_file, struct dr_tls_client **ret_tls,
                                 struct dr_error *error) {
    struct dr_tls_client *tls = dr_alloc_zero(1, sizeof(*tls));
    if (!tls) return dr_fail(error, DR_NO_MEMORY, 0, "no memory for TLS");
    struct dr_entropy entropy = {.left = 0};
    uint64_t seed;
    dr_entropy_take(&entropy, &seed, sizeof(seed));
    atomic_init(&tls->holders, 1);
    (void)pthread_mutex_init(&tls->lock, NULL);
    dr_map_init(&tls->sessions, SESSIONS_MAX, seed);
    dr_list_init(&tls->by_age);
    tls->ssl = context_new(TLS_client_method());
    tls->wire_method = wire_method_new();
    enum dr_status status = DR_NO_MEMORY;
    if (!tls->ssl || !tls->wire_method) {
        (void)dr_fail(error, status, 0, "no memory for TLS");
        goto failed;
    }
    status = client_trust(tls, ca_file, error);
    if (status) goto failed;
    (void)SSL_CTX_set_app_data(tls->ssl, tls);
    (void)SSL_CTX_set_alpn_protos(tls->ssl, alpn_http1, sizeof(alpn_http1) - 1);
    (void)SSL_CTX_set_session_cache_mode(tls->ssl,
                                         SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(tls->ssl, session_given);
    *ret_tls = tls;
    return DR_OK;
failed:
    client_free(tls);
    return status;
}

struct dr_tls_client *dr_tls_client_hold(struct dr_tls_client *tls) {
    atomic_fetch_add_explicit(&tls->holders, 1, memory_order_relaxed);
    return tls;
}

void dr_tls_client_release(struct dr_tls_client *tls) {
    if (!tls) return;
    if (atomic_fetch_sub_explicit(&tls->holders, 1, memory_order_acq_rel) == 1) client_free(tls);
}

SSL *dr_tls_client_connection(struct dr_tls_client *tls, const char *server_name,
                              struct dr_tls_wire *wire) {
    SSL *ssl = connection_new(tls->ssl, tls->wire_method, wire);
    if (!ssl) return NULL;
    X509_VERIFY_PARAM *verify = SSL_get0_param(ssl);
    /* A literal address is compared with the certificate's addresses and is not sent as SNI (RFC
     * 6066 section 3). */
    bool is_ready = X509_VERIFY_PARAM_set1_ip_asc(verify, server_name) == 1;
    if (!is_ready) {
        X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        is_ready = X509_VERIFY_PARAM_set1_host(verify, server_name, 0) == 1 &&
                   SSL_set_tlsext_host_name(ssl, (void *)(uintptr_t)server_name) == 1;
    }
    if (!is_ready) {
        SSL_free(ssl);
        return NULL;
    }
    (void)SSL_set_app_data(ssl, (void *)(uintptr_t)server_name);
    session_offer(tls, ssl, server_name);
    SSL_set_connect_state(ssl);
    return ssl;
}

/* ---- server */

static void server_free(struct dr_tls_server *tls) {
    SSL_CTX_free(tls->ssl);
    BIO_meth_free(tls->wire_method);
    dr_free(tls);
}

/* A client that offers protocols, but not ours, is refused (RFC 7301 section 3.2). */
static int alpn_chosen(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_len,
                       const unsigned char *offered, unsigned offered_len, void *owner) {
    (void)ssl;
    (void)owner;
    unsigned char *chosen;
    const int result = SSL_select_next_proto(&chosen, ret_len, alpn_http1, sizeof(alpn_http1) - 1,
                                             offered, offered_len);
    if (result != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret_name = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static enum dr_status server_identify(struct dr_tls_server *tls, const char *cert_file,
                                      const char *key_file, struct dr_error *error) {
    if (SSL_CTX_use_certificate_chain_file(tls->ssl, cert_file) != 1) {
        return ssl_failed(error, "cannot use the certificate in", cert_file);
    }
    if (SSL_CTX_use_PrivateKey_file(tls->ssl, key_file, SSL_FILETYPE_PEM) != 1) {
        return ssl_failed(error, "cannot use the private key in", key_file);
    }
    if (SSL_CTX_check_private_key(tls->ssl) != 1) {
        return ssl_failed(error, "the certificate does not belong to the private key in", key_file);
    }
    return DR_OK;
}

enum dr_status dr_tls_server_new(const char *cert_file, const char *key_file,
                                 struct dr_tls_server **ret_tls, struct dr_error *error) {
    struct dr_tls_server *tls = dr_alloc_zero(1, sizeof(*tls));
    if (!tls) return dr_fail(error, DR_NO_MEMORY, 0, "no memory for TLS");
    atomic_init(&tls->holders, 1);
    tls->ssl = context_new(TLS_server_method());
    tls->wire_method = wire_method_new();
    enum dr_status status = DR_NO_MEMORY;
    if (!tls->ssl || !tls->wire_method) {
        (void)dr_fail(error, status, 0, "no memory for TLS");
        goto failed;
    }
    status = server_identify(tls, cert_file, key_file, error);
    if (status) goto failed;
    SSL_CTX_set_alpn_select_cb(tls->ssl, alpn_chosen, NULL);
    /* Resumption by tickets alone: nothing is kept here per client. */
    (void)SSL_CTX_set_session_cache_mode(tls->ssl, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_session_id_context(tls->ssl, (const unsigned char *)"drover", 6);
    (void)SSL_CTX_set_num_tickets(tls->ssl, 1);
    *ret_tls = tls;
    return DR_OK;
failed:
    server_free(tls);
    return status;
}

struct dr_tls_server *dr_tls_server_hold(struct dr_tls_server *tls) {
    atomic_fetch_add_explicit(&tls->holders, 1, memory_order_relaxed);
    return tls;
}

void dr_tls_server_release(struct dr_tls_server *tls) {
    if (!tls) return;
    if (atomic_fetch_sub_explicit(&tls->holders, 1, memory_order_acq_rel) == 1) server_free(tls);
}

SSL *dr_tls_server_connection(struct dr_tls_server *tls, struct dr_tls_wire *wire) {
    SSL *ssl = connection_new(tls->ssl, tls->wire_method, wire);
    if (ssl) SSL_set_accept_state(ssl);
    return ssl;
}
