/* The load generator: one process that plays the clients of a relay and, on request, the provider
 * behind it, checks every byte on its way through and measures what the relay costs. Must not link
 * the relay's own network code: it has to be a witness, and much cheaper. */
#include "load_run.h"

#include "base/alloc.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

struct settings {
    bool is_serving; /* the provider alone, until the process is ended */
    bool wants_json;
    bool speaks_anthropic;
    const char *key;
    const char *model;
    struct load_provider_options provider;
    struct load_run_options run;
};

static const char help[] =
    "usage: load MODE --target PORT [--provider PORT] [OPTION...]\n"
    "       load serve --provider PORT [--events N] [--spacing-ms N] [--gather N]\n\n"
    "modes\n"
    "  loop    each client asks again as soon as it has its answer\n"
    "  rate    requests come at --rate, whatever happened to those before\n"
    "  idle    one request on each connection, then silence: memory\n"
    "  hold    streams that stay open: memory\n"
    "  slow    streams whose clients do not read, or --read-bytes a second: memory\n"
    "  serve   only the provider\n\n"
    "options\n"
    "  --target PORT        the relay, on 127.0.0.1\n"
    "  --provider PORT      play the provider on this port, too\n"
    "  --trust              a provider of another kind: check only framing and the end\n"
    "  --dialect NAME       of the provider's streams: openai, anthropic (openai)\n"
    "  --key KEY            bearer key (default bench)\n"
    "  --model NAME         (default bench)\n"
    "  --stream             ask for streams\n"
    "  --resumable          with --stream: streams that can be resumed\n"
    "  --ws                 streams over WebSockets, an ask after the other on each\n"
    "  --events N           of each stream (64)\n"
    "  --spacing-ms N       between two events, may be a fraction; 0: a burst (0)\n"
    "  --gather N           events in one write of the provider, at most 64 (1)\n"
    "  --connections N      clients (64); with rate: at most\n"
    "  --rate N             requests a second (2000)\n"
    "  --ramp-ms N          clients come spread over this time (100)\n"
    "  --settle-ms N        wait before the window (200)\n"
    "  --seconds N          the window, may be a fraction (2)\n"
    "  --read-bytes N       slow: read so many a second (0)\n"
    "  --receive-buffer N   SO_RCVBUF of the clients (the system's)\n"
    "  --watch PID          a process to charge, repeatable\n"
    "  --leaving            look at the memory after all clients are gone, too\n"
    "  --json               one JSON object instead of text\n";

enum option_letter {
    OPTION_TARGET = 256,
    OPTION_PROVIDER,
    OPTION_TRUST,
    OPTION_DIALECT,
    OPTION_KEY,
    OPTION_MODEL,
    OPTION_STREAM,
    OPTION_RESUMABLE,
    OPTION_WS,
    OPTION_EVENTS,
    OPTION_SPACING,
    OPTION_GATHER,
    OPTION_CONNECTIONS,
    OPTION_RATE,
    OPTION_RAMP,
    OPTION_SETTLE,
    OPTION_SECONDS,
    OPTION_READ_BYTES,
    OPTION_RECEIVE_BUFFER,
    OPTION_WATCH,
    OPTION_LEAVING,
    OPTION_JSON,
    OPTION_HELP,
};

static const struct option options[] = {
    {"target", required_argument, NULL, OPTION_TARGET},
    {"provider", required_argument, NULL, OPTION_PROVIDER},
    {"trust", no_argument, NULL, OPTION_TRUST},
    {"dialect", required_argument, NULL, OPTION_DIALECT},
    {"key", required_argument, NULL, OPTION_KEY},
    {"model", required_argument, NULL, OPTION_MODEL},
    {"stream", no_argument, NULL, OPTION_STREAM},
    {"resumable", no_argument, NULL, OPTION_RESUMABLE},
    {"ws", no_argument, NULL, OPTION_WS},
    {"events", required_argument, NULL, OPTION_EVENTS},
    {"spacing-ms", required_argument, NULL, OPTION_SPACING},
    {"gather", required_argument, NULL, OPTION_GATHER},
    {"connections", required_argument, NULL, OPTION_CONNECTIONS},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"ramp-ms", required_argument, NULL, OPTION_RAMP},
    {"settle-ms", required_argument, NULL, OPTION_SETTLE},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"read-bytes", required_argument, NULL, OPTION_READ_BYTES},
    {"receive-buffer", required_argument, NULL, OPTION_RECEIVE_BUFFER},
    {"watch", required_argument, NULL, OPTION_WATCH},
    {"leaving", no_argument, NULL, OPTION_LEAVING},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

/* --- options -------------------------------------------------------------------------------- */

static bool read_number(const char *text, double max, double *ret) {
    char *end = NULL;
    const double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0) || value > max) {
        fprintf(stderr, "load: '%s' is not a number up to %.0f\n", text, max);
        return false;
    }
    *ret = value;
    return true;
}

/* The options that are numbers. */
static bool take_number(struct settings *settings, int letter, double value) {
    struct load_run_options *run = &settings->run;
    switch (letter) {
    case OPTION_TARGET: run->client.target.sin_port = htons((uint16_t)value); break;
    case OPTION_PROVIDER: settings->provider.port = (uint16_t)value; break;
    case OPTION_EVENTS: settings->provider.event_count = (uint32_t)value; break;
    case OPTION_SPACING: settings->provider.spacing_ns = (int64_t)(value * 1e6); break;
    case OPTION_GATHER: settings->provider.gather = (uint32_t)value; break;
    case OPTION_CONNECTIONS: run->client_count = (uint32_t)value; break;
    case OPTION_RATE: run->rate = value; break;
    case OPTION_RAMP: run->ramp_ns = (int64_t)(value * 1e6); break;
    case OPTION_SETTLE: run->settle_ns = (int64_t)(value * 1e6); break;
    case OPTION_SECONDS: run->window_ns = (int64_t)(value * 1e9); break;
    case OPTION_READ_BYTES: run->slow_bytes = (uint32_t)value; break;
    case OPTION_RECEIVE_BUFFER: run->client.receive_buffer = (int)value; break;
    case OPTION_WATCH:
        if (run->watch.count == LOAD_WATCH_MAX) return false;
        run->watch.processes[run->watch.count++] = (pid_t)value;
        break;
    default: return false;
    }
    return true;
}

static bool take_dialect(struct settings *settings, const char *name) {
    settings->speaks_anthropic = strcmp(name, "anthropic") == 0;
    return settings->speaks_anthropic || strcmp(name, "openai") == 0;
}

static bool take_option(struct settings *settings, int letter) {
    double value = 0;
    switch (letter) {
    case OPTION_TRUST: settings->run.client.is_trusting = true; return true;
    case OPTION_DIALECT: return take_dialect(settings, optarg);
    case OPTION_KEY: settings->key = optarg; return true;
    case OPTION_MODEL: settings->model = optarg; return true;
    case OPTION_STREAM: settings->run.client.is_stream = true; return true;
    case OPTION_RESUMABLE: settings->run.client.is_resumable = true; return true;
    case OPTION_WS: settings->run.client.is_ws = true; return true;
    case OPTION_LEAVING: settings->run.wants_leaving = true; return true;
    case OPTION_JSON: settings->wants_json = true; return true;
    case OPTION_HELP: fputs(help, stdout); exit(EXIT_SUCCESS);
    case '?': return false;
    default: return read_number(optarg, 1e9, &value) && take_number(settings, letter, value);
    }
}

static bool read_mode(struct settings *settings, const char *text) {
    static const struct {
        const char *name;
        enum load_mode mode;
        bool is_stream;
        bool is_deaf;
    } modes[] = {
        {"loop", LOAD_MODE_LOOP, false, false}, {"rate", LOAD_MODE_RATE, false, false},
        {"idle", LOAD_MODE_IDLE, false, false}, {"hold", LOAD_MODE_HOLD, true, false},
        {"slow", LOAD_MODE_SLOW, true, true},
    };
    settings->is_serving = strcmp(text, "serve") == 0;
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(text, modes[i].name) != 0) continue;
        settings->run.mode = modes[i].mode;
        settings->run.client.is_stream = modes[i].is_stream;
        settings->run.client.is_deaf = modes[i].is_deaf;
        return true;
    }
    return settings->is_serving;
}

static bool read_settings(struct settings *settings, int argument_count, char **arguments) {
    *settings = (struct settings){
        .key = "bench",
        .model = "bench",
        .provider = {.event_count = 64, .gather = 1},
        .run = {.client_count = 64,
                .ramp_ns = 100000000,
                .settle_ns = 200000000,
                .window_ns = 2000000000,
                .rate = 2000,
                .client = {.target = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}}},
    };
    if (argument_count < 2) return false;
    if (strcmp(arguments[1], "--help") != 0 && !read_mode(settings, arguments[1])) return false;
    int letter;
    optind = strcmp(arguments[1], "--help") == 0 ? 1 : 2;
    while ((letter = getopt_long(argument_count, arguments, "", options, NULL)) != -1) {
        if (!take_option(settings, letter)) return false;
    }
    const struct load_client_options *client = &settings->run.client;
    if (settings->speaks_anthropic && !settings->is_serving &&
        (!client->is_stream || client->is_ws || client->is_trusting)) {
        fputs("load: --dialect anthropic is for --stream alone\n", stderr);
        return false;
    }
    settings->run.client.event_count = settings->provider.event_count;
    return optind == argument_count && settings->run.client_count > 0 &&
           settings->provider.event_count > 0 && settings->run.rate > 0 &&
           (settings->is_serving ? settings->provider.port > 0
                                 : settings->run.client.target.sin_port != 0);
}

/* --- the report ----------------------------------------------------------------------------- */

static void print_quantiles(const char *name, const struct load_histogram *histogram) {
    printf("\"%s\":{\"count\":%" PRIu64 ",\"p50\":%.1f,\"p99\":%.1f,\"p999\":%.1f,\"max\":%.1f},",
           name, histogram->count, load_histogram_us(histogram, 0.5),
           load_histogram_us(histogram, 0.99), load_histogram_us(histogram, 0.999),
           (double)histogram->max_ns / 1000.0);
}

static void print_escaped(const char *text) {
    putchar('"');
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            printf("\\%c", *text);
        else if ((unsigned char)*text < 0x20 || (unsigned char)*text > 0x7e)
            printf("\\u%04x", (unsigned char)*text);
        else
            putchar(*text);
    }
    putchar('"');
}

static void print_memory(const char *name, const struct load_memory *memory) {
    printf("\"%s\":{\"rss_kib\":%" PRIu64 ",\"anonymous_kib\":%" PRIu64 "},", name, memory->rss_kib,
           memory->anonymous_kib);
}

static void print_json(const struct load_tally *tally, const struct load_report *report,
                       const struct load_provider *provider) {
    printf("{\"seconds\":%.3f,\"answers\":%" PRIu64 ",\"events\":%" PRIu64 ",\"bytes\":%" PRIu64
           ",\"answers_ever\":%" PRIu64 ",\"unfinished\":%" PRIu64 ",\"backlog_max\":%" PRIu64 ",",
           report->window_s, tally->answers, tally->events, tally->bytes, tally->answers_ever,
           report->unfinished, report->backlog_max);
    printf("\"cpu_us\":%.0f,\"user_us\":%.0f,\"system_us\":%.0f,", report->cost.cpu_us,
           report->cost.user_us, report->cost.system_us);
    printf("\"load_cpu_us\":%.0f,\"machine_us\":%.0f,", report->own_cost.cpu_us,
           report->machine_us);
    print_quantiles("latency_us", &tally->latency);
    print_quantiles("first_event_us", &tally->first_event);
    print_quantiles("lateness_us", &tally->lateness);
    print_quantiles("relayed_us", &tally->relayed);
    print_memory("before", &report->before);
    print_memory("during", &report->during);
    print_memory("after", &report->after);
    printf("\"rss_kib\":[");
    for (size_t i = 0; i < report->rss_count; i++) {
        printf("%s%" PRIu64, i > 0 ? "," : "", report->rss_kib[i]);
    }
    printf("],\"provider\":{\"connections\":%" PRIu64 ",\"events\":%" PRIu64 ",\"refused\":%" PRIu64
           ",\"abandoned\":%" PRIu64 "},\"faults\":{",
           provider->connection_count, provider->event_count, provider->refused,
           provider->abandoned);
    for (size_t i = 0; i < LOAD_FAULT_COUNT; i++) {
        printf("%s\"%s\":%" PRIu64, i > 0 ? "," : "", load_fault_names[i], tally->faults[i]);
    }
    printf("},\"first_fault\":");
    print_escaped(tally->first_fault);
    printf("}\n");
}

static void print_line(const char *name, const struct load_histogram *histogram) {
    if (histogram->count == 0) return;
    printf("%-12s p50 %.0f us, p99 %.0f us, p99.9 %.0f us, max %.0f us\n", name,
           load_histogram_us(histogram, 0.5), load_histogram_us(histogram, 0.99),
           load_histogram_us(histogram, 0.999), (double)histogram->max_ns / 1000.0);
}

static void print_text(const struct load_tally *tally, const struct load_report *report,
                       const struct load_run_options *run) {
    const double answers = tally->answers > 0 ? (double)tally->answers : 1;
    const double events = tally->events > 0 ? (double)tally->events : 1;
    const uint64_t count = run->client_count;
    printf("%.2f s: %" PRIu64 " answers (%.0f/s), %" PRIu64 " events (%.0f/s)\n", report->window_s,
           tally->answers, (double)tally->answers / report->window_s, tally->events,
           (double)tally->events / report->window_s);
    print_line("latency", &tally->latency);
    print_line("first event", &tally->first_event);
    print_line("lateness", &tally->lateness);
    print_line("relayed in", &tally->relayed);
    if (run->watch.count > 0) {
        printf("watched      %.2f us per answer (user %.2f, system %.2f), %.2f us per event, "
               "%.0f %% of a core\n",
               report->cost.cpu_us / answers, report->cost.user_us / answers,
               report->cost.system_us / answers, report->cost.cpu_us / events,
               report->cost.cpu_us / report->window_s / 1e4);
    }
    if (run->watch.count > 0 && report->during.rss_kib > 0) {
        const int64_t grown =
            (int64_t)(report->during.anonymous_kib - report->before.anonymous_kib);
        printf("memory       RSS %" PRIu64 " KiB before, %" PRIu64 " during, %" PRIu64
               " after; %.0f private bytes per client\n",
               report->before.rss_kib, report->during.rss_kib, report->after.rss_kib,
               (double)grown * 1024.0 / (double)count);
    }
    printf("other work   %.0f %% of a core\n",
           (report->machine_us - report->cost.cpu_us - report->own_cost.cpu_us) / report->window_s /
               1e4);
    printf("load         %.0f %% of a core, %" PRIu64 " unfinished, at most %" PRIu64 " waited\n",
           report->own_cost.cpu_us / report->window_s / 1e4, report->unfinished,
           report->backlog_max);
    for (size_t i = 0; i < LOAD_FAULT_COUNT; i++) {
        if (tally->faults[i] == 0) continue;
        printf("faults       %s: %" PRIu64 "\n", load_fault_names[i], tally->faults[i]);
    }
    if (tally->first_fault[0] != '\0') printf("first fault  %s\n", tally->first_fault);
}

/* --- the whole ------------------------------------------------------------------------------ */

static bool run_all(const struct settings *settings, struct load_wire *wire,
                    struct load_tally *tally) {
    struct load_loop loop;
    struct load_provider provider = {.listener = {.fd = -1}};
    struct load_report report = {.window_s = 0};
    bool is_good;
    if (!load_loop_init(&loop)) return false;
    dr_list_init(&provider.streams);
    dr_list_init(&provider.idle);
    is_good = settings->provider.port == 0 ||
              load_provider_init(&provider, &loop, wire, &settings->provider);
    if (is_good && settings->is_serving) load_loop_run(&loop);
    struct load_run_options run = settings->run;
    if (settings->provider.port > 0) run.progress = &provider.event_count;
    if (is_good) is_good = load_run(&loop, wire, &run, tally, &report);
    if (is_good && settings->wants_json)
        print_json(tally, &report, &provider);
    else if (is_good)
        print_text(tally, &report, &settings->run);
    else if (tally->first_fault[0] != '\0')
        fprintf(stderr, "load: %s\n", tally->first_fault);
    load_provider_clear(&provider);
    load_loop_clear(&loop);
    return is_good;
}

int main(int argument_count, char **arguments) {
    struct settings settings;
    if (!read_settings(&settings, argument_count, arguments)) {
        fputs(help, stderr);
        return 2;
    }
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    struct load_wire *wire = dr_alloc_zero(1, sizeof(*wire));
    struct load_tally *tally = dr_alloc_zero(1, sizeof(*tally));
    bool is_good = false;
    if (wire && tally) {
        load_wire_init(wire, settings.key, settings.model, settings.speaks_anthropic);
        is_good = run_all(&settings, wire, tally);
    }
    dr_free(wire);
    dr_free(tally);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}
