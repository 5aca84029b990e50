/* The simulated provider: a server that speaks providers' dialects with code of its own,
 * independent of src/dialect, so that each checks the other. Its text depends only on the messages;
 * it says that it is a simulation. Runs on any loop: as `drover sim`, or in a thread of the demo
 * gateway.
 *
 *   POST /v1/chat/completions, GET /v1/models                    chat_*.c      OpenAI
 *   POST /v1/messages                                            messages_*.c  Anthropic
 *   POST /v1beta/models/M:generateContent, :streamGenerateContent
 *                                                                generate_*.c  Gemini
 *
 * Each has a reader (*_ask.c, *_turns.c), a writer (*_answer.c), and its keys, errors and headers
 * (*_dialect.c). What is said is decided once for all, in reply.c. */
#ifndef DR_SIM_PROVIDER_H
#define DR_SIM_PROVIDER_H

#include "base/slice.h"
#include "base/status.h"
#include "net/loop.h"

struct sim_provider;

struct sim_options {
    dr_slice listen;        /* "127.0.0.1:8090"; port 0 picks one */
    bool is_shared;         /* SO_REUSEPORT, when several loops serve one port */
    int64_t first_token_ms; /* before the first event, or the whole unary answer */
    int64_t token_ms;       /* between events */
    dr_slice fault;         /* fault words for every request; empty for none */
    dr_slice replay;        /* bytes of a recorded answer, played byte for byte as the answer of
                             * every chat request; empty for none */
    dr_slice replay_type;   /* its Content-Type */
    uint16_t replay_status;
    uint32_t burst_events; /* 0: natural length; otherwise each stream has this many text events
                             * (load tests) */
};

/* Options are copied. The error says what is wrong with the address or a fault word. */
enum dr_status sim_open(struct dr_loop *loop, const struct sim_options *options,
                        struct sim_provider **ret_provider, struct dr_error *error) DR_MUST_USE;
uint16_t sim_port(const struct sim_provider *provider);
/* Closes listener and connections; frees itself in the loop's next turns. */
void sim_close(struct sim_provider *provider);

#endif
