/* Both ends of the opening handshake. */
#include "net/ws_handshake.h"

#include "net/ws_probe.h"

static const struct dr_http1_limits head_limits = {
    .head_bytes_max = 4096,
    .headers_max = 32,
    .body_bytes_max = 1000,
};

/* Parses `text`; the head lives until the parser is freed. */
static struct dr_http1_parser *parse(dr_slice text, bool is_response) {
    struct dr_http1_parser *parser = is_response ? dr_http1_parser_new_response(&head_limits)
                                                 : dr_http1_parser_new_request(&head_limits);
    assert_non_null(parser);
    assert_int_equal(dr_http1_parse(parser, &text), DR_HTTP1_HEAD);
    return parser;
}

#define START "GET /chat HTTP/1.1\r\nHost: server.example.com\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define END "\r\n"

static void test_the_example_of_rfc_6455_section_1_3_is_answered(void **state) {
    (void)state;
    struct dr_http1_parser *parser =
        parse(DR_LIT(START UPGRADE KEY "Origin: http://example.com\r\n"
                                       "Sec-WebSocket-Protocol: chat, superchat\r\n" VERSION END),
              false);
    const struct dr_http1_head *head = dr_http1_head(parser);
    struct dr_ws_refusal refusal = {0};
    assert_true(dr_ws_handshake_check(head, &refusal));
    struct dr_ws_protocols protocols = {0};
    dr_slice protocol;
    assert_true(dr_ws_protocols_next(&protocols, head, &protocol));
    ws_probe_expect("first", protocol, DR_LIT("chat"));
    assert_true(dr_ws_protocols_next(&protocols, head, &protocol));
    ws_probe_expect("second", protocol, DR_LIT("superchat"));
    assert_false(dr_ws_protocols_next(&protocols, head, &protocol));
    struct dr_buf headers;
    dr_buf_init(&headers, 1024);
    dr_ws_handshake_put_accept(&headers, head, DR_LIT("chat"));
    ws_probe_expect("accept", dr_buf_slice(&headers),
                    DR_LIT("Upgrade: websocket\r\nConnection: Upgrade\r\n"
                           "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                           "Sec-WebSocket-Protocol: chat\r\n"));
    dr_buf_clear(&headers);
    dr_http1_parser_free(parser);
}

static void test_what_is_no_handshake_is_refused(void **state) {
    (void)state;
    const struct {
        const char *name;
        dr_slice head;
        uint16_t status; /* 0: accepted */
    } cases[] = {
        {"usual", DR_LIT(START UPGRADE KEY VERSION END), 0},
        {"tokens in any case, in lists",
         DR_LIT(START
                "Upgrade: foo, WebSocket\r\nConnection: keep-alive, uPGRADE\r\n" KEY VERSION END),
         0},
        {"connection in two headers",
         DR_LIT(START "Upgrade: websocket\r\nConnection: keep-alive\r\n"
                      "Connection: Upgrade\r\n" KEY VERSION END),
         0},
        {"extensions are not looked at",
         DR_LIT(START UPGRADE KEY VERSION "Sec-WebSocket-Extensions: permessage-deflate\r\n" END),
         0},
        {"length zero", DR_LIT(START UPGRADE KEY VERSION "Content-Length: 0\r\n" END), 0},
        {"protocols in two headers",
         DR_LIT(START UPGRADE KEY VERSION "Sec-WebSocket-Protocol: a\r\n"
                                          "Sec-WebSocket-Protocol: b, c\r\n" END),
         0},
        {"post", DR_LIT("POST /chat HTTP/1.1\r\nHost: a\r\n" UPGRADE KEY VERSION END), 400},
        {"http/1.0", DR_LIT("GET /chat HTTP/1.0\r\nHost: a\r\n" UPGRADE KEY VERSION END), 400},
        {"no upgrade", DR_LIT(START "Connection: Upgrade\r\n" KEY VERSION END), 426},
        {"other upgrade", DR_LIT(START "Upgrade: h2c\r\nConnection: Upgrade\r\n" KEY VERSION END),
         426},
        {"plain get", DR_LIT(START END), 426},
        {"connection does not name it",
         DR_LIT(START "Upgrade: websocket\r\nConnection: keep-alive\r\n" KEY VERSION END), 400},
        {"body", DR_LIT(START UPGRADE KEY VERSION "Content-Length: 1\r\n" END "x"), 400},
        {"chunked body", DR_LIT(START UPGRADE KEY VERSION "Transfer-Encoding: chunked\r\n" END),
         400},
        {"no version", DR_LIT(START UPGRADE KEY END), 426},
        {"version 8", DR_LIT(START UPGRADE KEY "Sec-WebSocket-Version: 8\r\n" END), 426},
        {"version 14", DR_LIT(START UPGRADE KEY "Sec-WebSocket-Version: 14\r\n" END), 426},
        {"version 013", DR_LIT(START UPGRADE KEY "Sec-WebSocket-Version: 013\r\n" END), 426},
        {"two versions", DR_LIT(START UPGRADE KEY VERSION VERSION END), 400},
        {"no key", DR_LIT(START UPGRADE VERSION END), 400},
        {"two keys", DR_LIT(START UPGRADE KEY KEY VERSION END), 400},
        {"empty key", DR_LIT(START UPGRADE "Sec-WebSocket-Key:\r\n" VERSION END), 400},
        {"short key",
         DR_LIT(START UPGRADE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n" VERSION END), 400},
        {"long key",
         DR_LIT(START UPGRADE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWU=\r\n" VERSION END), 400},
        {"key with strange letters",
         DR_LIT(START UPGRADE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j_Q==\r\n" VERSION END), 400},
        {"key without padding",
         DR_LIT(START UPGRADE "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n" VERSION END), 400},
        {"protocol that is no token",
         DR_LIT(START UPGRADE KEY VERSION "Sec-WebSocket-Protocol: a b\r\n" END), 400},
        {"empty protocol", DR_LIT(START UPGRADE KEY VERSION "Sec-WebSocket-Protocol: a,,b\r\n" END),
         400},
        {"protocol twice", DR_LIT(START UPGRADE KEY VERSION "Sec-WebSocket-Protocol: a, a\r\n" END),
         400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dr_http1_parser *parser = parse(cases[i].head, false);
        struct dr_ws_refusal refusal = {0};
        const bool is_good = dr_ws_handshake_check(dr_http1_head(parser), &refusal);
        if (is_good != (cases[i].status == 0) || refusal.status != cases[i].status) {
            fail_msg("%s: %d", cases[i].name, refusal.status);
        }
        struct dr_buf headers;
        dr_buf_init(&headers, 1024);
        dr_ws_handshake_put_refusal(&headers, &refusal);
        ws_probe_expect(cases[i].name, dr_buf_slice(&headers),
                        refusal.status == 426
                            ? DR_LIT("Upgrade: websocket\r\nConnection: Upgrade\r\n"
                                     "Sec-WebSocket-Version: 13\r\n")
                            : DR_NONE);
        dr_buf_clear(&headers);
        dr_http1_parser_free(parser);
    }
}

static void test_more_than_32_protocols_are_refused(void **state) {
    (void)state;
    for (int count = 32; count <= 33; count++) {
        struct dr_buf head;
        dr_buf_init(&head, 4096);
        dr_buf_put(&head, DR_LIT(START UPGRADE KEY VERSION "Sec-WebSocket-Protocol: p"));
        for (int i = 1; i < count; i++) dr_buf_format(&head, ",p%d", i);
        dr_buf_put(&head, DR_LIT("\r\n\r\n"));
        struct dr_http1_parser *parser = parse(dr_buf_slice(&head), false);
        struct dr_ws_refusal refusal = {0};
        assert_int_equal(dr_ws_handshake_check(dr_http1_head(parser), &refusal), count == 32);
        dr_http1_parser_free(parser);
        dr_buf_clear(&head);
    }
}

#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
#define SWITCH "HTTP/1.1 101 Switching Protocols\r\n"

static void test_a_client_takes_only_the_answer_to_its_own_question(void **state) {
    (void)state;
    const struct {
        const char *name;
        dr_slice head;
        bool is_good;
        dr_slice protocol;
    } cases[] = {
        {"usual", DR_LIT(SWITCH UPGRADE ACCEPT END), true, DR_NONE},
        {"any case", DR_LIT(SWITCH "Upgrade: WebSocket\r\nConnection: upgrade, x\r\n" ACCEPT END),
         true, DR_NONE},
        {"protocol", DR_LIT(SWITCH UPGRADE ACCEPT "Sec-WebSocket-Protocol: b\r\n" END), true,
         DR_LIT("b")},
        {"no switch", DR_LIT("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" UPGRADE ACCEPT END), false,
         DR_NONE},
        {"no upgrade", DR_LIT(SWITCH "Connection: Upgrade\r\n" ACCEPT END), false, DR_NONE},
        {"other upgrade", DR_LIT(SWITCH "Upgrade: h2c\r\nConnection: Upgrade\r\n" ACCEPT END),
         false, DR_NONE},
        {"no connection", DR_LIT(SWITCH "Upgrade: websocket\r\n" ACCEPT END), false, DR_NONE},
        {"no accept", DR_LIT(SWITCH UPGRADE END), false, DR_NONE},
        {"another accept",
         DR_LIT(SWITCH UPGRADE "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOp=\r\n" END), false,
         DR_NONE},
        {"accept twice", DR_LIT(SWITCH UPGRADE ACCEPT ACCEPT END), false, DR_NONE},
        {"extension",
         DR_LIT(SWITCH UPGRADE ACCEPT "Sec-WebSocket-Extensions: permessage-deflate\r\n" END),
         false, DR_NONE},
        {"protocol not offered", DR_LIT(SWITCH UPGRADE ACCEPT "Sec-WebSocket-Protocol: z\r\n" END),
         false, DR_NONE},
        {"two protocols",
         DR_LIT(SWITCH UPGRADE ACCEPT
                "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n" END),
         false, DR_NONE},
    };
    char key[DR_WS_KEY_BYTES];
    dr_ws_key_write((const uint8_t *)"the sample nonce", key);
    assert_memory_equal(key, "dGhlIHNhbXBsZSBub25jZQ==", sizeof key);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct dr_http1_parser *parser = parse(cases[i].head, true);
        dr_slice protocol = DR_NONE;
        const char *text =
            dr_ws_handshake_check_answer(dr_http1_head(parser), key, DR_LIT("a, b"), &protocol);
        if ((text == NULL) != cases[i].is_good) fail_msg("%s: %s", cases[i].name, text);
        ws_probe_expect(cases[i].name, protocol, cases[i].protocol);
        dr_http1_parser_free(parser);
    }
}

static void test_what_the_client_asks_the_server_accepts(void **state) {
    (void)state;
    struct dr_buf request;
    char key[DR_WS_KEY_BYTES];
    uint8_t random[16];
    memset(random, 0xff, sizeof random);
    dr_ws_key_write(random, key);
    dr_buf_init(&request, 4096);
    dr_ws_handshake_put_request(&request, DR_LIT("/v1/ws/chat"), DR_LIT("localhost:80"), key,
                                DR_LIT("drover.v1, drover.key.abc"), DR_LIT("X-A: b\r\n"));
    assert_int_equal(dr_buf_status(&request), DR_OK);
    struct dr_http1_parser *parser = parse(dr_buf_slice(&request), false);
    struct dr_ws_refusal refusal;
    assert_true(dr_ws_handshake_check(dr_http1_head(parser), &refusal));
    struct dr_buf answer;
    dr_buf_init(&answer, 4096);
    dr_buf_put(&answer, DR_LIT(SWITCH));
    dr_ws_handshake_put_accept(&answer, dr_http1_head(parser), DR_LIT("drover.v1"));
    dr_buf_put(&answer, DR_LIT("\r\n"));
    struct dr_http1_parser *reader = parse(dr_buf_slice(&answer), true);
    dr_slice protocol;
    assert_null(dr_ws_handshake_check_answer(dr_http1_head(reader), key,
                                             DR_LIT("drover.v1, drover.key.abc"), &protocol));
    ws_probe_expect("protocol", protocol, DR_LIT("drover.v1"));
    dr_http1_parser_free(reader);
    dr_http1_parser_free(parser);
    dr_buf_clear(&answer);
    dr_buf_clear(&request);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_example_of_rfc_6455_section_1_3_is_answered),
        cmocka_unit_test(test_what_is_no_handshake_is_refused),
        cmocka_unit_test(test_more_than_32_protocols_are_refused),
        cmocka_unit_test(test_a_client_takes_only_the_answer_to_its_own_question),
        cmocka_unit_test(test_what_the_client_asks_the_server_accepts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
