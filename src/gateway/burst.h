/* Tells a stream that bursts (docs/adr/0004): the first words leave at once, and so does what
 * stands before them; what comes within the window behind them, or behind a piece that came as
 * close, is gathered. */
#ifndef DR_GATEWAY_BURST_H
#define DR_GATEWAY_BURST_H

#include "base/instant.h"
#include "net/loop.h"

/* Between two pieces that were gathered lies a window, and the time to bring one on its way. */
enum { BURST_US = 2 * DR_LOOP_GATHER_US + 50 };

/* Zero at first. */
struct burst {
    dr_instant piece_at; /* when the last piece came */
    bool has_words;      /* of the answer, so far: the owner's to set */
    bool had_words;      /* up to the last piece */
};

/* A piece has come. Whether what follows is to be gathered. */
static inline bool burst_note(struct burst *burst, dr_instant now) {
    const bool is_first = burst->has_words && !burst->had_words;
    const bool is_close = dr_instant_us_since(now, burst->piece_at) < BURST_US;
    burst->piece_at = now;
    burst->had_words = burst->has_words;
    return is_first || (burst->has_words && is_close);
}

#endif
