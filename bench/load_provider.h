/* The provider behind the relay: an HTTP/1.1 server on loopback that answers chat requests whole,
 * or as a stream of events at a steady pace. It knows when each event is due, and writes that and
 * the moment of sending into the event. */
#ifndef DR_BENCH_LOAD_PROVIDER_H
#define DR_BENCH_LOAD_PROVIDER_H

#include "base/list.h"
#include "load_loop.h"
#include "load_wire.h"

struct load_provider_options {
    uint16_t port;
    uint32_t event_count; /* of each stream */
    int64_t spacing_ns;   /* 0: a burst */
    uint32_t gather;      /* events in one write */
};

struct load_provider {
    struct load_provider_options options;
    struct load_loop *loop;
    struct load_wire *wire;
    struct load_socket listener;
    struct load_timer timer;
    struct dr_list streams; /* by the time their next event is due */
    struct dr_list idle;    /* the other connections */
    char *out;              /* one write is put together here */
    uint64_t connection_count;
    uint64_t event_count; /* sent */
    uint64_t refused;     /* requests that could not be read */
    uint64_t abandoned;   /* streams that the relay closed before their end */
};

/* False, with the reason printed, when the port cannot be had. */
bool load_provider_init(struct load_provider *provider, struct load_loop *loop,
                        struct load_wire *wire, const struct load_provider_options *options);
void load_provider_clear(struct load_provider *provider);

#endif
