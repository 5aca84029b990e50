/* TLS streams: over TCP and over a pipe that cuts everything into small pieces. The certificate is
 * made here. */
#include "net/stream.h"

#include "base/alloc.h"
#include "net/address.h"
#include "net/clock_probe.h"
#include "net/listener.h"
#include "net/stream_private.h"
#include "net/stream_probe.h"
#include "net/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <unistd.h>

struct files {
    char folder[32];
    char cert[64];
    char key[64];
    char empty[64];
};

static void extension_add(X509 *cert, int kind, const char *value) {
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, kind, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static X509 *cert_make(EVP_PKEY *key) {
    X509 *cert = X509_new();
    assert_non_null(cert);
    (void)X509_set_version(cert, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    (void)X509_set_pubkey(cert, key);
    X509_NAME *name = X509_get_subject_name(cert);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1,
                                     -1, 0);
    (void)X509_set_issuer_name(cert, name);
    extension_add(cert, NID_basic_constraints, "critical,CA:TRUE");
    extension_add(cert, NID_subject_alt_name, "DNS:provider.test,IP:127.0.0.1");
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    return cert;
}

static int files_make(void **state) {
    struct files *files = dr_alloc_zero(1, sizeof(*files));
    assert_non_null(files);
    (void)snprintf(files->folder, sizeof(files->folder), "/tmp/drover-tls-XXXXXX");
    assert_non_null(mkdtemp(files->folder));
    (void)snprintf(files->cert, sizeof(files->cert), "%s/cert.pem", files->folder);
    (void)snprintf(files->key, sizeof(files->key), "%s/key.pem", files->folder);
    (void)snprintf(files->empty, sizeof(files->empty), "%s/empty.pem", files->folder);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = cert_make(key);
    FILE *file = fopen(files->cert, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, cert), 1);
    (void)fclose(file);
    file = fopen(files->key, "w");
    assert_non_null(file);
    assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    (void)fclose(file);
    file = fopen(files->empty, "w");
    assert_non_null(file);
    (void)fclose(file);
    X509_free(cert);
    EVP_PKEY_free(key);
    *state = files;
    return 0;
}

static int files_remove(void **state) {
    struct files *files = *state;
    (void)unlink(files->cert);
    (void)unlink(files->key);
    (void)unlink(files->empty);
    (void)rmdir(files->folder);
    dr_free(files);
    return 0;
}

struct line {
    struct dr_loop *loop;
    struct dr_tls_client *trusting;
    struct dr_tls_server *identity;
    struct dr_listener *listener;
    struct probe client;
    struct probe server;
    struct dr_stream *server_pipe; /* below the server's stream */
};

static void line_accepted(void *owner, struct dr_stream *stream) {
    struct line *line = owner;
    probe_take(&line->server, stream);
}

static void line_open(struct line *line, const struct files *files) {
    *line = (struct line){.loop = NULL};
    assert_int_equal(dr_loop_new(&line->loop, NULL), DR_OK);
    assert_int_equal(dr_tls_client_new(files->cert, &line->trusting, NULL), DR_OK);
    assert_int_equal(dr_tls_server_new(files->cert, files->key, &line->identity, NULL), DR_OK);
    probe_init(&line->client, line->loop);
    probe_init(&line->server, line->loop);
    const struct dr_listener_options options = {
        .address = DR_LIT("127.0.0.1:0"),
        .connections_max = 8,
        .accepted = line_accepted,
        .owner = line,
    };
    assert_int_equal(dr_listener_open(line->loop, &options, line->identity, &line->listener, NULL),
                     DR_OK);
}

static void line_connect(struct line *line, struct dr_tls_client *tls, const char *server_name) {
    struct dr_address address;
    assert_true(dr_address_parse(DR_LIT("127.0.0.1"), dr_listener_port(line->listener), &address));
    assert_int_equal(dr_stream_connect(line->loop, (const struct sockaddr *)&address.storage, tls,
                                       server_name, &probe_events, &line->client,
                                       &line->client.stream, NULL),
                     DR_OK);
}

static void line_hang_up(struct line *line) {
    probe_end(&line->client);
    if (line->server.stream) {
        probe_end(&line->server);
        dr_listener_note_closed(line->listener);
    }
    probe_init(&line->client, line->loop);
    probe_init(&line->server, line->loop);
}

static void line_close(struct line *line) {
    line_hang_up(line);
    dr_listener_close(line->listener);
    dr_tls_client_release(line->trusting);
    dr_tls_server_release(line->identity);
    dr_loop_free(line->loop);
}

static void test_a_mebibyte_is_echoed_over_tls(void **state) {
    struct line line;
    line_open(&line, *state);
    static char noise[MEBIBYTE];
    noise_fill(noise, sizeof(noise));
    line_connect(&line, line.trusting, "provider.test");
    RUN_UNTIL(line.loop, line.client.opened == 1 && line.server.opened == 1);
    assert_true(dr_stream_is_tls(line.client.stream));
    line.server.echoes = true;
    line.client.pauses = true;
    dr_stream_set_pending_max(line.client.stream, 2 * MEBIBYTE);
    const dr_slice parts[] = {
        {noise, 1}, DR_NONE, {noise + 1, 3}, {noise + 4, 20000}, {noise + 20004, MEBIBYTE - 20004}};
    assert_int_equal(dr_stream_write(line.client.stream, parts, 5), DR_OK);
    for (int turn = 0; turn < 100000 && line.client.received.len < MEBIBYTE; turn++) {
        dr_loop_run_once(line.loop, 1);
        dr_stream_resume(line.client.stream);
    }
    assert_int_equal(line.client.received.len, MEBIBYTE);
    assert_memory_equal(line.client.received.data, noise, MEBIBYTE);
    dr_stream_finish(line.client.stream);
    RUN_UNTIL(line.loop, line.server.ended == 1);
    dr_stream_finish(line.server.stream);
    line.client.pauses = false;
    dr_stream_resume(line.client.stream);
    RUN_UNTIL(line.loop, line.client.ended == 1);
    assert_int_equal(line.client.failed + line.server.failed, 0);
    line_close(&line);
}

static void test_what_is_written_before_the_handshake_arrives_after_it(void **state) {
    struct line line;
    line_open(&line, *state);
    line_connect(&line, line.trusting, "127.0.0.1");
    assert_int_equal(say(&line.client, DR_LIT("one ")), DR_OK);
    assert_int_equal(say(&line.client, DR_LIT("two")), DR_OK);
    assert_int_equal(dr_stream_pending(line.client.stream), 7);
    dr_stream_finish(line.client.stream);
    RUN_UNTIL(line.loop, line.server.ended == 1);
    assert_int_equal(line.server.received.len, 7);
    assert_memory_equal(line.server.received.data, "one two", 7);
    assert_int_equal(line.client.drained, 1);
    line_close(&line);
}

static void test_servers_that_cannot_be_trusted_are_refused_with_the_reason(void **state) {
    static const struct {
        const char *server_name;
        bool knows_authority;
        const char *expected;
    } cases[] = {
        {"other.test", true,
         "TLS handshake with other.test failed: certificate verify failed: "
         "hostname mismatch"},
        {"127.0.0.2", true,
         "TLS handshake with 127.0.0.2 failed: certificate verify failed: "
         "IP address mismatch"},
        {"provider.test", false,
         "TLS handshake with provider.test failed: certificate verify "
         "failed: self-signed certificate"},
    };
    struct line line;
    line_open(&line, *state);
    struct dr_tls_client *unknowing;
    assert_int_equal(dr_tls_client_new(NULL, &unknowing, NULL), DR_OK);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        line_connect(&line, cases[i].knows_authority ? line.trusting : unknowing,
                     cases[i].server_name);
        RUN_UNTIL(line.loop, line.client.failed == 1 && line.server.failed == 1);
        assert_string_equal(line.client.error.text, cases[i].expected);
        assert_int_equal(line.client.opened + line.server.opened, 0);
        line_hang_up(&line);
    }
    dr_tls_client_release(unknowing);
    line_close(&line);
}

static void test_the_second_connection_resumes_the_session_of_the_first(void **state) {
    struct line line;
    line_open(&line, *state);
    for (int round = 0; round < 4; round++) {
        const char *name = round < 3 ? "provider.test" : "127.0.0.1";
        line_connect(&line, line.trusting, name);
        RUN_UNTIL(line.loop, line.client.opened == 1 && line.server.opened == 1);
        assert_int_equal(dr_stream_tls_is_resumed(line.client.stream), round == 1 || round == 2);
        assert_int_equal(say(&line.server, DR_LIT("hi")), DR_OK); /* brings the ticket too */
        RUN_UNTIL(line.loop, line.client.received.len == 2);
        line_hang_up(&line);
    }
    line_close(&line);
}

static void test_an_end_without_close_notify_is_a_failure(void **state) {
    struct line line;
    line_open(&line, *state);
    line_connect(&line, line.trusting, "provider.test");
    RUN_UNTIL(line.loop, line.client.opened == 1 && line.server.opened == 1);
    assert_int_equal(say(&line.server, DR_LIT("half an ans")), DR_OK);
    RUN_UNTIL(line.loop, line.client.received.len == 11);
    dr_stream_close(line.server.stream);
    RUN_UNTIL(line.loop, line.client.failed == 1);
    assert_int_equal(line.client.ended, 0);
    assert_string_equal(line.client.error.text,
                        "connection cut: it ended without TLS close_notify");
    assert_int_equal(line.server.closed, 1);
    dr_listener_note_closed(line.listener);
    line_close(&line);
}

/* A peer that opens a connection without our TLS. */
static void plain_connect(struct line *line, struct probe *plain) {
    struct dr_address address;
    probe_init(plain, line->loop);
    assert_true(dr_address_parse(DR_LIT("127.0.0.1"), dr_listener_port(line->listener), &address));
    assert_int_equal(dr_stream_connect(line->loop, (const struct sockaddr *)&address.storage, NULL,
                                       NULL, &probe_events, plain, &plain->stream, NULL),
                     DR_OK);
}

static void test_a_peer_that_speaks_no_tls_is_refused(void **state) {
    struct line line;
    struct probe plain;
    line_open(&line, *state);
    plain_connect(&line, &plain);
    assert_int_equal(say(&plain, DR_LIT("GET / HTTP/1.1\r\nHost: x\r\n\r\n")), DR_OK);
    RUN_UNTIL(line.loop, line.server.failed == 1);
    assert_string_equal(line.server.error.text, "TLS handshake failed: http request");
    probe_end(&plain);
    line_close(&line);
}

static void test_a_connection_that_ends_in_the_handshake_fails(void **state) {
    struct line line;
    struct probe plain;
    line_open(&line, *state);
    plain_connect(&line, &plain);
    dr_stream_finish(plain.stream);
    RUN_UNTIL(line.loop, line.server.failed == 1);
    assert_string_equal(line.server.error.text,
                        "TLS handshake failed: the peer closed the connection");
    probe_end(&plain);
    line_close(&line);
}

static void test_a_handshake_that_does_not_come_is_given_up_in_time(void **state) {
    struct line line;
    struct probe plain;
    line_open(&line, *state);
    plain_connect(&line, &plain);
    RUN_UNTIL(line.loop, line.server.stream && plain.opened == 1);
    dr_loop_run_once(line.loop, 1);
    assert_int_equal(line.server.failed, 0);
    clock_leap_ms = 10000; /* one look at least is taken in a turn */
    dr_loop_run_once(line.loop, 1);
    clock_leap_ms = 0;
    RUN_UNTIL(line.loop, line.server.failed == 1);
    assert_string_equal(line.server.error.text, "TLS handshake failed: not done within 10 s");
    assert_int_equal(line.server.error.status, DR_TIMED_OUT);
    probe_end(&plain);
    line_close(&line);
}

/* The first words of a client that is told so: its newest version, and ALPN's names. */
static void hello_say(struct probe *plain, int version_max, const char *alpn) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    BIO *sent = BIO_new(BIO_s_mem());
    assert_non_null(context);
    SSL_CTX_set_security_level(context, 0);
    assert_int_equal(SSL_CTX_set_min_proto_version(context, TLS1_VERSION), 1);
    assert_int_equal(SSL_CTX_set_max_proto_version(context, version_max), 1);
    SSL *ssl = SSL_new(context);
    assert_non_null(ssl);
    if (alpn) {
        assert_int_equal(
            SSL_set_alpn_protos(ssl, (const unsigned char *)alpn, (unsigned)strlen(alpn)), 0);
    }
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), sent);
    assert_int_equal(SSL_connect(ssl), -1); /* it waits for the answer */
    char *bytes = NULL;
    const long len = BIO_get_mem_data(sent, &bytes);
    assert_true(len > 0);
    assert_int_equal(say(plain, dr_slice_of(bytes, (size_t)len)), DR_OK);
    SSL_free(ssl);
    SSL_CTX_free(context);
}

static void test_hellos_of_old_versions_and_of_other_protocols_are_refused(void **state) {
    static const struct {
        const char *name;
        int version_max;
        const char *alpn;
        const char *error; /* NULL: it is answered */
    } cases[] = {
        {"TLS 1.0", TLS1_VERSION, NULL, "TLS handshake failed: unsupported protocol"},
        {"TLS 1.1", TLS1_1_VERSION, NULL, "TLS handshake failed: unsupported protocol"},
        {"TLS 1.2", TLS1_2_VERSION, NULL, NULL},
        {"TLS 1.3", TLS1_3_VERSION, NULL, NULL},
        {"only HTTP/2", TLS1_3_VERSION, "\x02h2", "TLS handshake failed: no application protocol"},
        {"HTTP/2 first", TLS1_3_VERSION, "\x02h2\x08http/1.1", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct line line;
        struct probe plain;
        print_message("  %s\n", cases[i].name);
        line_open(&line, *state);
        plain_connect(&line, &plain);
        hello_say(&plain, cases[i].version_max, cases[i].alpn);
        RUN_UNTIL(line.loop, line.server.failed == 1 || plain.received.len > 64);
        assert_int_equal(line.server.failed, cases[i].error ? 1 : 0);
        if (cases[i].error) assert_string_equal(line.server.error.text, cases[i].error);
        probe_end(&plain);
        line_close(&line);
    }
}

/* ---- over a pipe */

static void pipe_open(struct line *line, const struct files *files, size_t capacity) {
    *line = (struct line){.loop = NULL};
    assert_int_equal(dr_loop_new(&line->loop, NULL), DR_OK);
    assert_int_equal(dr_tls_client_new(files->cert, &line->trusting, NULL), DR_OK);
    assert_int_equal(dr_tls_server_new(files->cert, files->key, &line->identity, NULL), DR_OK);
    probe_init(&line->client, line->loop);
    probe_init(&line->server, line->loop);
    struct dr_stream *a;
    struct dr_stream *b;
    assert_int_equal(dr_stream_pair(line->loop, capacity, &a, &b, NULL), DR_OK);
    struct dr_stream *stream;
    assert_int_equal(dr_stream_tls_connect(a, line->trusting, "provider.test", &probe_events,
                                           &line->client, &line->client.stream, NULL),
                     DR_OK);
    assert_int_equal(dr_stream_tls_accept(b, line->identity, &stream, NULL), DR_OK);
    line->server_pipe = b;
    probe_take(&line->server, stream);
}

static void pipe_close(struct line *line) {
    probe_end(&line->client);
    probe_end(&line->server);
    dr_tls_client_release(line->trusting);
    dr_tls_server_release(line->identity);
    dr_loop_free(line->loop);
}

static void test_records_may_be_cut_anywhere(void **state) {
    static const size_t capacities[] = {1, 2, 5, 7, 100, 16000, 70000, 200000};
    static char noise[100000];
    noise_fill(noise, sizeof(noise));
    for (size_t i = 0; i < sizeof(capacities) / sizeof(capacities[0]); i++) {
        struct line line;
        pipe_open(&line, *state, capacities[i]);
        const size_t len = capacities[i] < 100 ? 3000 : sizeof(noise);
        line.server.echoes = true;
        assert_int_equal(say(&line.client, dr_slice_of(noise, len)), DR_OK);
        for (int turn = 0; turn < 100000 && line.client.received.len < len; turn++) {
            line.client.pauses = turn % 2 == 0;
            dr_loop_run_once(line.loop, 1);
            dr_stream_resume(line.client.stream);
        }
        assert_int_equal(line.client.received.len, len);
        assert_memory_equal(line.client.received.data, noise, len);
        dr_stream_finish(line.client.stream);
        RUN_UNTIL(line.loop, line.server.ended == 1);
        pipe_close(&line);
    }
}

static void test_a_paused_owner_gets_nothing_and_little_is_kept(void **state) {
    struct line line;
    static char noise[300000];
    noise_fill(noise, sizeof(noise));
    pipe_open(&line, *state, 65536);
    RUN_UNTIL(line.loop, line.client.opened == 1 && line.server.opened == 1);
    line.server.pauses = true;
    assert_int_equal(say(&line.client, dr_slice_of(noise, sizeof(noise))), DR_OK);
    for (int i = 0; i < 20; i++) dr_loop_run_once(line.loop, 0);
    assert_int_equal(line.server.pieces, 1);
    assert_true(dr_stream_pending(line.client.stream) > 300000 - 3 * 65536);
    for (int turn = 0; turn < 1000 && line.server.received.len < sizeof(noise); turn++) {
        dr_stream_resume(line.server.stream);
        dr_loop_run_once(line.loop, 0);
    }
    assert_memory_equal(line.server.received.data, noise, sizeof(noise));
    assert_int_equal(line.client.drained, 1);
    line.server.pauses = false;
    dr_stream_resume(line.server.stream);
    dr_stream_finish(line.client.stream);
    RUN_UNTIL(line.loop, line.server.ended == 1);
    pipe_close(&line);
}

/* While something is held the stream below is paused, so that it tells of a hang-up; its owner may
 * not be at that moment, but again a little later. */
static void test_a_hang_up_between_two_pauses_is_told(void **state) {
    struct line line;
    static char noise[150000];
    noise_fill(noise, sizeof(noise));
    pipe_open(&line, *state, 200000);
    RUN_UNTIL(line.loop, line.client.opened == 1 && line.server.opened == 1);
    line.server.pauses = true;
    assert_int_equal(say(&line.client, dr_slice_of(noise, sizeof(noise))), DR_OK);
    RUN_UNTIL(line.loop, line.server.pieces == 1);
    dr_stream_resume(line.server.stream);
    assert_true(dr_stream_is_paused(line.server_pipe));
    dr_stream_tell_hung_up(line.server_pipe);
    assert_int_equal(line.server.hung_up, 0);
    RUN_UNTIL(line.loop, line.server.pieces == 2);
    assert_true(dr_stream_is_paused(line.server.stream));
    RUN_UNTIL(line.loop, line.server.hung_up > 0);
    assert_int_equal(line.server.pieces, 2);
    pipe_close(&line);
}

static void test_a_failing_stream_below_fails_the_one_above(void **state) {
    struct line line;
    pipe_open(&line, *state, 1000);
    RUN_UNTIL(line.loop, line.client.opened == 1 && line.server.opened == 1);
    dr_stream_reset(line.client.stream);
    RUN_UNTIL(line.loop, line.server.failed == 1);
    assert_string_equal(line.server.error.text, "connection reset by peer");
    assert_int_equal(say(&line.server, DR_LIT("x")), DR_CLOSED);
    pipe_close(&line);
}

/* Every allocation fails once: all ends well or in a failure that is told, and nothing leaks. */
static void test_each_allocation_may_fail(void **state) {
    uint64_t nth = 1;
    bool is_over = false;
    for (; !is_over && nth < 1000; nth++) {
        struct line line;
        pipe_open(&line, *state, 3000);
        struct probe *ends[] = {&line.client, &line.server};
        dr_alloc_fail_at(nth);
        const uint64_t before = dr_alloc_count();
        const enum dr_status status = say(&line.client, DR_LIT("hello"));
        for (int i = 0; i < 100 && line.server.received.len < 5; i++) {
            dr_loop_run_once(line.loop, 0);
            if (ends[0]->failed || ends[1]->failed) break;
        }
        is_over = dr_alloc_count() - before < nth - 1;
        dr_alloc_fail_at(0);
        if (is_over) assert_int_equal(line.server.received.len, 5);
        assert_true(status == DR_OK || status == DR_NO_MEMORY);
        pipe_close(&line);
    }
    assert_true(is_over);
    assert_true(nth > 5);
}

static void test_files_that_cannot_be_used_are_named(void **state) {
    const struct files *files = *state;
    struct dr_tls_server *server = NULL;
    struct dr_tls_client *client = NULL;
    struct dr_error error;
    char expected[256];
    assert_int_equal(dr_tls_server_new("/nowhere/cert.pem", files->key, &server, &error),
                     DR_INVALID);
    assert_string_equal(error.text, "cannot use the certificate in /nowhere/cert.pem: "
                                    "No such file or directory");
    assert_int_equal(dr_tls_server_new(files->cert, files->empty, &server, &error), DR_INVALID);
    (void)snprintf(expected, sizeof(expected), "cannot use the private key in %s:", files->empty);
    assert_memory_equal(error.text, expected, strlen(expected));
    assert_int_equal(dr_tls_client_new(files->empty, &client, &error), DR_INVALID);
    (void)snprintf(expected, sizeof(expected), "cannot read the authorities in %s:", files->empty);
    assert_memory_equal(error.text, expected, strlen(expected));
    dr_tls_server_release(NULL);
    dr_tls_client_release(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_mebibyte_is_echoed_over_tls),
        cmocka_unit_test(test_what_is_written_before_the_handshake_arrives_after_it),
        cmocka_unit_test(test_servers_that_cannot_be_trusted_are_refused_with_the_reason),
        cmocka_unit_test(test_the_second_connection_resumes_the_session_of_the_first),
        cmocka_unit_test(test_an_end_without_close_notify_is_a_failure),
        cmocka_unit_test(test_a_peer_that_speaks_no_tls_is_refused),
        cmocka_unit_test(test_a_connection_that_ends_in_the_handshake_fails),
        cmocka_unit_test(test_a_handshake_that_does_not_come_is_given_up_in_time),
        cmocka_unit_test(test_hellos_of_old_versions_and_of_other_protocols_are_refused),
        cmocka_unit_test(test_records_may_be_cut_anywhere),
        cmocka_unit_test(test_a_paused_owner_gets_nothing_and_little_is_kept),
        cmocka_unit_test(test_a_hang_up_between_two_pauses_is_told),
        cmocka_unit_test(test_a_failing_stream_below_fails_the_one_above),
        cmocka_unit_test(test_each_allocation_may_fail),
        cmocka_unit_test(test_files_that_cannot_be_used_are_named),
    };
    return cmocka_run_group_tests(tests, files_make, files_remove);
}
