/* HTTP/1.1 (RFC 9112) bytes → heads and bodies, on llhttp with every leniency off and our own
 * checks behind it. No I/O. Pull style: the caller offers bytes, takes one thing at a time, and
 * calls again, also when no bytes are left, until DR_HTTP1_NEED_MORE or DR_HTTP1_FAILED.
 * One message gives HEAD, any number of BODY, MESSAGE_DONE. Interim responses (1xx) are messages
 * of their own, with a head and no body. Requests: one empty line before the head is forgiven.
 * Trailers are checked and dropped. Of a repeated Content-Length none is trusted, even if equal;
 * a Host beside an absolute target must agree with it; `chunked` is the only coding.
 *
 * The head's slices point into the offered bytes when the whole head lay in them, otherwise into a
 * buffer of the parser; they and the list of headers are valid until the next call. An idle
 * connection needs no parser: keep one from DR_HTTP1_NEED_MORE on, give it back at
 * DR_HTTP1_MESSAGE_DONE. */
#ifndef DR_NET_HTTP1_PARSE_H
#define DR_NET_HTTP1_PARSE_H

#include "base/slice.h"
#include "base/status.h"

struct dr_http1_limits {
    size_t head_bytes_max;
    uint32_t headers_max;
    /* Per chunk, from the first semicolon on; those of a request together DR_HTTP1_EXTENSIONS_MAX
     * times as much. */
    size_t chunk_extension_bytes_max;
    size_t trailer_bytes_max; /* without the empty line that ends them */
    uint64_t body_bytes_max;
};

enum {
    DR_HTTP1_HEADERS_MAX = 256, /* upper bound of headers_max */
    DR_HTTP1_EXTENSIONS_MAX = 64,
};

struct dr_http1_header {
    dr_slice name;
    dr_slice value; /* trimmed */
};

enum dr_http1_method {
    DR_HTTP1_GET,
    DR_HTTP1_METHOD_HEAD,
    DR_HTTP1_POST,
    DR_HTTP1_PUT,
    DR_HTTP1_DELETE,
    DR_HTTP1_PATCH,
    DR_HTTP1_OPTIONS,
    DR_HTTP1_OTHER,
};

struct dr_http1_head {
    const struct dr_http1_header *headers;
    size_t header_count;
    /* requests */
    enum dr_http1_method method;
    dr_slice method_text;
    /* "/path?query", "*" with OPTIONS; of an absolute form the origin form. */
    dr_slice target;
    dr_slice host;
    bool expects_continue; /* Expect: 100-continue */
    dr_slice upgrade;      /* value of Upgrade when Connection names it; never taken here */
    /* responses */
    uint16_t status;
    /* both */
    uint8_t minor_version; /* 0 or 1 */
    bool keeps_alive;      /* the connection may be used again after this message */
    bool is_chunked;
    bool has_length;
    uint64_t content_length;
    bool has_body; /* body bytes or at least framing follow */
};

enum dr_http1_progress {
    DR_HTTP1_NEED_MORE,    /* all bytes taken */
    DR_HTTP1_HEAD,         /* `head` is filled */
    DR_HTTP1_BODY,         /* `body` holds a piece, borrowed from the offered bytes */
    DR_HTTP1_MESSAGE_DONE, /* bytes behind it stay in `*bytes`; ready for the next message */
    DR_HTTP1_FAILED,       /* `failure` tells; close the connection */
};

/* What to answer. */
enum dr_http1_failure {
    DR_HTTP1_BAD_REQUEST,         /* 400 */
    DR_HTTP1_HEAD_TOO_LARGE,      /* 431 */
    DR_HTTP1_BODY_TOO_LARGE,      /* 413 */
    DR_HTTP1_VERSION_UNSUPPORTED, /* 505 */
    DR_HTTP1_NOT_IMPLEMENTED,     /* 501: CONNECT, a transfer coding other than chunked */
    DR_HTTP1_EXPECTATION_FAILED,  /* 417: Expect other than 100-continue */
    DR_HTTP1_OUT_OF_MEMORY,       /* 503 */
};

struct dr_http1_parser;

/* Given; NULL when out of memory. `limits` is kept; headers_max is capped at
 * DR_HTTP1_HEADERS_MAX. */
struct dr_http1_parser *dr_http1_parser_new_request(const struct dr_http1_limits *limits);
struct dr_http1_parser *dr_http1_parser_new_response(const struct dr_http1_limits *limits);
void dr_http1_parser_free(struct dr_http1_parser *parser);
/* Before the first byte of the next message; also after a change of limits. Keeps memory. */
void dr_http1_parser_reset(struct dr_http1_parser *parser);
/* Responses: the request was HEAD, so that no body follows (RFC 9112 section 6.3). Holds until
 * the final response's end. */
void dr_http1_parser_expect_no_body(struct dr_http1_parser *parser);
/* Lowers the body limit for this message (a route's own bound); to be called at DR_HTTP1_HEAD. A
 * request's Content-Length beyond the limit fails with the next call, a response's fails instead of
 * DR_HTTP1_HEAD. */
void dr_http1_parser_set_body_max(struct dr_http1_parser *parser, uint64_t bytes);

/* Takes bytes from the front of `*bytes`. */
enum dr_http1_progress dr_http1_parse(struct dr_http1_parser *parser, dr_slice *bytes);
/* Responses without length end with the connection: true when the end completes the message,
 * false when it cuts it (and when no message had begun: see dr_http1_parser_is_busy). */
bool dr_http1_parse_end(struct dr_http1_parser *parser);

const struct dr_http1_head *dr_http1_head(const struct dr_http1_parser *parser);
dr_slice dr_http1_body(const struct dr_http1_parser *parser);
enum dr_http1_failure dr_http1_failure(const struct dr_http1_parser *parser);
/* A sentence for the client: what came, which rule of RFC 9112 it breaks. Static storage. */
const char *dr_http1_failure_text(const struct dr_http1_parser *parser);
/* True from the first byte of a message, an empty line before it included, until its end, and after
 * a failure. */
bool dr_http1_parser_is_busy(const struct dr_http1_parser *parser);
/* Inside the head, beyond an empty line before it. */
bool dr_http1_parser_in_head(const struct dr_http1_parser *parser);

/* First header of that name (case folded), DR_NONE when absent. */
dr_slice dr_http1_header(const struct dr_http1_head *head, dr_slice name);
/* Whether a comma-separated list header (all fields of that name) holds `token`, case folded. */
bool dr_http1_header_has_token(const struct dr_http1_head *head, dr_slice name, dr_slice token);

#endif
