/* The simulated provider over loopback connections: pace by counts, every fault word, replays. */
#include "sim/provider_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* --- pace --- */

static void test_events_keep_their_pace_without_drift(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    struct peer peer;
    const dr_instant start = dr_instant_now();
    peer_ask(&fixture, &peer,
             "x-sim-events: 40\r\nx-sim-token-ms: 5\r\nx-sim-first-token-ms: 20\r\n", STREAM(""));
    const int64_t passed_us = dr_instant_us_since(dr_instant_now(), start);
    assert_true(passed_us >= 20000 + 39 * 5000);
    assert_int_equal(peer_count(&peer, "\"content\":\" "), 40);
    assert_true(peer.read_count > 1);
    peer_close(&peer);
    peer_ask(&fixture, &peer, "x-sim-first-token-ms: 30\r\n", ASK(""));
    assert_true(peer.is_whole);
    peer_close(&peer);
    shut(&fixture);
}

static void test_bursts_have_exactly_the_events_asked_for(void **state) {
    (void)state;
    struct fixture fixture = open_with(&(struct sim_options){.burst_events = 64});
    struct peer peer;
    struct joined joined;
    peer_ask(&fixture, &peer, "", STREAM(",\"stream_options\":{\"include_usage\":true}"));
    join(&peer, &joined);
    assert_int_equal(joined.completion_tokens, 64);
    assert_int_equal(joined.events, 64 + 4);
    joined_clear(&joined);
    peer_close(&peer);
    peer_ask(&fixture, &peer, "", STREAM(""));
    /* From one event to the next on the wire, chunk framing included. */
    const dr_slice raw = dr_buf_slice(&peer.raw);
    const dr_slice from = dr_slice_from(raw, dr_slice_find(raw, DR_LIT("\"content\":\" ")) + 1);
    const size_t event_bytes = dr_slice_find(from, DR_LIT("\"content\":\" ")) + 1;
    if (event_bytes < 180 || event_bytes > 200) fail_msg("an event has %zu bytes", event_bytes);
    peer_close(&peer);
    shut(&fixture);
}

static void test_long_bursts_lose_nothing(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    struct peer peer;
    peer_ask(&fixture, &peer, "x-sim-events: 5000\r\n", STREAM(""));
    assert_true(peer.is_whole);
    assert_int_equal(peer_count(&peer, "\"content\":\" "), 5000);
    peer_close(&peer);
    shut(&fixture);
}

static void test_a_client_that_does_not_read_is_waited_for(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    struct peer peer;
    peer_connect(&fixture, &peer);
    dr_stream_pause(peer.stream);
    peer_send(&peer, CHAT, KEY "x-sim-fault: huge\r\n", STREAM(""));
    for (int i = 0; i < 100; i++) dr_loop_run_once(fixture.loop, 1);
    assert_int_equal(peer.raw.len, 0);
    dr_stream_resume(peer.stream);
    UNTIL(&fixture, dr_slice_ends(dr_buf_slice(&peer.raw), DR_LIT("0\r\n\r\n")));
    assert_true(peer.raw.len > 64 * 1024 * 1024);
    peer_close(&peer);
    shut(&fixture);
}

static void test_a_large_spoiled_answer_waits_for_a_client_that_does_not_read(void **state) {
    (void)state;
    enum { LEN = 24 * 1024 * 1024 };
    char *text = test_malloc(LEN);
    memset(text, 'x', LEN);
    struct fixture fixture = open_with(&(struct sim_options){.replay = dr_slice_of(text, LEN)});
    struct peer peer;
    peer_connect(&fixture, &peer);
    dr_stream_pause(peer.stream);
    peer_send(&peer, CHAT, KEY "x-sim-fault: close_idle\r\n", ASK(""));
    for (int i = 0; i < 20; i++) dr_loop_run_once(fixture.loop, 1);
    dr_stream_resume(peer.stream);
    UNTIL(&fixture, peer.raw.len > LEN || peer.has_ended || peer.has_failed);
    peer_parse(&peer);
    assert_int_equal(peer.body.len, LEN);
    peer_close(&peer);
    shut(&fixture);
    test_free(text);
}

/* --- faults --- */

static void test_status_faults_answer_with_openais_errors(void **state) {
    (void)state;
    static const struct {
        const char *fault;
        uint16_t status;
        const char *said;
        const char *header;
    } cases[] = {
        {"status=429,retry_after=2", 429, "rate_limit_exceeded", "Retry-After: 2\r\n"},
        {"retry_after=3", 429, "rate_limit_exceeded", "Retry-After: 3\r\n"},
        {"status=500", 500, "server_error", NULL},
        {"status=404", 404, "model_not_found", NULL},
        {"status=401", 401, "invalid_api_key", NULL},
        {"status=418", 418, "invalid_request_error", NULL},
        {"status=529", 529, "overloaded", NULL},
    };
    struct fixture fixture = open_plain();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int by_model = 0; by_model < 2; by_model++) {
            char header[128];
            char body[256];
            struct peer peer;
            (void)snprintf(header, sizeof header, "x-sim-fault: %s\r\n", cases[i].fault);
            (void)snprintf(body, sizeof body,
                           "{\"model\":\"sim:%s\",\"messages\":[{\"role\":\"user\",\"content\":"
                           "\"x\"}],\"stream\":true}",
                           by_model ? cases[i].fault : "");
            peer_ask(&fixture, &peer, by_model ? "" : header, body);
            assert_int_equal(peer.status, cases[i].status);
            assert_true(peer_has(&peer, cases[i].said));
            if (cases[i].header) {
                assert_true(dr_slice_find(dr_buf_slice(&peer.raw), dr_slice_text(cases[i].header)) <
                            peer.raw.len);
            }
            peer_close(&peer);
        }
    }
    shut(&fixture);
}

/* A fault's header on a stream or a whole answer. */
static void peer_suffer(struct fixture *fixture, struct peer *peer, const char *fault,
                        bool is_stream) {
    char header[128];
    (void)snprintf(header, sizeof header, "x-sim-fault: %s\r\n", fault);
    peer_ask(fixture, peer, header, is_stream ? STREAM("") : ASK(""));
}

static void test_cut_closes_before_the_head(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    struct peer peer;
    peer_suffer(&fixture, &peer, "cut", true);
    assert_int_equal(peer.raw.len, 0);
    assert_true(peer.has_ended || peer.has_failed);
    peer_close(&peer);
    shut(&fixture);
}

static void test_cut_mid_ends_an_answer_halfway(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    for (int is_stream = 0; is_stream < 2; is_stream++) {
        struct peer peer;
        peer_suffer(&fixture, &peer, "cut_mid", is_stream);
        assert_int_equal(peer.status, 200);
        assert_false(peer.is_whole);
        assert_true(peer.body.len > 100);
        assert_true(peer.has_ended || peer.has_failed);
        assert_false(peer_has(&peer, "[DONE]"));
        peer_close(&peer);
    }
    shut(&fixture);
}

static void test_stalls_hold_until_the_client_leaves(void **state) {
    (void)state;
    static const char *const faults[] = {"stall", "stall_mid"};
    struct fixture fixture = open_plain();
    for (size_t i = 0; i < 4; i++) {
        struct peer peer;
        char headers[128];
        (void)snprintf(headers, sizeof headers, KEY "x-sim-fault: %s\r\n", faults[i % 2]);
        peer_connect(&fixture, &peer);
        peer_send(&peer, CHAT, headers, i < 2 ? STREAM("") : ASK(""));
        if (i % 2 == 1) UNTIL(&fixture, peer.raw.len > 500);
        for (int turn = 0; turn < 40; turn++) dr_loop_run_once(fixture.loop, 1);
        peer_parse(&peer);
        assert_false(peer.is_whole || peer.has_ended || peer.has_failed);
        assert_int_equal(peer.raw.len > 0, i % 2 == 1);
        peer_close(&peer);
    }
    shut(&fixture);
}

static void test_garbage_is_not_http(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    struct peer peer;
    peer_suffer(&fixture, &peer, "garbage", false);
    assert_true(peer.raw.len > 10);
    assert_false(peer.is_http);
    peer_close(&peer);
    shut(&fixture);
}

static void test_close_idle_closes_a_connection_that_seemed_kept(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    for (int is_stream = 0; is_stream < 2; is_stream++) {
        struct peer peer;
        peer_suffer(&fixture, &peer, "close_idle", is_stream);
        assert_true(peer.is_whole && peer.keeps_alive);
        peer_send(&peer, CHAT, KEY, ASK(""));
        const size_t len = peer.raw.len;
        UNTIL(&fixture, peer.has_ended || peer.has_failed);
        assert_int_equal(peer.raw.len, len);
        peer_close(&peer);
    }
    shut(&fixture);
}

static void test_kept_connections_serve_again(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    struct peer peer;
    peer_ask(&fixture, &peer, "", STREAM(""));
    for (int i = 0; i < 3; i++) {
        assert_true(peer.is_whole && peer.keeps_alive);
        peer.is_whole = false;
        dr_buf_reset(&peer.raw);
        peer_send(&peer, CHAT, KEY, i % 2 ? STREAM("") : ASK(""));
        UNTIL(&fixture, peer_is_over(&peer));
    }
    peer_close(&peer);
    shut(&fixture);
}

static void test_bad_json_breaks_one_event_or_the_body(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    struct peer peer;
    peer_suffer(&fixture, &peer, "bad_json", true);
    assert_true(peer.is_whole);
    assert_int_equal(peer_count(&peer, "\"content\":\"brok\n\n"), 1);
    assert_true(peer_has(&peer, "[DONE]"));
    peer_close(&peer);
    peer_suffer(&fixture, &peer, "bad_json", false);
    assert_true(peer.is_whole);
    dr_json root;
    assert_int_equal(dr_json_read(fixture.reader, dr_buf_slice(&peer.body), 64, &root, NULL),
                     DR_INVALID);
    peer_close(&peer);
    shut(&fixture);
}

static void test_error_event_ends_the_stream_without_done(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    struct peer peer;
    peer_suffer(&fixture, &peer, "error_event", true);
    assert_true(peer.is_whole);
    assert_int_equal(peer_count(&peer, "data: {\"error\":{"), 1);
    assert_false(peer_has(&peer, "[DONE]"));
    assert_true(peer_count(&peer, "\"content\":\"") > 5);
    peer_close(&peer);
    peer_suffer(&fixture, &peer, "error_event", false);
    assert_int_equal(peer.status, 500);
    peer_close(&peer);
    shut(&fixture);
}

static void test_slow_answers_take_their_time(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    for (int is_stream = 0; is_stream < 2; is_stream++) {
        struct peer peer;
        const dr_instant start = dr_instant_now();
        peer_suffer(&fixture, &peer, is_stream ? "slow=50000" : "slow=5000", is_stream);
        const int64_t passed_us = dr_instant_us_since(dr_instant_now(), start);
        assert_true(peer.is_whole);
        assert_true(passed_us >=
                    (int64_t)peer.body.len * 1000000 / (is_stream ? 50000 : 5000) * 9 / 10);
        assert_true(peer.read_count > 1);
        peer_close(&peer);
    }
    shut(&fixture);
}

static void test_dribble_writes_byte_by_byte(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    for (int is_stream = 0; is_stream < 2; is_stream++) {
        struct peer peer;
        char body[256];
        (void)snprintf(body, sizeof body, "%s",
                       is_stream ? STREAM(",\"max_tokens\":2") : ASK(",\"max_tokens\":2"));
        peer_ask(&fixture, &peer, "x-sim-fault: dribble\r\n", body);
        assert_true(peer.is_whole);
        assert_true(peer.read_count > peer.raw.len / 4 || peer.read_count == CUTS_SEEN_MAX);
        assert_int_equal(peer_has(&peer, "[DONE]"), is_stream);
        peer_close(&peer);
    }
    shut(&fixture);
}

static void test_split_utf8_cuts_within_characters(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    for (int is_stream = 0; is_stream < 2; is_stream++) {
        struct peer peer;
        peer_suffer(&fixture, &peer, "split_utf8", is_stream);
        assert_true(peer.is_whole);
        assert_true(dr_utf8_is_valid(dr_buf_slice(&peer.body)));
        size_t cuts = 0;
        for (size_t i = 0; i < peer.read_count; i++) {
            /* Chunks end in CRLF: the character's first byte stands before it. */
            size_t end = peer.ends[i];
            if (is_stream && end >= 2) end -= 2;
            cuts += end > 0 && (unsigned char)peer.raw.data[end - 1] >= 0xc0 ? 1 : 0;
        }
        assert_true(cuts > 5);
        peer_close(&peer);
    }
    shut(&fixture);
}

static void test_huge_answers_exceed_every_limit(void **state) {
    (void)state;
    struct fixture fixture = open_plain();
    for (int is_stream = 0; is_stream < 2; is_stream++) {
        struct peer peer;
        peer_connect(&fixture, &peer);
        peer_send(&peer, CHAT, KEY "x-sim-fault: huge\r\n", is_stream ? STREAM("") : ASK(""));
        UNTIL(&fixture, peer.raw.len > 65 * 1024 * 1024);
        assert_true(dr_slice_find(dr_slice_from(dr_buf_slice(&peer.raw), 4096), DR_LIT("\n\n")) >
                    60 * 1024 * 1024);
        peer_close(&peer);
    }
    shut(&fixture);
}

static void test_times_counts_each_fault_text_apart(void **state) {
    (void)state;
    struct fixture fixture =
        open_with(&(struct sim_options){.fault = DR_LIT("status=503,times=1")});
    static const struct {
        const char *fault;
        uint16_t status;
    } cases[] = {
        {"", 503}, /* the provider's own, once */
        {"", 200},
        {"status=500,times=2", 500},
        {"status=500,times=2", 500},
        {"status=500,times=2", 200},
        {"status=500,times=1", 500}, /* another text */
        {"status=500,times=1", 200},
        {"status=500", 500},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct peer peer;
        peer_suffer(&fixture, &peer, cases[i].fault, false);
        if (peer.status != cases[i].status) fail_msg("case %zu: %d", i, peer.status);
        peer_close(&peer);
    }
    shut(&fixture);
}

static void test_refuse_leaves_a_port_where_nobody_listens(void **state) {
    (void)state;
    struct fixture fixture = open_with(&(struct sim_options){.fault = DR_LIT("refuse")});
    struct peer peer;
    dr_loop_run_once(fixture.loop, 0); /* the socket that found the port goes with the first turn */
    peer_connect(&fixture, &peer);
    assert_true(peer.has_failed);
    peer_close(&peer);
    shut(&fixture);
}

static void test_wrong_options_are_refused(void **state) {
    (void)state;
    static const struct sim_options cases[] = {
        {.listen = {"127.0.0.1:0", 11}, .fault = {"oops", 4}},
        {.listen = {"nowhere", 7}},
        {.listen = {"127.0.0.1:0", 11}, .token_ms = -1},
        {.listen = {"127.0.0.1:0", 11}, .burst_events = UINT32_MAX},
    };
    struct dr_loop *loop;
    assert_int_equal(dr_loop_new(&loop, NULL), DR_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sim_provider *provider = NULL;
        struct dr_error error = {.text = ""};
        assert_int_not_equal(sim_open(loop, &cases[i], &provider, &error), DR_OK);
        assert_true(error.text[0] != 0);
        assert_null(provider);
    }
    dr_loop_run(loop);
    dr_loop_free(loop);
}

/* --- replay --- */

static void test_replays_play_the_recorded_bytes_at_every_cut(void **state) {
    (void)state;
    static const struct {
        const char *type;
        const char *bytes;
        uint16_t status;
    } cases[] = {
        {"text/event-stream", "data: {\"x\":\"é\"}\n\ndata: [DONE]\n\n", 200},
        {"application/json", "{\"error\":{\"message\":\"ü\"}}", 429},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture fixture = open_with(&(struct sim_options){
            .replay = dr_slice_text(cases[i].bytes),
            .replay_type = dr_slice_text(cases[i].type),
            .replay_status = cases[i].status,
        });
        for (size_t cut = 0; cut <= strlen(cases[i].bytes) + 1; cut++) {
            struct peer peer;
            char header[64];
            (void)snprintf(header, sizeof header, "x-sim-cut: %zu,%zu\r\n", cut, cut + 3);
            peer_ask(&fixture, &peer, cut > 0 ? header : "", "anything");
            assert_int_equal(peer.status, cases[i].status);
            assert_true(peer.is_whole);
            assert_true(dr_slice_is(dr_buf_slice(&peer.body), dr_slice_text(cases[i].bytes)));
            if (cut > 0 && cut < strlen(cases[i].bytes)) assert_true(peer.read_count > 1);
            peer_close(&peer);
        }
        struct peer peer;
        peer_ask(&fixture, &peer, "x-sim-fault: dribble\r\n", ASK(""));
        assert_true(dr_slice_is(dr_buf_slice(&peer.body), dr_slice_text(cases[i].bytes)));
        peer_close(&peer);
        shut(&fixture);
    }
}

static void test_closing_with_answers_under_way_leaks_nothing(void **state) {
    (void)state;
    static const char *const faults[] = {"stall", "stall_mid", "slow=1", "dribble", "no_usage"};
    struct fixture fixture = open_plain();
    struct peer peers[5];
    for (size_t i = 0; i < 5; i++) {
        char headers[160];
        (void)snprintf(headers, sizeof headers, KEY "x-sim-token-ms: 1000\r\nx-sim-fault: %s\r\n",
                       faults[i]);
        peer_connect(&fixture, &peers[i]);
        peer_send(&peers[i], CHAT, headers, STREAM(""));
    }
    for (int i = 0; i < 20; i++) dr_loop_run_once(fixture.loop, 1);
    sim_close(fixture.provider);
    for (size_t i = 0; i < 5; i++) {
        UNTIL(&fixture, peers[i].has_failed || peers[i].has_ended);
        peer_close(&peers[i]);
    }
    dr_loop_run(fixture.loop);
    dr_loop_free(fixture.loop);
    dr_json_reader_free(fixture.reader);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_keep_their_pace_without_drift),
        cmocka_unit_test(test_bursts_have_exactly_the_events_asked_for),
        cmocka_unit_test(test_long_bursts_lose_nothing),
        cmocka_unit_test(test_a_client_that_does_not_read_is_waited_for),
        cmocka_unit_test(test_a_large_spoiled_answer_waits_for_a_client_that_does_not_read),
        cmocka_unit_test(test_status_faults_answer_with_openais_errors),
        cmocka_unit_test(test_cut_closes_before_the_head),
        cmocka_unit_test(test_cut_mid_ends_an_answer_halfway),
        cmocka_unit_test(test_stalls_hold_until_the_client_leaves),
        cmocka_unit_test(test_garbage_is_not_http),
        cmocka_unit_test(test_close_idle_closes_a_connection_that_seemed_kept),
        cmocka_unit_test(test_kept_connections_serve_again),
        cmocka_unit_test(test_bad_json_breaks_one_event_or_the_body),
        cmocka_unit_test(test_error_event_ends_the_stream_without_done),
        cmocka_unit_test(test_slow_answers_take_their_time),
        cmocka_unit_test(test_dribble_writes_byte_by_byte),
        cmocka_unit_test(test_split_utf8_cuts_within_characters),
        cmocka_unit_test(test_huge_answers_exceed_every_limit),
        cmocka_unit_test(test_times_counts_each_fault_text_apart),
        cmocka_unit_test(test_refuse_leaves_a_port_where_nobody_listens),
        cmocka_unit_test(test_wrong_options_are_refused),
        cmocka_unit_test(test_replays_play_the_recorded_bytes_at_every_cut),
        cmocka_unit_test(test_closing_with_answers_under_way_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
