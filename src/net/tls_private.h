/* OpenSSL connections out of our contexts, for stream_tls.c only. */
#ifndef DR_NET_TLS_PRIVATE_H
#define DR_NET_TLS_PRIVATE_H

#include "base/buf.h"
#include "net/tls.h"

#include <openssl/ssl.h>

/* What OpenSSL sees of the network: it takes ciphertext from the front of `in` and appends to
 * `out`, which must be set while it runs. No bytes are kept between its calls, so an idle
 * connection holds no buffer. */
struct dr_tls_wire {
    dr_slice in;
    struct dr_buf *out;
};

/* Given; released by SSL_free. `server_name` and `wire` are kept. A session of an earlier
 * connection to that name is offered. NULL when out of memory. */
SSL *dr_tls_client_connection(struct dr_tls_client *tls, const char *server_name,
                              struct dr_tls_wire *wire);
SSL *dr_tls_server_connection(struct dr_tls_server *tls, struct dr_tls_wire *wire);

#endif
