/* One table names every metric: what /metrics prints and what docs/metrics.md says come from it.
 * Must not count anything itself, and must not let a client's words become a label. */
#include "admin/metrics.h"

#include "base/instant.h"
#include "gateway/inspect.h"
#include "gateway/refusal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum metric {
    METRIC_BUILD,
    METRIC_START_TIME,
    METRIC_DRAINING,
    METRIC_GENERATION,
    METRIC_KEYS,
    METRIC_SESSIONS,
    METRIC_RESUME_BYTES,
    METRIC_REQUESTS,
    METRIC_DURATION,
    METRIC_FIRST_TOKEN,
    METRIC_TOKENS,
    METRIC_CHARGED,
    METRIC_IN_FLIGHT,
    METRIC_REFUSALS,
    METRIC_REFUSED_EARLY,
    METRIC_ESTIMATED,
    METRIC_SERIES_LOST,
    METRIC_ATTEMPTS_FAILED,
    METRIC_FALLBACKS,
    METRIC_CONNECTIONS_ACCEPTED,
    METRIC_CONNECTIONS,
    METRIC_UPSTREAM_IDLE,
    METRIC_UPSTREAM_BUSY,
    METRIC_UPSTREAM_OPENED,
    METRIC_UPSTREAM_REUSED,
    METRIC_UPSTREAM_STALE,
    METRIC_LOOP_TURNS,
    METRIC_LOOP_BUSY,
    METRIC_LOOP_LAG,
    METRIC_JOURNAL_RECORDS,
    METRIC_JOURNAL_BYTES,
    METRIC_JOURNAL_FAILURES,
    METRIC_JOURNAL_SEGMENTS,
    METRIC_JOURNAL_RESERVED,
    METRIC_JOURNAL_ROOM,
    METRIC_JOURNAL_FULL,
    METRIC_BOOKS_RECORDS,
    METRIC_BOOKS_BATCHES,
    METRIC_BOOKS_FAILURES,
    METRIC_BOOKS_WAITING,
    METRIC_USAGE_LINES_LOST,
    METRIC_MEMORY,
    METRIC_CPU,
    METRIC_COUNT,
};

#define SERIES_LABELS "model, target, transport, status"

static const struct {
    const char *name;
    const char *type;
    const char *labels; /* for the page */
    const char *help;
} rows[METRIC_COUNT] = {
    [METRIC_BUILD] = {"drover_build_info", "gauge", "version", "Always 1; the version is a label."},
    [METRIC_START_TIME] = {"process_start_time_seconds", "gauge", "",
                           "When the gateway started, in seconds since 1970."},
    [METRIC_DRAINING] = {"drover_draining", "gauge", "",
                         "1 while the gateway ends: it takes no new requests."},
    [METRIC_GENERATION] = {"drover_config_generation", "gauge", "",
                           "1 at the start, one more with each reload that succeeded."},
    [METRIC_KEYS] = {"drover_keys", "gauge", "",
                     "API keys that the gateway knows, revoked and expired ones too."},
    [METRIC_SESSIONS] = {"drover_sessions", "gauge", "",
                         "Conversations kept for chat over WebSockets."},
    [METRIC_RESUME_BYTES] = {"drover_resume_bytes", "gauge", "",
                             "Memory of answers under way and kept for coming back; near "
                             "limits.resume_bytes those that ended first are let go."},
    [METRIC_REQUESTS] = {"drover_requests_total", "counter", SERIES_LABELS,
                         "Requests that came to their end after their key was accepted."},
    [METRIC_DURATION] = {"drover_request_duration_seconds", "histogram", SERIES_LABELS,
                         "From a request's arrival to the end of its answer."},
    [METRIC_FIRST_TOKEN] = {"drover_time_to_first_token_seconds", "histogram", SERIES_LABELS,
                            "From a request's arrival to the first token that left for the "
                            "client."},
    [METRIC_TOKENS] = {"drover_tokens_total", "counter", SERIES_LABELS ", kind",
                       "Tokens charged; kind is prompt or completion."},
    [METRIC_CHARGED] = {"drover_charged_usd_total", "counter", SERIES_LABELS,
                        "What was charged to accounts, in dollars."},
    [METRIC_IN_FLIGHT] = {"drover_requests_in_flight", "gauge", "transport",
                          "Requests that are being answered now; sse are open streams."},
    [METRIC_REFUSALS] = {"drover_refusals_total", "counter", "code",
                         "Requests that got an error instead of an answer, by its code."},
    [METRIC_REFUSED_EARLY] = {"drover_refused_before_key_total", "counter", "",
                              "Of these, requests refused before a key was accepted. They leave "
                              "no receipt."},
    [METRIC_ESTIMATED] = {"drover_usage_estimated_total", "counter", "",
                          "Answers whose provider reported no usage, so that it was estimated."},
    [METRIC_SERIES_LOST] = {"drover_series_lost_total", "counter", "",
                            "Requests not counted by model because a worker had 4096 series."},
    [METRIC_ATTEMPTS_FAILED] = {"drover_upstream_attempts_failed_total", "counter", "",
                                "Attempts at a target that failed, also where another answered."},
    [METRIC_FALLBACKS] = {"drover_upstream_fallbacks_total", "counter", "",
                          "Times a request went on to the model's next target."},
    [METRIC_CONNECTIONS_ACCEPTED] = {"drover_connections_accepted_total", "counter", "",
                                     "Connections accepted from clients."},
    [METRIC_CONNECTIONS] = {"drover_connections", "gauge", "worker",
                            "Connections of clients that are open."},
    [METRIC_UPSTREAM_IDLE] = {"drover_upstream_connections_idle", "gauge", "worker",
                              "Connections to providers kept for the next request."},
    [METRIC_UPSTREAM_BUSY] = {"drover_upstream_connections_busy", "gauge", "worker",
                              "Requests to providers that are under way."},
    [METRIC_UPSTREAM_OPENED] = {"drover_upstream_connections_opened_total", "counter", "worker",
                                "Connections opened to providers."},
    [METRIC_UPSTREAM_REUSED] = {"drover_upstream_connections_reused_total", "counter", "worker",
                                "Requests that found a kept connection to their provider."},
    [METRIC_UPSTREAM_STALE] = {"drover_upstream_stale_retries_total", "counter", "worker",
                               "Kept connections that the provider had closed; the request went "
                               "out again on a fresh one."},
    [METRIC_LOOP_TURNS] = {"drover_loop_turns_total", "counter", "worker",
                           "Turns of the event loop."},
    [METRIC_LOOP_BUSY] = {"drover_loop_busy_seconds_total", "counter", "worker",
                          "Time the event loop was busy, not waiting."},
    [METRIC_LOOP_LAG] = {"drover_loop_lag_seconds", "gauge", "worker",
                         "The longest turn since the last look at the gateway: so long an event "
                         "may have waited."},
    [METRIC_JOURNAL_RECORDS] = {"drover_journal_records_total", "counter", "worker",
                                "Charges written to the journal."},
    [METRIC_JOURNAL_BYTES] = {"drover_journal_bytes_total", "counter", "worker",
                              "Bytes written to the journal."},
    [METRIC_JOURNAL_FAILURES] = {"drover_journal_failures_total", "counter", "worker",
                                 "Charges that the disk did not take."},
    [METRIC_JOURNAL_SEGMENTS] = {"drover_journal_segments", "gauge", "worker",
                                 "Files of the journal in use."},
    [METRIC_JOURNAL_RESERVED] = {"drover_journal_reserved_records", "gauge", "worker",
                                 "Records that running requests may still write; their space is "
                                 "reserved."},
    [METRIC_JOURNAL_ROOM] = {"drover_journal_room_records", "gauge", "worker",
                             "Further records that fit without more space from the disk."},
    [METRIC_JOURNAL_FULL] = {"drover_journal_full", "gauge", "worker",
                             "1 while the disk has no room: requests get storage_full."},
    [METRIC_BOOKS_RECORDS] = {"drover_bookkeeper_records_total", "counter", "",
                              "Journal records brought into the store since the start."},
    [METRIC_BOOKS_BATCHES] = {"drover_bookkeeper_batches_total", "counter", "",
                              "Transactions that brought them."},
    [METRIC_BOOKS_FAILURES] = {"drover_bookkeeper_failures_total", "counter", "",
                               "Transactions that failed and are tried again."},
    [METRIC_BOOKS_WAITING] = {"drover_bookkeeper_waiting_bytes", "gauge", "",
                              "Bytes of journals that are not yet in the store."},
    [METRIC_USAGE_LINES_LOST] = {"drover_usage_lines_lost_total", "counter", "",
                                 "Lines that could not be written to the usage log; the store has "
                                 "them."},
    [METRIC_MEMORY] = {"process_resident_memory_bytes", "gauge", "",
                       "Memory that the process holds."},
    [METRIC_CPU] = {"process_cpu_seconds_total", "counter", "",
                    "Processor time of the process, user and system."},
};

/* --- samples ------------------------------------------------------------------------------- */

static void begin(struct dr_buf *buf, enum metric metric) {
    dr_buf_format(buf, "# HELP %s %s\n# TYPE %s %s\n", rows[metric].name, rows[metric].help,
                  rows[metric].name, rows[metric].type);
}

static void put_seconds(struct dr_buf *buf, uint64_t us) {
    dr_buf_format(buf, "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);
}

/* A label's text is compared as text: "0.5", not "0.500000". */
static void put_bound(struct dr_buf *buf, uint64_t us) {
    char text[40];
    int len = snprintf(text, sizeof text, "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);
    while (text[len - 1] == '0') len--;
    if (text[len - 1] == '.') len--;
    dr_buf_put(buf, dr_slice_of(text, (size_t)len));
}

static void put_single(struct dr_buf *buf, enum metric metric, uint64_t value) {
    begin(buf, metric);
    dr_buf_format(buf, "%s %" PRIu64 "\n", rows[metric].name, value);
}

static void put_single_seconds(struct dr_buf *buf, enum metric metric, uint64_t us) {
    begin(buf, metric);
    dr_buf_format(buf, "%s ", rows[metric].name);
    put_seconds(buf, us);
    dr_buf_put_char(buf, '\n');
}

/* Quoted; backslash, quote and line feed are escaped, as the format asks. */
static void put_label(struct dr_buf *buf, const char *name, dr_slice value) {
    dr_buf_format(buf, "%s=\"", name);
    for (size_t i = 0; i < value.len; i++) {
        switch (value.data[i]) {
        case '\\': dr_buf_put(buf, DR_LIT("\\\\")); break;
        case '"': dr_buf_put(buf, DR_LIT("\\\"")); break;
        case '\n': dr_buf_put(buf, DR_LIT("\\n")); break;
        default: dr_buf_put_char(buf, value.data[i]); break;
        }
    }
    dr_buf_put_char(buf, '"');
}

/* `name_suffix{model="…",…`, without the closing brace. */
static void put_series_name(struct dr_buf *buf, enum metric metric, const char *suffix,
                            const struct series_key *key) {
    dr_buf_format(buf, "%s%s{", rows[metric].name, suffix);
    put_label(buf, "model", key->model);
    dr_buf_put_char(buf, ',');
    put_label(buf, "target", key->target);
    dr_buf_format(buf, ",transport=\"%s\",status=\"%u\"", transport_name(key->transport),
                  key->status);
}

/* --- requests ------------------------------------------------------------------------------ */

static void put_histogram(struct dr_buf *buf, enum metric metric, const struct series_key *key,
                          const struct histogram *histogram) {
    uint64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += histogram->counts[i];
        put_series_name(buf, metric, "_bucket", key);
        dr_buf_put(buf, DR_LIT(",le=\""));
        if (i == HISTOGRAM_BUCKETS - 1) {
            dr_buf_put(buf, DR_LIT("+Inf"));
        } else {
            put_bound(buf, (uint64_t)histogram_bounds_us[i]);
        }
        dr_buf_format(buf, "\"} %" PRIu64 "\n", count);
    }
    put_series_name(buf, metric, "_sum", key);
    dr_buf_put(buf, DR_LIT("} "));
    put_seconds(buf, histogram->sum_us);
    dr_buf_put_char(buf, '\n');
    put_series_name(buf, metric, "_count", key);
    dr_buf_format(buf, "} %" PRIu64 "\n", count);
}

static bool is_empty(const struct histogram *histogram) {
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (histogram->counts[i] > 0) return false;
    }
    return true;
}

static void put_series_value(struct dr_buf *buf, enum metric metric, const struct series *series) {
    put_series_name(buf, metric, "", &series->key);
    if (metric == METRIC_REQUESTS) {
        dr_buf_format(buf, "} %" PRIu64 "\n", series->requests);
        return;
    }
    if (metric == METRIC_CHARGED) {
        dr_buf_put(buf, DR_LIT("} "));
        money_put(buf, (money){series->cost_nanousd});
        dr_buf_put_char(buf, '\n');
        return;
    }
    dr_buf_format(buf, ",kind=\"prompt\"} %" PRIu64 "\n", series->prompt_tokens);
    put_series_name(buf, metric, "", &series->key);
    dr_buf_format(buf, ",kind=\"completion\"} %" PRIu64 "\n", series->completion_tokens);
}

/* All samples of one metric stand together, as the format asks: one walk for each. */
static void put_requests(struct dr_buf *buf, const struct counters *counters) {
    static const enum metric metrics[] = {METRIC_REQUESTS, METRIC_DURATION, METRIC_FIRST_TOKEN,
                                          METRIC_TOKENS, METRIC_CHARGED};
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        size_t cursor = 0;
        begin(buf, metrics[i]);
        for (;;) {
            const struct series *series = dr_map_next(&counters->by_key, &cursor);
            if (!series) break;
            if (metrics[i] == METRIC_DURATION) {
                put_histogram(buf, metrics[i], &series->key, &series->duration);
            } else if (metrics[i] != METRIC_FIRST_TOKEN) {
                put_series_value(buf, metrics[i], series);
            } else if (!is_empty(&series->first_token)) {
                put_histogram(buf, metrics[i], &series->key, &series->first_token);
            }
        }
    }
}

static void put_in_flight(struct dr_buf *buf, const struct counters *counters) {
    begin(buf, METRIC_IN_FLIGHT);
    for (size_t i = 0; i < TRANSPORT_COUNT; i++) {
        dr_buf_format(buf, "%s{transport=\"%s\"} %" PRIu64 "\n", rows[METRIC_IN_FLIGHT].name,
                      transport_name((enum transport)i), counters->in_flight[i]);
    }
}

/* Several reasons may share a code. */
static void put_refusals(struct dr_buf *buf, const struct counters *counters) {
    begin(buf, METRIC_REFUSALS);
    for (size_t i = 0; i < REFUSAL_REASON_COUNT; i++) {
        const dr_slice code = refusal_of((enum refusal_reason)i).code;
        uint64_t count = 0;
        size_t first = REFUSAL_REASON_COUNT;
        for (size_t j = REFUSAL_REASON_COUNT; j-- > 0;) {
            if (!dr_slice_is(refusal_of((enum refusal_reason)j).code, code)) continue;
            count += counters->refusals[j];
            first = j;
        }
        if (first != i) continue;
        dr_buf_format(buf, "%s{", rows[METRIC_REFUSALS].name);
        put_label(buf, "code", code);
        dr_buf_format(buf, "} %" PRIu64 "\n", count);
    }
}

/* --- workers ------------------------------------------------------------------------------- */

struct worker_value {
    uint64_t value;
    bool is_time; /* microseconds, shown as seconds */
};

static struct worker_value worker_value(enum metric metric, const struct inspection_worker *seen) {
    const struct dr_http_pool_stats *pool = &seen->pool;
    const struct journal_stats *journal = &seen->journal;
    if (metric == METRIC_CONNECTIONS) return (struct worker_value){seen->connections, false};
    if (metric == METRIC_UPSTREAM_IDLE) {
        return (struct worker_value){pool->connections_idle, false};
    }
    if (metric == METRIC_UPSTREAM_BUSY) return (struct worker_value){pool->asks_running, false};
    if (metric == METRIC_UPSTREAM_OPENED) {
        return (struct worker_value){pool->connections_opened, false};
    }
    if (metric == METRIC_UPSTREAM_REUSED) {
        return (struct worker_value){pool->connections_reused, false};
    }
    if (metric == METRIC_UPSTREAM_STALE) return (struct worker_value){pool->stale_retries, false};
    if (metric == METRIC_LOOP_TURNS) return (struct worker_value){seen->loop.turns, false};
    if (metric == METRIC_LOOP_BUSY) return (struct worker_value){seen->loop.busy_us, true};
    if (metric == METRIC_LOOP_LAG) return (struct worker_value){seen->loop.busy_us_max, true};
    if (metric == METRIC_JOURNAL_RECORDS) return (struct worker_value){journal->records, false};
    if (metric == METRIC_JOURNAL_BYTES) return (struct worker_value){journal->bytes, false};
    if (metric == METRIC_JOURNAL_FAILURES) return (struct worker_value){journal->failures, false};
    if (metric == METRIC_JOURNAL_SEGMENTS) return (struct worker_value){journal->segments, false};
    if (metric == METRIC_JOURNAL_RESERVED) return (struct worker_value){journal->reserved, false};
    if (metric == METRIC_JOURNAL_ROOM) return (struct worker_value){journal->room, false};
    return (struct worker_value){journal->is_full, false};
}

static void put_workers(struct dr_buf *buf, const struct inspection *inspection) {
    for (enum metric metric = METRIC_CONNECTIONS; metric <= METRIC_JOURNAL_FULL; metric++) {
        begin(buf, metric);
        for (size_t i = 0; i < inspection->worker_count; i++) {
            const struct worker_value value = worker_value(metric, &inspection->workers[i]);
            dr_buf_format(buf, "%s{worker=\"%zu\"} ", rows[metric].name, i);
            if (value.is_time) {
                put_seconds(buf, value.value);
            } else {
                dr_buf_put_u64(buf, value.value);
            }
            dr_buf_put_char(buf, '\n');
        }
    }
}

/* --- the process --------------------------------------------------------------------------- */

/* 0 where the system does not tell. */
static uint64_t resident_bytes(void) {
    char text[128];
    const int descriptor = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return 0;
    const ssize_t len = read(descriptor, text, sizeof text);
    close(descriptor);
    if (len <= 0) return 0;
    dr_slice rest = dr_slice_of(text, (size_t)len);
    uint64_t pages = 0;
    (void)dr_slice_split(&rest, ' ');
    if (!dr_slice_to_u64(dr_slice_split(&rest, ' '), &pages)) return 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t cpu_us(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

void metrics_put(struct dr_buf *buf, const struct inspection *inspection) {
    const struct counters *counters = &inspection->counters;
    const struct bookkeeper_stats *books = &inspection->bookkeeper;
    const int64_t started_ms = dr_wall_now().ms - inspection->uptime_ms;

    begin(buf, METRIC_BUILD);
    dr_buf_format(buf, "%s{version=\"%s\"} 1\n", rows[METRIC_BUILD].name, DROVER_VERSION);
    put_single_seconds(buf, METRIC_START_TIME, (uint64_t)started_ms * 1000);
    put_single(buf, METRIC_DRAINING, inspection->is_draining);
    put_single(buf, METRIC_GENERATION, inspection->generation);
    put_single(buf, METRIC_KEYS, inspection->key_count);
    put_single(buf, METRIC_SESSIONS, inspection->session_count);
    put_single(buf, METRIC_RESUME_BYTES, inspection->resume_bytes);
    put_requests(buf, counters);
    put_in_flight(buf, counters);
    put_refusals(buf, counters);
    put_single(buf, METRIC_REFUSED_EARLY, counters->refused_early);
    put_single(buf, METRIC_ESTIMATED, counters->estimated);
    put_single(buf, METRIC_SERIES_LOST, counters->series_lost);
    put_single(buf, METRIC_ATTEMPTS_FAILED, counters->attempts_failed);
    put_single(buf, METRIC_FALLBACKS, counters->fallbacks);
    put_single(buf, METRIC_CONNECTIONS_ACCEPTED, counters->connections);
    put_workers(buf, inspection);
    put_single(buf, METRIC_BOOKS_RECORDS, books->records);
    put_single(buf, METRIC_BOOKS_BATCHES, books->batches);
    put_single(buf, METRIC_BOOKS_FAILURES, books->failures);
    put_single(buf, METRIC_BOOKS_WAITING, books->waiting_bytes);
    put_single(buf, METRIC_USAGE_LINES_LOST, books->usage_lines_lost);
    put_single(buf, METRIC_MEMORY, resident_bytes());
    put_single_seconds(buf, METRIC_CPU, cpu_us());
}

/* --- the page ------------------------------------------------------------------------------ */

void metrics_put_markdown(struct dr_buf *buf) {
    dr_buf_put(
        buf,
        DR_LIT("# Metrics\n"
               "\n"
               "`GET /metrics` on the admin listener (`admin.listen`, default `127.0.0.1:8081`) "
               "answers in\nPrometheus' text format and needs no key. It is not served on the "
               "public listener.\n"
               "\n"
               "```yaml\n"
               "scrape_configs:\n"
               "  - job_name: drover\n"
               "    static_configs: [{targets: [\"127.0.0.1:8081\"]}]\n"
               "```\n"
               "\n"
               "Each worker counts for itself without locks; a look at `/metrics` asks them one "
               "after the other\nand adds up. Labels are names from the configuration (a family "
               "like `sim:*` by that name) and\nclosed sets: `transport` is `http`, `sse` or "
               "`ws`, `status` the HTTP status as the client saw it,\n`code` one of the codes of "
               "our errors. `model` and `target` are empty where none was found or\nnobody "
               "answered. A worker keeps at most 4096 series. Numbers of workers begin anew when "
               "the\ngateway starts.\n"
               "\n"
               "| metric | type | labels | what it counts |\n"
               "| --- | --- | --- | --- |\n"));
    for (size_t i = 0; i < METRIC_COUNT; i++) {
        dr_buf_format(buf, "| `%s` | %s | %s | %s |\n", rows[i].name, rows[i].type, rows[i].labels,
                      rows[i].help);
    }
    dr_buf_put(
        buf,
        DR_LIT("\n"
               "The histograms' buckets end at 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250 and 500 "
               "milliseconds and 1,\n2.5, 10, 60 and 300 seconds.\n"
               "\n"
               "## Worth an alarm\n"
               "\n"
               "| condition | what it means |\n"
               "| --- | --- |\n"
               "| `max(drover_journal_full) > 0` | The disk is full: new requests get 503 "
               "`storage_full`. Free space. |\n"
               "| `increase(drover_journal_failures_total[5m]) > 0` | The disk refused charges; "
               "their answers ended with an error. |\n"
               "| `drover_bookkeeper_waiting_bytes > 1e8` | The store can't keep up, or fails: "
               "see `drover_bookkeeper_failures_total` and the log. Nothing is lost while the "
               "journal has room. |\n"
               "| `max(drover_loop_lag_seconds) > 0.25` | A worker was busy so long in one turn: "
               "too few cores. |\n"
               "| `rate(drover_upstream_attempts_failed_total[5m]) > 1` | A provider fails; "
               "`drover_requests_total` by `target` and `status` tells which. |\n"
               "| `rate(drover_refusals_total{code=\"internal_error\"}[5m]) > 0` | Our fault: the "
               "log has the request ids. |\n"));
}
