/* The simulated provider as a server: listener, routes, headers that steer it, fault counts. What
 * an answer says is reply.c's, in which words is the dialects', how it leaves is provider_call.c's.
 * Must not include the gateway's dialects: it is their independent witness. */
#include "sim/provider.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "net/address.h"
#include "net/listener.h"
#include "net/stream.h"
#include "sim/provider_call.h"

enum {
    CONNECTIONS_MAX = 65536,
    BODY_BYTES_MAX = 64 * 1024 * 1024,
    IDLE_MS = 300000,
    WRITE_MS = 300000,
    COUNTED_FAULTS_MAX = 1024,
    CUTS_MAX = 4096,
    DELAY_MS_MAX = 3600000,
    EVENTS_MAX = 10000000,
    PIECE_BYTES_MAX = 64 * 1024 * 1024,
    MODEL_BYTES_MAX = 65536,
};

/* How often a fault text with `times` came. */
struct fault_count {
    uint32_t count;
    char text[];
};

/* --- calls --- */

static struct sim_call *provider_take_call(struct sim_provider *provider) {
    struct sim_call *call = provider->free_calls;
    if (call) {
        provider->free_calls = call->next_free;
        provider->free_call_count--;
    } else {
        call = dr_alloc(sizeof *call);
        if (!call) return NULL;
    }
    *call = (struct sim_call){
        .provider = provider,
        .first_token_ms = provider->first_token_ms,
        .token_ms = provider->token_ms,
        .burst_events = provider->burst_events,
        .status = 200,
    };
    dr_buf_init(&call->body, PIECE_BYTES_MAX);
    dr_buf_init(&call->out, PIECE_BYTES_MAX);
    dr_buf_init(&call->model, MODEL_BYTES_MAX);
    dr_timer_init(&call->timer, call, sim_call_resumed);
    dr_deferred_init(&call->step, call, sim_call_resumed);
    return call;
}

void sim_call_release(struct sim_call *call) {
    struct sim_provider *provider = call->provider;
    dr_timer_stop(&call->timer);
    dr_deferred_cancel(&call->step);
    sim_reply_free(call->reply);
    dr_buf_clear(&call->model);
    dr_buf_clear(&call->body);
    dr_buf_clear(&call->out);
    dr_free(call->cuts);
    if (provider->free_call_count >= SIM_FREE_CALLS_MAX) {
        dr_free(call);
        return;
    }
    call->next_free = provider->free_calls;
    provider->free_calls = call;
    provider->free_call_count++;
}

/* --- faults --- */

static void counts_clear(struct sim_provider *provider) {
    size_t cursor = 0;
    for (void *count = dr_map_next(&provider->counts, &cursor); count;
         count = dr_map_next(&provider->counts, &cursor)) {
        dr_free(count);
    }
    dr_map_clear(&provider->counts);
}

/* Counts the text once more; false when it came more often than `times`. */
static bool provider_note_fault(struct sim_provider *provider, dr_slice words, uint32_t times) {
    struct fault_count *count = dr_map_find(&provider->counts, words);
    if (!count) {
        /* Strangers choose the texts: all counts are forgotten rather than held without bound. */
        if (provider->counts.count >= COUNTED_FAULTS_MAX) counts_clear(provider);
        count = dr_alloc(sizeof *count + words.len);
        if (!count) return true;
        count->count = 0;
        memcpy(count->text, words.data, words.len);
        if (dr_map_put(&provider->counts, dr_slice_of(count->text, words.len), count)) {
            dr_free(count);
            return true;
        }
    }
    if (count->count >= times) return false;
    count->count++;
    return true;
}

static void fault_merge(struct sim_fault *fault, const struct sim_fault *more) {
    if (more->status) fault->status = more->status;
    if (more->retry_after_s) fault->retry_after_s = more->retry_after_s;
    if (more->slow_bytes_per_s) fault->slow_bytes_per_s = more->slow_bytes_per_s;
    fault->refuse |= more->refuse;
    fault->stall |= more->stall;
    fault->stall_mid |= more->stall_mid;
    fault->cut |= more->cut;
    fault->cut_mid |= more->cut_mid;
    fault->close_idle |= more->close_idle;
    fault->garbage |= more->garbage;
    fault->bad_json |= more->bad_json;
    fault->error_event |= more->error_event;
    fault->dribble |= more->dribble;
    fault->no_usage |= more->no_usage;
    fault->split_utf8 |= more->split_utf8;
    fault->huge |= more->huge;
}

enum dr_status sim_provider_add_fault(struct sim_provider *provider, struct sim_call *call,
                                      dr_slice words, struct dr_error *error) {
    struct sim_fault fault;
    const enum dr_status status = sim_fault_parse(words, &fault, error);
    if (status) return status;
    if (fault.refuse) {
        return dr_fail(error, DR_INVALID, 0,
                       "fault refuse holds for the whole provider: give it as a flag");
    }
    if (fault.times > 0 && !provider_note_fault(provider, words, fault.times)) return DR_OK;
    fault_merge(&call->fault, &fault);
    return DR_OK;
}

static void add_own_fault(struct sim_provider *provider, struct sim_call *call) {
    const dr_slice words = dr_buf_slice(&provider->fault_text);
    if (provider->fault.times > 0 && !provider_note_fault(provider, words, provider->fault.times)) {
        return;
    }
    fault_merge(&call->fault, &provider->fault);
}

/* --- requests --- */

static bool read_header_number(const struct dr_http1_head *head, dr_slice name, uint64_t most,
                               uint64_t *ret, struct dr_error *error) {
    const dr_slice text = dr_http1_header(head, name);
    uint64_t value;
    if (!text.data) return true;
    if (!dr_slice_to_u64(text, &value) || value > most) {
        (void)dr_fail(error, DR_INVALID, 0, "header %.*s takes a number up to %llu, not \"%.*s\"",
                      DR_FMT(name), (unsigned long long)most, DR_FMT(dr_slice_first(text, 40)));
        return false;
    }
    *ret = value;
    return true;
}

static bool read_cuts(struct sim_call *call, dr_slice text, struct dr_error *error) {
    if (!text.data) return true;
    size_t count = 1;
    for (size_t i = 0; i < text.len; i++) count += text.data[i] == ',' ? 1 : 0;
    if (count <= CUTS_MAX) call->cuts = dr_alloc_zero(count, sizeof *call->cuts);
    uint64_t last = 0;
    for (dr_slice rest = text; call->cuts && rest.data;) {
        const dr_slice number = dr_slice_trim(dr_slice_split(&rest, ','));
        uint64_t offset;
        if (!dr_slice_to_u64(number, &offset) || offset <= last) break;
        call->cuts[call->cut_count++] = offset;
        last = offset;
    }
    if (call->cut_count == count) return true;
    (void)dr_fail(error, DR_INVALID, 0,
                  "header x-sim-cut takes ascending offsets from 1, at most %d, not \"%.*s\"",
                  CUTS_MAX, DR_FMT(dr_slice_first(text, 40)));
    return false;
}

/* What the request's headers ask of the simulation. */
static bool read_wishes(struct sim_call *call, const struct dr_http1_head *head,
                        struct dr_error *error) {
    uint64_t events = call->burst_events;
    uint64_t token_ms = (uint64_t)call->token_ms;
    uint64_t first_token_ms = (uint64_t)call->first_token_ms;
    if (!read_header_number(head, DR_LIT("x-sim-events"), EVENTS_MAX, &events, error) ||
        !read_header_number(head, DR_LIT("x-sim-token-ms"), DELAY_MS_MAX, &token_ms, error) ||
        !read_header_number(head, DR_LIT("x-sim-first-token-ms"), DELAY_MS_MAX, &first_token_ms,
                            error) ||
        !read_cuts(call, dr_http1_header(head, DR_LIT("x-sim-cut")), error)) {
        return false;
    }
    call->burst_events = (uint32_t)events;
    call->token_ms = (int64_t)token_ms;
    call->first_token_ms = (int64_t)first_token_ms;
    const dr_slice words = dr_http1_header(head, DR_LIT("x-sim-fault"));
    add_own_fault(call->provider, call);
    return !words.data || sim_provider_add_fault(call->provider, call, words, error) == DR_OK;
}

/* A name in a target is percent-encoded; what is not well encoded stands for itself. */
static void put_decoded(struct dr_buf *buf, dr_slice text) {
    const dr_slice digits = DR_LIT("0123456789abcdef");
    for (size_t i = 0; i < text.len; i++) {
        unsigned byte = 0;
        bool is_encoded = text.data[i] == '%' && text.len - i > 2;
        for (size_t k = 1; is_encoded && k <= 2; k++) {
            const size_t value = dr_slice_find_char(digits, (char)(text.data[i + k] | 0x20));
            is_encoded = value < digits.len;
            byte = byte * 16 + (unsigned)value;
        }
        dr_buf_put_char(buf, is_encoded ? (char)byte : text.data[i]);
        if (is_encoded) i += 2;
    }
}

/* False with an error for a 404 or 405. */
static bool check_route(const struct dr_http1_head *head, enum sim_route_found route,
                        struct sim_error *error, char message[160]) {
    if (route == SIM_ROUTE_UNKNOWN) {
        (void)snprintf(message, 160, "Invalid URL (%.*s %.*s)",
                       DR_FMT(dr_slice_first(head->method_text, 16)),
                       DR_FMT(dr_slice_first(head->target, 100)));
        *error = (struct sim_error){.status = 404, .message = message};
        return false;
    }
    const bool is_reading = head->method == DR_HTTP1_GET || head->method == DR_HTTP1_METHOD_HEAD;
    if (route == SIM_ROUTE_CHAT ? head->method == DR_HTTP1_POST : is_reading) return true;
    *error = (struct sim_error){.status = 405,
                                .message = "Not allowed to use this method on this URL",
                                .code = "method_not_supported"};
    return false;
}

static void provider_opened(void *owner, struct dr_http_call *http,
                            const struct dr_http1_head *head) {
    struct sim_provider *provider = owner;
    enum sim_route_found route;
    struct sim_target target;
    struct sim_error refusal;
    struct dr_error error;
    char message[160];
    const struct sim_dialect *dialect = sim_dialect_find(head->target, &route, &target);
    if (!check_route(head, route, &refusal, message) || !dialect->check_head(head, &refusal)) {
        sim_provider_refuse(provider, dialect, http, &refusal);
        return;
    }
    struct sim_call *call = provider_take_call(provider);
    if (!call) {
        refusal = (struct sim_error){.status = 503, .message = "The simulation is out of memory"};
        sim_provider_refuse(provider, dialect, http, &refusal);
        return;
    }
    call->http = http;
    call->dialect = dialect;
    call->route = route;
    call->is_stream = target.is_streamed;
    call->is_listed = target.is_listed;
    put_decoded(&call->model, target.model);
    if (!read_wishes(call, head, &error)) {
        sim_call_release(call);
        refusal =
            (struct sim_error){.status = 400, .message = error.text, .code = "invalid_simulation"};
        sim_provider_refuse(provider, dialect, http, &refusal);
        return;
    }
    dr_http_call_set_owner(http, call);
}

static void provider_body(void *owner, dr_slice body) {
    sim_call_answer(owner, body);
}

static void provider_gone(void *owner) {
    sim_call_release(owner);
}

static void provider_drained(void *owner) {
    sim_call_drained(owner);
}

/* A request that is no HTTP, or too large, has no dialect yet. */
static void provider_refuse(void *owner, uint16_t status, const char *text, struct dr_buf *body) {
    (void)owner;
    sim_chat.write_error(&(struct sim_error){.status = status, .message = text}, DR_NONE, body);
}

/* --- life --- */

static void provider_free(struct sim_provider *provider) {
    dr_http_server_free(provider->server);
    dr_listener_unclaim(provider->held_fd);
    dr_json_reader_free(provider->reader);
    sim_scratch_clear(&provider->scratch);
    counts_clear(provider);
    while (provider->free_calls) {
        struct sim_call *call = provider->free_calls;
        provider->free_calls = call->next_free;
        dr_free(call);
    }
    dr_buf_clear(&provider->headers);
    dr_buf_clear(&provider->piece);
    dr_buf_clear(&provider->fault_text);
    dr_buf_clear(&provider->replay);
    dr_buf_clear(&provider->replay_type);
    dr_free(provider);
}

static void provider_freeing(void *owner) {
    provider_free(owner);
}

static void provider_disconnected(void *owner) {
    struct sim_provider *provider = owner;
    dr_listener_note_closed(provider->listener); /* it lives until each connection is noted */
    if (provider->is_closing && dr_http_server_connection_count(provider->server) == 0) {
        dr_deferred_queue(&provider->freeing, provider->loop);
    }
}

static void provider_accepted(void *owner, struct dr_stream *stream) {
    struct sim_provider *provider = owner;
    dr_http_server_take(provider->server, stream);
}

static const struct dr_http_service provider_service = {
    .opened = provider_opened,
    .body = provider_body,
    .gone = provider_gone,
    .drained = provider_drained,
    .refuse = provider_refuse,
    .disconnected = provider_disconnected,
};

static enum dr_status provider_copy_options(struct sim_provider *provider,
                                            const struct sim_options *options,
                                            struct dr_error *error) {
    const enum dr_status status = sim_fault_parse(options->fault, &provider->fault, error);
    if (status) return status;
    if (options->first_token_ms < 0 || options->first_token_ms > DELAY_MS_MAX ||
        options->token_ms < 0 || options->token_ms > DELAY_MS_MAX) {
        return dr_fail(error, DR_INVALID, 0, "delays take 0 to %d ms", DELAY_MS_MAX);
    }
    if (options->burst_events > EVENTS_MAX) {
        return dr_fail(error, DR_INVALID, 0, "a stream has at most %d events", EVENTS_MAX);
    }
    provider->first_token_ms = options->first_token_ms;
    provider->token_ms = options->token_ms;
    provider->burst_events = options->burst_events;
    provider->replay_status = options->replay_status > 0 ? options->replay_status : 200;
    dr_buf_put(&provider->fault_text, options->fault);
    dr_buf_put(&provider->replay, options->replay);
    dr_buf_put(&provider->replay_type, options->replay_type);
    if (dr_buf_status(&provider->fault_text) || dr_buf_status(&provider->replay) ||
        dr_buf_status(&provider->replay_type)) {
        return dr_fail(error, DR_NO_MEMORY, 0, "no memory for the simulation's options");
    }
    return DR_OK;
}

static enum dr_status provider_open_server(struct sim_provider *provider, struct dr_error *error) {
    static const struct dr_http_server_options server_options = {
        .limits =
            {
                .head_bytes_max = 65536,
                .headers_max = DR_HTTP1_HEADERS_MAX,
                .chunk_extension_bytes_max = 256,
                .trailer_bytes_max = 4096,
                .body_bytes_max = BODY_BYTES_MAX,
            },
        .head_ms = 30000,
        .body_ms = 60000,
        .idle_ms = IDLE_MS,
        .write_ms = WRITE_MS,
    };
    struct dr_entropy entropy = {.left = 0};
    uint64_t seed;
    dr_entropy_take(&entropy, &seed, sizeof seed);
    dr_random_seed(&provider->random, seed);
    dr_map_init(&provider->counts, COUNTED_FAULTS_MAX, dr_random_u64(&provider->random));
    provider->reader = dr_json_reader_new();
    const enum dr_status status = sim_scratch_init(&provider->scratch);
    if (!provider->reader || status) {
        return dr_fail(error, DR_NO_MEMORY, 0, "no memory for the simulation");
    }
    return dr_http_server_new(provider->loop, &provider_service, provider, &server_options,
                              &provider->server, error);
}

/* A port that is held but not listened on, so that connections to it are refused. Where the system
 * is to pick one, it is a port that was listened on for a moment. */
static enum dr_status provider_hold_port(struct sim_provider *provider,
                                         const struct sim_options *options,
                                         struct dr_error *error) {
    dr_slice host;
    uint16_t port;
    if (dr_address_split(options->listen, &host, &port) && port > 0) {
        provider->port = port;
        return dr_listener_claim(options->listen, &provider->held_fd, error);
    }
    const struct dr_listener_options listener_options = {
        .address = options->listen,
        .connections_max = 0,
        .accepted = provider_accepted,
        .owner = provider,
    };
    struct dr_listener *listener;
    const enum dr_status status =
        dr_listener_open(provider->loop, &listener_options, NULL, &listener, error);
    if (status) return status;
    provider->port = dr_listener_port(listener);
    dr_listener_close(listener);
    return DR_OK;
}

static enum dr_status provider_listen(struct sim_provider *provider,
                                      const struct sim_options *options, struct dr_error *error) {
    const struct dr_listener_options listener_options = {
        .address = options->listen,
        .is_shared = options->is_shared,
        .connections_max = CONNECTIONS_MAX,
        .accepted = provider_accepted,
        .owner = provider,
    };
    if (provider->fault.refuse) return provider_hold_port(provider, options, error);
    const enum dr_status status =
        dr_listener_open(provider->loop, &listener_options, NULL, &provider->listener, error);
    if (status) return status;
    provider->port = dr_listener_port(provider->listener);
    return DR_OK;
}

enum dr_status sim_open(struct dr_loop *loop, const struct sim_options *options,
                        struct sim_provider **ret_provider, struct dr_error *error) {
    struct sim_provider *provider = dr_alloc_zero(1, sizeof *provider);
    if (!provider) return dr_fail(error, DR_NO_MEMORY, 0, "no memory for the simulation");
    provider->loop = loop;
    provider->held_fd = -1;
    dr_buf_init(&provider->headers, 65536);
    dr_buf_init(&provider->piece, PIECE_BYTES_MAX);
    dr_buf_init(&provider->fault_text, 65536);
    dr_buf_init(&provider->replay, SIZE_MAX / 2);
    dr_buf_init(&provider->replay_type, 1024);
    dr_deferred_init(&provider->freeing, provider, provider_freeing);
    enum dr_status status = provider_copy_options(provider, options, error);
    if (!status) status = provider_open_server(provider, error);
    if (!status) status = provider_listen(provider, options, error);
    if (status) {
        provider_free(provider);
        return status;
    }
    *ret_provider = provider;
    return DR_OK;
}

uint16_t sim_port(const struct sim_provider *provider) {
    return provider->port;
}

void sim_close(struct sim_provider *provider) {
    dr_assert(!provider->is_closing);
    provider->is_closing = true;
    dr_listener_close(provider->listener);
    dr_http_server_close_all(provider->server);
    if (dr_http_server_connection_count(provider->server) == 0) {
        dr_deferred_queue(&provider->freeing, provider->loop);
    }
}
