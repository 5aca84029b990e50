/* One measurement: clients come, a window is measured, clients finish and go.
 *
 *     WARMING ─► RAMPING ─► SETTLING ─► MEASURING ─► DRAINING ─► LEAVING ─► (stopped)
 *
 * WARMING is for measurements of memory alone: a few clients ask some thousand times and go, so
 * that what a relay makes once for all is not charged to the connections that are counted. RAMPING
 * opens the clients spread over time, SETTLING waits until all are as they have to be, DRAINING
 * lets running answers end, LEAVING looks at the memory once more when all clients are gone. */
#ifndef DR_BENCH_LOAD_RUN_H
#define DR_BENCH_LOAD_RUN_H

#include "base/random.h"
#include "load_client.h"
#include "load_provider.h"
#include "load_watch.h"

enum load_mode {
    LOAD_MODE_LOOP, /* each client asks again as soon as it has its answer */
    LOAD_MODE_RATE, /* requests come at a fixed rate, whatever happened to those before */
    LOAD_MODE_IDLE, /* one request on each connection, then silence */
    LOAD_MODE_HOLD, /* streams that stay open */
    LOAD_MODE_SLOW, /* streams whose clients do not read, or hardly */
};

struct load_run_options {
    enum load_mode mode;
    uint32_t client_count;
    int64_t ramp_ns;
    int64_t settle_ns;
    int64_t window_ns;
    double rate;         /* requests a second */
    uint32_t slow_bytes; /* read by a slow client a second; 0: none */
    bool wants_leaving;  /* look at the memory when all is over, too */
    struct load_client_options client;
    struct load_watch watch;
    const uint64_t *progress; /* slow: settled when this stands still; NULL: after settle_ns */
};

enum load_stage {
    LOAD_STAGE_WARMING,
    LOAD_STAGE_RAMPING,
    LOAD_STAGE_SETTLING,
    LOAD_STAGE_MEASURING,
    LOAD_STAGE_DRAINING,
    LOAD_STAGE_LEAVING,
    LOAD_STAGE_STOPPED,
};

enum { LOAD_SAMPLES_MAX = 128 };

struct load_report {
    double window_s;
    struct load_cost cost;
    struct load_cost own_cost; /* of this process */
    double machine_us;         /* what all cores worked, for whomever */
    struct load_memory before;
    struct load_memory during; /* at the window's end */
    struct load_memory after;
    uint64_t rss_kib[LOAD_SAMPLES_MAX]; /* once a second, from the first client on */
    size_t rss_count;
    uint64_t backlog_max; /* requests that waited for a free client */
    uint64_t unfinished;  /* answers that did not end in time */
};

struct load_run;

/* Runs to the end. False, with the reason printed, when it could not be carried out; faults of
 * single answers are counted in `tally`. */
bool load_run(struct load_loop *loop, struct load_wire *wire,
              const struct load_run_options *options, struct load_tally *tally,
              struct load_report *ret_report);

#endif
