/* Decides when clients come, ask and go, and when is measured. Must not look at bytes. */
#include "load_run.h"

#include "base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

enum {
    WARM_CLIENTS = 8,
    WARM_REQUESTS = 5000, /* enough to fill what a relay keeps: pools, the pages of its books */
    BACKLOG_MAX = 65536,
    TURN_OPENS_MAX = 64, /* clients opened before the sockets get their turn */
    FAULTS_MAX = 2000,   /* then it is no use going on */
};
#define MS_NS INT64_C(1000000)
#define SECOND_NS (1000 * MS_NS)
#define SAMPLE_NS SECOND_NS
#define WARM_NS (1500 * MS_NS) /* books may be written a second later */
#define LEAVE_NS (1500 * MS_NS)
#define DRAIN_NS (60 * SECOND_NS)
#define RAMP_NS (20 * SECOND_NS)
#define SETTLE_NS (800 * MS_NS)
#define STILL_NS (100 * MS_NS)
#define STILL_CPU_US 2000.0 /* a relay at rest spends less in STILL_NS */

struct load_run {
    const struct load_run_options *options;
    struct load_loop *loop;
    struct load_wire *wire;
    struct load_tally *tally;
    struct load_report *report;
    struct load_client_options warm_options;
    struct load_client *clients;
    enum load_stage stage;
    struct load_timer stage_timer;
    struct load_timer open_timer; /* opens the next client, or sends the next due request */
    struct load_timer sample_timer;
    struct load_timer read_timer; /* slow clients */
    struct dr_list closed;        /* clients without a connection */
    struct dr_list ready;         /* clients between two requests */
    struct dr_list busy;
    int64_t *backlog; /* when the requests that wait for a client were due */
    uint64_t backlog_first;
    uint64_t backlog_len;
    uint64_t next_number;
    int64_t ramp_ns; /* when the stages began */
    int64_t window_ns;
    struct load_cost cost_before;
    struct load_cost own_before;
    double machine_before_us;
    uint64_t progress_seen;
    uint64_t rss_seen_kib;
    double cpu_seen_us;
    int64_t settled_ns; /* since when `progress` stands still */
    struct dr_random random;
};

static const struct load_watch *own_watch(struct load_watch *watch) {
    *watch = (struct load_watch){.processes = {getpid()}, .count = 1};
    return watch;
}

static void move_client(struct load_client *client, struct dr_list *list) {
    dr_list_remove(&client->place);
    dr_list_put_last(list, &client->place);
}

static void ask(struct load_run *run, struct load_client *client, int64_t due_ns) {
    move_client(client, &run->busy);
    load_client_ask(client, run->next_number++, due_ns);
}

static bool is_asking(const struct load_run *run) {
    return run->stage >= LOAD_STAGE_RAMPING && run->stage <= LOAD_STAGE_MEASURING;
}

static uint64_t count_faults(const struct load_tally *tally) {
    uint64_t count = 0;
    for (size_t i = 0; i < LOAD_FAULT_COUNT; i++) {
        count += tally->faults[i];
    }
    return count;
}

static void client_answered(struct load_client *client, int64_t now_ns) {
    struct load_run *run = client->owner;
    if (client->stage == LOAD_CLIENT_CLOSED) {
        /* Opened again by the timer and not here: a relay that refuses would be asked for ever. */
        move_client(client, &run->closed);
        if (count_faults(run->tally) > FAULTS_MAX) run->loop->is_stopped = true;
        if (is_asking(run) && run->open_timer.due_ns == LOAD_NEVER) {
            run->open_timer.due_ns = now_ns + MS_NS;
        }
        return;
    }
    move_client(client, &run->ready);
    if (run->stage == LOAD_STAGE_WARMING && run->next_number <= WARM_REQUESTS) {
        ask(run, client, now_ns);
    }
    if (!is_asking(run)) return;
    if (run->options->mode == LOAD_MODE_LOOP || run->options->mode == LOAD_MODE_HOLD ||
        run->options->mode == LOAD_MODE_SLOW) {
        ask(run, client, now_ns);
    } else if (run->options->mode == LOAD_MODE_RATE && run->backlog_len > 0) {
        const int64_t due_ns = run->backlog[run->backlog_first++ % BACKLOG_MAX];
        run->backlog_len--;
        ask(run, client, due_ns);
    }
}

/* --- opening clients, sending at a rate ----------------------------------------------------- */

/* A client with a connection if there is one, or NULL. */
static struct load_client *find_free(const struct load_run *run) {
    const struct dr_list *list = dr_list_is_empty(&run->ready) ? &run->closed : &run->ready;
    /* The last one: what is used often stays warm, as in any pool of connections. */
    return dr_list_is_empty(list) ? NULL : dr_list_item(list->prev, struct load_client, place);
}

static void send_due(struct load_run *run, int64_t now_ns) {
    for (int i = 0; i < TURN_OPENS_MAX && run->open_timer.due_ns <= now_ns; i++) {
        struct load_client *client = find_free(run);
        const int64_t due_ns = run->open_timer.due_ns;
        if (client) {
            ask(run, client, due_ns);
        } else if (run->backlog_len < BACKLOG_MAX) {
            run->backlog[(run->backlog_first + run->backlog_len++) % BACKLOG_MAX] = due_ns;
            if (run->backlog_len > run->report->backlog_max) {
                run->report->backlog_max = run->backlog_len;
            }
        }
        /* Independent clients: the times between two requests are exponentially distributed. */
        const double uniform = ((double)(dr_random_u64(&run->random) >> 11) + 1.0) * 0x1p-53;
        run->open_timer.due_ns += (int64_t)(-log(uniform) * 1e9 / run->options->rate);
    }
}

/* Idle connections come one after the other: what a relay needs for many requests at once, and may
 * keep for the next ones, is not charged to connections at rest. */
static bool is_crowded(const struct load_run *run) {
    size_t count = 0;
    if (run->options->mode != LOAD_MODE_IDLE) return false;
    for (const struct dr_list *at = run->busy.next; at != &run->busy; at = at->next) {
        if (++count == WARM_CLIENTS) return true;
    }
    return false;
}

static void open_due(struct load_timer *timer, int64_t now_ns) {
    struct load_run *run = LOAD_OWNER(timer, struct load_run, open_timer);
    if (run->options->mode == LOAD_MODE_RATE && run->stage != LOAD_STAGE_WARMING) {
        send_due(run, now_ns);
        return;
    }
    const int64_t step_ns = run->options->ramp_ns / run->options->client_count + 1;
    for (int i = 0; i < TURN_OPENS_MAX && timer->due_ns <= now_ns; i++) {
        if (dr_list_is_empty(&run->closed)) {
            timer->due_ns = LOAD_NEVER;
            return;
        }
        if (is_crowded(run)) {
            timer->due_ns = now_ns + MS_NS / 10;
            return;
        }
        struct load_client *client = dr_list_item(run->closed.next, struct load_client, place);
        ask(run, client, now_ns);
        timer->due_ns += step_ns;
    }
}

static void read_due(struct load_timer *timer, int64_t now_ns) {
    struct load_run *run = LOAD_OWNER(timer, struct load_run, read_timer);
    (void)now_ns;
    timer->due_ns += SECOND_NS;
    for (uint32_t i = 0; i < run->options->client_count; i++) {
        load_client_listen(&run->clients[i], run->options->slow_bytes);
    }
}

static void sample_due(struct load_timer *timer, int64_t now_ns) {
    struct load_run *run = LOAD_OWNER(timer, struct load_run, sample_timer);
    (void)now_ns;
    timer->due_ns += SAMPLE_NS;
    if (run->report->rss_count == LOAD_SAMPLES_MAX) return;
    run->report->rss_kib[run->report->rss_count++] = load_watch_rss_kib(&run->options->watch);
}

/* --- stages --------------------------------------------------------------------------------- */

static bool wants_memory(const struct load_run *run) {
    return run->options->mode == LOAD_MODE_IDLE || run->options->mode == LOAD_MODE_HOLD ||
           run->options->mode == LOAD_MODE_SLOW || run->options->wants_leaving;
}

static void close_clients(struct load_run *run) {
    for (uint32_t i = 0; i < run->options->client_count; i++) {
        load_client_close(&run->clients[i]);
        move_client(&run->clients[i], &run->closed);
    }
}

static void enter_warming(struct load_run *run, int64_t now_ns) {
    for (uint32_t i = 0; i < WARM_CLIENTS && i < run->options->client_count; i++) {
        run->clients[i].options = &run->warm_options;
        ask(run, &run->clients[i], now_ns);
    }
    run->stage_timer.due_ns = now_ns + WARM_NS;
}

static bool is_warm(struct load_run *run, int64_t now_ns) {
    if (dr_list_is_empty(&run->busy)) return true;
    run->stage_timer.due_ns = now_ns + WARM_NS;
    return false;
}

static void enter_ramping(struct load_run *run, int64_t now_ns) {
    close_clients(run);
    for (uint32_t i = 0; i < run->options->client_count; i++) {
        run->clients[i].options = &run->options->client;
    }
    if (wants_memory(run)) run->report->before = load_watch_memory(&run->options->watch);
    run->tally->answers_ever = 0;
    const int64_t from_ns = load_now_ns();
    run->ramp_ns = from_ns;
    run->open_timer.due_ns = from_ns;
    run->sample_timer.due_ns = from_ns;
    if (run->options->slow_bytes > 0) run->read_timer.due_ns = from_ns + SECOND_NS;
    run->stage_timer.due_ns = from_ns + run->options->ramp_ns;
    (void)now_ns;
}

/* All clients have a connection, or there was time enough for it. */
static bool is_ramped(struct load_run *run, int64_t now_ns) {
    run->stage_timer.due_ns = now_ns + 10 * MS_NS;
    return run->options->mode == LOAD_MODE_RATE || dr_list_is_empty(&run->closed) ||
           now_ns > run->ramp_ns + run->options->ramp_ns + RAMP_NS;
}

/* For slow clients: every buffer on the way is full, so that nothing moves for a while, neither the
 * provider nor the relay, whose kernel buffers take a while to fill. */
static bool is_settled(struct load_run *run, int64_t now_ns) {
    const struct load_run_options *options = run->options;
    if (options->mode != LOAD_MODE_SLOW || !options->progress) return true;
    run->stage_timer.due_ns = now_ns + STILL_NS;
    const double cpu_us = load_watch_cost(&options->watch).cpu_us;
    const uint64_t rss_kib = load_watch_rss_kib(&options->watch);
    if (*options->progress != run->progress_seen || rss_kib != run->rss_seen_kib ||
        cpu_us > run->cpu_seen_us + STILL_CPU_US) {
        run->settled_ns = now_ns;
    }
    run->progress_seen = *options->progress;
    run->rss_seen_kib = rss_kib;
    run->cpu_seen_us = cpu_us;
    return now_ns - run->settled_ns > SETTLE_NS ||
           now_ns > run->ramp_ns + options->ramp_ns + RAMP_NS;
}

static void enter_measuring(struct load_run *run) {
    struct load_watch own;
    run->own_before = load_watch_cost(own_watch(&own));
    run->cost_before = load_watch_cost(&run->options->watch);
    run->machine_before_us = load_watch_machine_us();
    run->tally->is_open = true;
    run->window_ns = load_now_ns();
    run->stage_timer.due_ns = run->window_ns + run->options->window_ns;
}

static struct load_cost cost_since(const struct load_watch *watch, const struct load_cost *before) {
    const struct load_cost now = load_watch_cost(watch);
    struct load_cost cost = {now.cpu_us - before->cpu_us, 0, 0};
    const double user_us = now.user_us - before->user_us;
    const double system_us = now.system_us - before->system_us;
    if (user_us + system_us > 0) {
        cost.user_us = cost.cpu_us * user_us / (user_us + system_us);
        cost.system_us = cost.cpu_us - cost.user_us;
    }
    return cost;
}

static void enter_draining(struct load_run *run) {
    struct load_report *report = run->report;
    struct load_watch own;
    run->tally->is_open = false;
    report->window_s = (double)(load_now_ns() - run->window_ns) / 1e9;
    report->cost = cost_since(&run->options->watch, &run->cost_before);
    report->own_cost = cost_since(own_watch(&own), &run->own_before);
    report->machine_us = load_watch_machine_us() - run->machine_before_us;
    if (wants_memory(run)) report->during = load_watch_memory(&run->options->watch);
    run->open_timer.due_ns = LOAD_NEVER;
    run->read_timer.due_ns = LOAD_NEVER;
    run->backlog_len = 0;
    run->stage_timer.due_ns = load_now_ns() + 10 * MS_NS;
}

/* Streams that are held open and clients that do not read have no end to wait for. */
static bool is_drained(const struct load_run *run) {
    return run->options->mode == LOAD_MODE_HOLD || run->options->mode == LOAD_MODE_SLOW ||
           dr_list_is_empty(&run->busy);
}

static void enter_leaving(struct load_run *run, int64_t now_ns) {
    for (const struct dr_list *at = run->busy.next; at != &run->busy && !is_drained(run);
         at = at->next) {
        run->report->unfinished++;
    }
    close_clients(run);
    run->stage_timer.due_ns = now_ns + (run->options->wants_leaving ? LEAVE_NS : 0);
}

/* The only one that moves the run on. */
static void stage_due(struct load_timer *timer, int64_t now_ns) {
    struct load_run *run = LOAD_OWNER(timer, struct load_run, stage_timer);
    switch (run->stage) {
    case LOAD_STAGE_WARMING:
        if (!is_warm(run, now_ns)) return;
        run->stage = LOAD_STAGE_RAMPING;
        enter_ramping(run, now_ns);
        return;
    case LOAD_STAGE_RAMPING:
        if (!is_ramped(run, now_ns)) return;
        run->stage = LOAD_STAGE_SETTLING;
        timer->due_ns = now_ns + run->options->settle_ns;
        run->settled_ns = now_ns;
        return;
    case LOAD_STAGE_SETTLING:
        if (!is_settled(run, now_ns)) return;
        run->stage = LOAD_STAGE_MEASURING;
        enter_measuring(run);
        return;
    case LOAD_STAGE_MEASURING:
        run->stage = LOAD_STAGE_DRAINING;
        enter_draining(run);
        return;
    case LOAD_STAGE_DRAINING:
        timer->due_ns = now_ns + 10 * MS_NS;
        if (!is_drained(run) && now_ns < run->window_ns + run->options->window_ns + DRAIN_NS)
            return;
        run->stage = LOAD_STAGE_LEAVING;
        enter_leaving(run, now_ns);
        return;
    case LOAD_STAGE_LEAVING:
        if (wants_memory(run)) run->report->after = load_watch_memory(&run->options->watch);
        run->stage = LOAD_STAGE_STOPPED;
        run->loop->is_stopped = true;
        return;
    case LOAD_STAGE_STOPPED: return;
    }
}

/* --- the whole ------------------------------------------------------------------------------ */

static bool init_clients(struct load_run *run) {
    run->clients = dr_alloc_zero(run->options->client_count, sizeof(*run->clients));
    run->backlog = dr_alloc(BACKLOG_MAX * sizeof(*run->backlog));
    if (!run->clients || !run->backlog) return false;
    for (uint32_t i = 0; i < run->options->client_count; i++) {
        struct load_client *client = &run->clients[i];
        client->socket.fd = -1;
        client->options = &run->options->client;
        client->loop = run->loop;
        client->wire = run->wire;
        client->tally = run->tally;
        client->answered = client_answered;
        client->owner = run;
        dr_list_init(&client->place);
        dr_list_put_last(&run->closed, &client->place);
    }
    return true;
}

static void init_timers(struct load_run *run, int64_t now_ns) {
    const bool is_warming = wants_memory(run);
    run->stage_timer = (struct load_timer){now_ns, stage_due};
    run->open_timer = (struct load_timer){LOAD_NEVER, open_due};
    run->sample_timer = (struct load_timer){LOAD_NEVER, sample_due};
    run->read_timer = (struct load_timer){LOAD_NEVER, read_due};
    load_loop_add(run->loop, &run->stage_timer);
    load_loop_add(run->loop, &run->open_timer);
    load_loop_add(run->loop, &run->sample_timer);
    load_loop_add(run->loop, &run->read_timer);
    if (is_warming) enter_warming(run, now_ns);
}

bool load_run(struct load_loop *loop, struct load_wire *wire,
              const struct load_run_options *options, struct load_tally *tally,
              struct load_report *ret_report) {
    struct load_run run = {.options = options,
                           .loop = loop,
                           .wire = wire,
                           .tally = tally,
                           .report = ret_report,
                           .warm_options = options->client,
                           .stage = LOAD_STAGE_WARMING,
                           .next_number = 1};
    /* Whole answers warm a relay up in no time; a held stream would not end. What idle WebSockets
     * leave behind is made by none but WebSockets. */
    run.warm_options.is_stream = false;
    run.warm_options.is_ws = options->client.is_ws && options->mode == LOAD_MODE_IDLE;
    run.warm_options.is_deaf = false;
    run.warm_options.receive_buffer = 0;
    dr_list_init(&run.closed);
    dr_list_init(&run.ready);
    dr_list_init(&run.busy);
    dr_random_seed(&run.random, 1);
    if (!init_clients(&run)) {
        fprintf(stderr, "load: out of memory\n");
        dr_free(run.clients);
        dr_free(run.backlog);
        return false;
    }
    init_timers(&run, load_now_ns());
    load_loop_run(loop);
    for (uint32_t i = 0; i < options->client_count; i++) {
        load_client_close(&run.clients[i]);
    }
    /* The timers die with this frame. */
    loop->timer_count = 0;
    dr_free(run.clients);
    dr_free(run.backlog);
    if (run.stage == LOAD_STAGE_STOPPED) return true;
    fprintf(stderr, "load: ended early\n");
    return false;
}
