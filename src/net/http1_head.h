/* The rules of RFC 9112 for one head: request line or status line, target, Host, framing. Pure;
 * only http1_parse calls it, with lines and headers that are already cut apart. */
#ifndef DR_NET_HTTP1_HEAD_H
#define DR_NET_HTTP1_HEAD_H

#include "net/http1_parse.h"

struct dr_http1_head_reader {
    struct dr_http1_head *head; /* filled; kept by the caller */
    bool is_response;
    bool expects_no_body;          /* responses to HEAD */
    enum dr_http1_failure failure; /* both set when a verb gives false */
    const char *failure_text;      /* static storage */
};

/* `line` without its CRLF. */
bool dr_http1_read_first_line(struct dr_http1_head_reader *reader, dr_slice line);
/* Judges `head->headers` after the first line was read. */
bool dr_http1_read_headers(struct dr_http1_head_reader *reader);
/* Whether `byte` may stand in a method or a header's name. */
bool dr_http1_is_token_byte(char byte);

#endif
