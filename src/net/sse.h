/* Server-sent events (WHATWG HTML, section 9.2): bytes → events, and back. No I/O.
 *
 * Pull style. An event's `raw` is its bytes as they came, from its first line up to and with the
 * blank line that ends it; comments before it belong to it. When an event lay whole in the
 * offered bytes, `raw` and `data` point into them, otherwise into a buffer of the reader; valid
 * until the next call. */
#ifndef DR_NET_SSE_H
#define DR_NET_SSE_H

#include "base/slice.h"
#include "base/status.h"

struct dr_sse_reader;

struct dr_sse_event {
    dr_slice raw;
    dr_slice data; /* data lines joined by LF; empty when there was none (a comment block) */
    bool has_data;
    dr_slice name; /* `event:` field, empty when absent */
    dr_slice id;   /* `id:` field, empty when absent */
};

enum dr_sse_progress {
    DR_SSE_NEED_MORE, /* all bytes taken, an incomplete event is kept */
    DR_SSE_EVENT,
    DR_SSE_TOO_LARGE, /* an event beyond `event_bytes_max` */
    DR_SSE_NO_MEMORY,
};

/* Given; NULL when out of memory. Owns no buffer until an event is cut by the end of the bytes. */
struct dr_sse_reader *dr_sse_reader_new(size_t event_bytes_max);
void dr_sse_reader_free(struct dr_sse_reader *reader);

/* Takes bytes from the front of `*bytes`. LF, CRLF and CR end lines, also split; a leading BOM is
 * skipped. */
enum dr_sse_progress dr_sse_read(struct dr_sse_reader *reader, dr_slice *bytes,
                                 struct dr_sse_event *ret_event);
/* At the end of the stream: a last event that lacks its blank line is delivered all the same
 * (providers cut it); `raw` then lacks it too. DR_SSE_NEED_MORE when there is none. */
enum dr_sse_progress dr_sse_read_end(struct dr_sse_reader *reader, struct dr_sse_event *ret_event);
/* The line ends that an event given by dr_sse_read_end lacks to be whole; empty when none is
 * missing. Static storage. */
dr_slice dr_sse_missing_end(dr_slice raw);
/* Bytes kept of an incomplete event. */
size_t dr_sse_reader_kept(const struct dr_sse_reader *reader);

#endif
