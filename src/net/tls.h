/* TLS by OpenSSL: contexts for either end. TLS 1.2 or newer. Contexts are counted, so that a reload
 * may replace one while streams still use it; counting is thread-safe. */
#ifndef DR_NET_TLS_H
#define DR_NET_TLS_H

#include "base/slice.h"
#include "base/status.h"

struct dr_tls_client;
struct dr_tls_server;

/* Verifies the peer against the system's roots, and `ca_file` in addition when not NULL. Keeps a
 * session cache keyed by server name for resumption. ALPN `http/1.1`. */
enum dr_status dr_tls_client_new(const char *ca_file, struct dr_tls_client **ret_tls,
                                 struct dr_error *error) DR_MUST_USE;
struct dr_tls_client *dr_tls_client_hold(struct dr_tls_client *tls);
void dr_tls_client_release(struct dr_tls_client *tls); /* accepts NULL */

/* `cert_file` holds the chain, leaf first; both PEM. The error names the file and what is wrong
 * with it. */
enum dr_status dr_tls_server_new(const char *cert_file, const char *key_file,
                                 struct dr_tls_server **ret_tls,
                                 struct dr_error *error) DR_MUST_USE;
struct dr_tls_server *dr_tls_server_hold(struct dr_tls_server *tls);
void dr_tls_server_release(struct dr_tls_server *tls); /* accepts NULL */

#endif
