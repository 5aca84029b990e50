/* net/ws_handshake: any head is judged without harm; what is accepted can be answered, and a client
 * that asked so takes the answer. The first byte chooses request or answer. */
#include "net/ws_handshake.h"

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static const struct dr_http1_limits limits = {
    .head_bytes_max = 4096,
    .headers_max = 32,
    .body_bytes_max = 100,
};

static void answer_request(const struct dr_http1_head *head) {
    struct dr_ws_refusal refusal = {0};
    struct dr_buf answer;
    dr_buf_init(&answer, 16384);
    if (!dr_ws_handshake_check(head, &refusal)) {
        dr_assert(refusal.text && (refusal.status == 400 || refusal.status == 426));
        dr_ws_handshake_put_refusal(&answer, &refusal);
        dr_assert(!dr_buf_status(&answer));
        dr_buf_clear(&answer);
        return;
    }
    struct dr_ws_protocols protocols = {0};
    dr_slice first = DR_NONE;
    dr_slice protocol;
    while (dr_ws_protocols_next(&protocols, head, &protocol)) {
        dr_assert(protocol.len > 0);
        if (first.len == 0) first = protocol;
    }
    dr_buf_put(&answer, DR_LIT("HTTP/1.1 101 Switching Protocols\r\n"));
    dr_ws_handshake_put_accept(&answer, head, first);
    dr_buf_put(&answer, DR_LIT("\r\n"));
    dr_assert(!dr_buf_status(&answer));

    struct dr_http1_parser *parser = dr_http1_parser_new_response(&limits);
    dr_slice rest = dr_buf_slice(&answer);
    dr_slice chosen = DR_NONE;
    dr_assert(parser);
    if (dr_http1_parse(parser, &rest) == DR_HTTP1_HEAD) { /* else: longer than a head may be */
        const dr_slice key = dr_http1_header(head, DR_LIT("sec-websocket-key"));
        dr_assert(!dr_ws_handshake_check_answer(dr_http1_head(parser), key.data, first, &chosen));
        dr_assert(dr_slice_is(chosen, first));
    }
    dr_http1_parser_free(parser);
    dr_buf_clear(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    if (len < 1 || len > 8192) return 0;
    const bool is_response = bytes[0] % 2 == 1;
    struct dr_http1_parser *parser =
        is_response ? dr_http1_parser_new_response(&limits) : dr_http1_parser_new_request(&limits);
    dr_slice input = {(const char *)bytes + 1, len - 1};
    dr_assert(parser);
    if (dr_http1_parse(parser, &input) == DR_HTTP1_HEAD) {
        dr_slice protocol = DR_NONE;
        if (is_response) {
            (void)!dr_ws_handshake_check_answer(dr_http1_head(parser),
                                                "dGhlIHNhbXBsZSBub25jZQ==", DR_LIT("chat, other"),
                                                &protocol);
        } else {
            answer_request(dr_http1_head(parser));
        }
    }
    dr_http1_parser_free(parser);
    return 0;
}
