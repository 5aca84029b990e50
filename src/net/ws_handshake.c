/* The opening handshake's rules. This room must not know routes, keys of accounts or sockets, and
 * forgives nothing: a head that is nearly right is a bug or an attack on another protocol's
 * server. */
#include "net/ws_handshake.h"

#include "base/assert.h"
#include "base/digest.h"
#include "net/http1_head.h"
#include "net/http1_write.h"

/* base64 of 20 bytes */
enum { ACCEPT_BYTES = 28, NONCE_BYTES = 16 };

static const dr_slice accept_suffix = {"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36};

static void write_accept(dr_slice key, char accept[ACCEPT_BYTES]) {
    char text[DR_WS_KEY_BYTES + 36];
    dr_assert(key.len == DR_WS_KEY_BYTES);
    memcpy(text, key.data, DR_WS_KEY_BYTES);
    memcpy(text + DR_WS_KEY_BYTES, accept_suffix.data, accept_suffix.len);
    const struct dr_sha1 digest = dr_sha1(dr_slice_of(text, sizeof text));
    dr_base64_write(dr_slice_of((const char *)digest.bytes, sizeof digest.bytes), accept);
}

/* True when the header stands there exactly once; two that agree are still two. */
static bool single_header(const struct dr_http1_head *head, dr_slice name, dr_slice *ret_value) {
    size_t count = 0;
    for (size_t i = 0; i < head->header_count; i++) {
        if (!dr_slice_is_nocase(head->headers[i].name, name)) continue;
        *ret_value = head->headers[i].value;
        count++;
    }
    return count == 1;
}

static bool has_header(const struct dr_http1_head *head, dr_slice name) {
    for (size_t i = 0; i < head->header_count; i++) {
        if (dr_slice_is_nocase(head->headers[i].name, name)) return true;
    }
    return false;
}

static bool is_token(dr_slice text) {
    for (size_t i = 0; i < text.len; i++) {
        if (!dr_http1_is_token_byte(text.data[i])) return false;
    }
    return text.len > 0;
}

/* --- the server's end ------------------------------------------------------------------------- */

static const dr_slice protocol_name = {"sec-websocket-protocol", 22};

bool dr_ws_protocols_next(struct dr_ws_protocols *protocols, const struct dr_http1_head *head,
                          dr_slice *ret_protocol) {
    while (!protocols->rest.data) {
        if (protocols->header_index == head->header_count) return false;
        const struct dr_http1_header *header = &head->headers[protocols->header_index++];
        if (dr_slice_is_nocase(header->name, protocol_name)) protocols->rest = header->value;
    }
    *ret_protocol = dr_slice_trim(dr_slice_split(&protocols->rest, ','));
    return true;
}

/* Section 4.1, point 10: tokens, each once. The quadratic comparison is bounded by the head's
 * limit, and lists are short. */
static bool protocols_are_good(const struct dr_http1_head *head) {
    enum { PROTOCOLS_MAX = 32 };
    dr_slice seen[PROTOCOLS_MAX];
    size_t count = 0;
    struct dr_ws_protocols protocols = {0};
    dr_slice protocol;
    while (dr_ws_protocols_next(&protocols, head, &protocol)) {
        if (!is_token(protocol) || count == PROTOCOLS_MAX) return false;
        for (size_t i = 0; i < count; i++) {
            if (dr_slice_is(seen[i], protocol)) return false;
        }
        seen[count++] = protocol;
    }
    return true;
}

static bool refuse(struct dr_ws_refusal *refusal, uint16_t status, const char *text) {
    *refusal = (struct dr_ws_refusal){.status = status, .text = text};
    return false;
}

bool dr_ws_handshake_check(const struct dr_http1_head *head, struct dr_ws_refusal *refusal) {
    const dr_slice key_name = DR_LIT("sec-websocket-key");
    const dr_slice version_name = DR_LIT("sec-websocket-version");
    dr_slice key;
    dr_slice version;
    uint8_t nonce[NONCE_BYTES];
    if (head->method != DR_HTTP1_GET) {
        return refuse(refusal, 400, "A WebSocket handshake is a GET request");
    }
    if (head->minor_version < 1) {
        return refuse(refusal, 400, "A WebSocket handshake needs HTTP/1.1");
    }
    if (!dr_http1_header_has_token(head, DR_LIT("upgrade"), DR_LIT("websocket"))) {
        return refuse(refusal, 426, "This address speaks WebSocket: Upgrade: websocket is missing");
    }
    if (!dr_http1_header_has_token(head, DR_LIT("connection"), DR_LIT("upgrade"))) {
        return refuse(refusal, 400, "The Connection header does not name Upgrade");
    }
    if (head->host.len == 0) return refuse(refusal, 400, "The Host header is missing");
    if (head->has_body) return refuse(refusal, 400, "A WebSocket handshake has no body");
    if (!single_header(head, version_name, &version)) {
        return has_header(head, version_name)
                   ? refuse(refusal, 400, "Sec-WebSocket-Version may stand there once")
                   : refuse(refusal, 426, "Sec-WebSocket-Version is missing: it must be 13");
    }
    if (!dr_slice_is(version, DR_LIT("13"))) {
        return refuse(refusal, 426, "Sec-WebSocket-Version must be 13");
    }
    if (!single_header(head, key_name, &key)) {
        return refuse(refusal, 400, "Sec-WebSocket-Key must stand there exactly once");
    }
    if (!dr_base64_read(key, nonce, sizeof nonce)) {
        return refuse(refusal, 400, "Sec-WebSocket-Key must be 16 bytes in base64");
    }
    if (!protocols_are_good(head)) {
        return refuse(refusal, 400, "Sec-WebSocket-Protocol must be a list of different tokens");
    }
    return true;
}

void dr_ws_handshake_put_refusal(struct dr_buf *headers, const struct dr_ws_refusal *refusal) {
    if (refusal->status != 426) return;
    dr_http1_put_header(headers, DR_LIT("Upgrade"), DR_LIT("websocket"));
    dr_http1_put_header(headers, DR_LIT("Connection"), DR_LIT("Upgrade"));
    dr_http1_put_header(headers, DR_LIT("Sec-WebSocket-Version"), DR_LIT("13"));
}

void dr_ws_handshake_put_accept(struct dr_buf *headers, const struct dr_http1_head *head,
                                dr_slice protocol) {
    char accept[ACCEPT_BYTES];
    write_accept(dr_http1_header(head, DR_LIT("sec-websocket-key")), accept);
    dr_http1_put_header(headers, DR_LIT("Upgrade"), DR_LIT("websocket"));
    dr_http1_put_header(headers, DR_LIT("Connection"), DR_LIT("Upgrade"));
    dr_http1_put_header(headers, DR_LIT("Sec-WebSocket-Accept"),
                        dr_slice_of(accept, sizeof accept));
    if (protocol.len > 0) {
        dr_http1_put_header(headers, DR_LIT("Sec-WebSocket-Protocol"), protocol);
    }
}

/* --- the client's end ------------------------------------------------------------------------- */

void dr_ws_key_write(const uint8_t random[16], char key[DR_WS_KEY_BYTES]) {
    dr_base64_write(dr_slice_of((const char *)random, NONCE_BYTES), key);
}

void dr_ws_handshake_put_request(struct dr_buf *request, dr_slice target, dr_slice host,
                                 const char key[DR_WS_KEY_BYTES], dr_slice protocols,
                                 dr_slice headers) {
    dr_http1_put_request(request, DR_LIT("GET"), target);
    dr_http1_put_header(request, DR_LIT("Host"), host);
    dr_http1_put_header(request, DR_LIT("Upgrade"), DR_LIT("websocket"));
    dr_http1_put_header(request, DR_LIT("Connection"), DR_LIT("Upgrade"));
    dr_http1_put_header(request, DR_LIT("Sec-WebSocket-Version"), DR_LIT("13"));
    dr_http1_put_header(request, DR_LIT("Sec-WebSocket-Key"), dr_slice_of(key, DR_WS_KEY_BYTES));
    if (protocols.len > 0) {
        dr_http1_put_header(request, DR_LIT("Sec-WebSocket-Protocol"), protocols);
    }
    dr_buf_put(request, headers);
    dr_http1_put_head_end(request);
}

static bool list_has(dr_slice list, dr_slice token) {
    while (list.data) {
        if (dr_slice_is(dr_slice_trim(dr_slice_split(&list, ',')), token)) return true;
    }
    return false;
}

const char *dr_ws_handshake_check_answer(const struct dr_http1_head *head,
                                         const char key[DR_WS_KEY_BYTES], dr_slice protocols,
                                         dr_slice *ret_protocol) {
    char accept[ACCEPT_BYTES];
    dr_slice value;
    dr_slice protocol = DR_NONE;
    if (head->status != 101) return "the server did not switch protocols";
    if (head->minor_version < 1) return "the server switched protocols in HTTP/1.0";
    if (!single_header(head, DR_LIT("upgrade"), &value) ||
        !dr_slice_is_nocase(value, DR_LIT("websocket"))) {
        return "the server switched to another protocol than WebSocket";
    }
    if (!dr_http1_header_has_token(head, DR_LIT("connection"), DR_LIT("upgrade"))) {
        return "the server's Connection header does not name Upgrade";
    }
    write_accept(dr_slice_of(key, DR_WS_KEY_BYTES), accept);
    if (!single_header(head, DR_LIT("sec-websocket-accept"), &value) ||
        !dr_slice_is(value, dr_slice_of(accept, sizeof accept))) {
        return "Sec-WebSocket-Accept does not answer the key";
    }
    if (has_header(head, DR_LIT("sec-websocket-extensions"))) {
        return "the server chose an extension that was not offered";
    }
    if (has_header(head, protocol_name) &&
        (!single_header(head, protocol_name, &protocol) || !list_has(protocols, protocol))) {
        return "the server chose a subprotocol that was not offered";
    }
    *ret_protocol = protocol;
    return NULL;
}
