/* Both ends of the WebSocket opening handshake (RFC 6455 section 4), pure: heads in, judgement and
 * headers out. Extensions are never negotiated. Which subprotocol is spoken is the caller's
 * choice. */
#ifndef DR_NET_WS_HANDSHAKE_H
#define DR_NET_WS_HANDSHAKE_H

#include "base/buf.h"
#include "net/http1_parse.h"

/* --- the server's end */

struct dr_ws_refusal {
    uint16_t status;  /* 400 or 426 */
    const char *text; /* a sentence for the client, static storage */
};

/* Whether `head` is a WebSocket handshake that may be accepted (section 4.2.1). Fills `refusal`
 * when not. */
bool dr_ws_handshake_check(const struct dr_http1_head *head, struct dr_ws_refusal *refusal);
/* For the answer to a refused one: with 426 what RFC 9110 section 15.5.22 and RFC 6455 section 4.4
 * demand, nothing otherwise. */
void dr_ws_handshake_put_refusal(struct dr_buf *headers, const struct dr_ws_refusal *refusal);

/* The subprotocols that a checked head offers, in the client's order of preference. Start the
 * cursor zeroed; false after the last. The slice is borrowed from the head. */
struct dr_ws_protocols {
    size_t header_index;
    dr_slice rest;
};
bool dr_ws_protocols_next(struct dr_ws_protocols *protocols, const struct dr_http1_head *head,
                          dr_slice *ret_protocol);

/* The headers of the 101 for a checked head (section 4.2.2): Upgrade, Connection,
 * Sec-WebSocket-Accept, and Sec-WebSocket-Protocol unless `protocol` is empty. `protocol` must be
 * one of those offered. */
void dr_ws_handshake_put_accept(struct dr_buf *headers, const struct dr_http1_head *head,
                                dr_slice protocol);

/* --- the client's end */

enum { DR_WS_KEY_BYTES = 24 };

/* `random` is new for each connection. No NUL. */
void dr_ws_key_write(const uint8_t random[16], char key[DR_WS_KEY_BYTES]);
/* The whole request. `protocols` is a list as it stands in the header, may be empty; `headers` are
 * more header lines, each ended by CRLF. */
void dr_ws_handshake_put_request(struct dr_buf *request, dr_slice target, dr_slice host,
                                 const char key[DR_WS_KEY_BYTES], dr_slice protocols,
                                 dr_slice headers);
/* Whether the server's answer opens the connection (section 4.1); otherwise a sentence why not,
 * NULL when it does. `*ret_protocol` is the subprotocol it chose of `protocols`, empty when none;
 * borrowed from the head. */
const char *dr_ws_handshake_check_answer(const struct dr_http1_head *head,
                                         const char key[DR_WS_KEY_BYTES], dr_slice protocols,
                                         dr_slice *ret_protocol) DR_MUST_USE;

#endif
