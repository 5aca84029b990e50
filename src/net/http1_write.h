/* HTTP/1.1 heads and chunk framing into a dr_buf. No I/O. Header values are checked: a CR, LF or
 * NUL makes the buffer fail with DR_INVALID, so that nothing can be injected. */
#ifndef DR_NET_HTTP1_WRITE_H
#define DR_NET_HTTP1_WRITE_H

#include "base/buf.h"

/* "HTTP/1.1 200 OK\r\n" */
void dr_http1_put_status(struct dr_buf *buf, uint16_t status);
/* "POST /v1/x HTTP/1.1\r\n" */
void dr_http1_put_request(struct dr_buf *buf, dr_slice method, dr_slice target);
void dr_http1_put_header(struct dr_buf *buf, dr_slice name, dr_slice value);
void dr_http1_put_header_u64(struct dr_buf *buf, dr_slice name, uint64_t value);
/* "\r\n" */
void dr_http1_put_head_end(struct dr_buf *buf);
/* IMF-fixdate (RFC 9110 section 5.6.7) of a UTC time in seconds. `text` holds 29 characters, no
 * NUL. */
void dr_http1_date(int64_t seconds, char text[29]);
/* "1a\r\n" into `text` (at most 18 bytes), returns its length. The chunk's data is followed by
 * "\r\n". */
size_t dr_http1_chunk_head(char text[18], uint64_t len);
/* "OK", "Not Found"; "Unknown" for numbers without a phrase. Static storage. */
dr_slice dr_http1_reason(uint16_t status);

#endif
