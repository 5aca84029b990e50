/* The option table and what reads and checks by it. Must not touch the network or open any
 * file but the one it reads, and must not put a value into an error: it may be a secret. */
#include "gateway/config.h"

#include "base/alloc.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/secret.h"
#include "gateway/config_option.h"
#include "gateway/config_yaml.h"
#include "net/url.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>

enum { ARENA_BYTES_MAX = 16 * 1024 * 1024, ERROR_VALUE_BYTES = 80, WORKERS_MAX = 256 };

static_assert(sizeof(size_t) == sizeof(uint64_t), "sizes are read as 64 bits");

#define AT(field) offsetof(struct config, field)
#define IN_PROVIDER(field) offsetof(struct provider, field)
#define IN_TARGET(field) offsetof(struct target, field)
const struct option config_options[] = {
    {"listen", OPTION_ADDRESS, OPTION_AT_START, "127.0.0.1:8080", 0, 0, AT(listen),
     "Where applications connect."},
    {"workers", OPTION_WORKERS, OPTION_AT_START, "auto", 1, WORKERS_MAX, AT(workers),
     "Threads that serve; `auto` is one per processor this process may use."},
    {"data", OPTION_PATH, OPTION_AT_START, "drover-data", 0, 0, AT(data),
     "Folder of the journal, the ledger and the database; one gateway at a time."},
    {"store", OPTION_STORE, OPTION_AT_START, "sqlite", 0, 0, 0,
     "Where accounts and usage are kept: `sqlite`."},
    {"resume_seconds", OPTION_SECONDS, 0, "60", 0, 86400, AT(resume_ms),
     "How long an interrupted chat can be resumed."},
    {"drain_seconds", OPTION_SECONDS, 0, "30", 0, 86400, AT(drain_ms),
     "How long running requests may go on after a stop was asked for."},
    {"tls.cert", OPTION_PATH, 0, NULL, 0, 0, AT(tls_cert),
     "Certificate chain in PEM; with it https is served."},
    {"tls.key", OPTION_PATH, 0, NULL, 0, 0, AT(tls_key), "The certificate's private key in PEM."},
    {"admin.listen", OPTION_ADDRESS, OPTION_AT_START, "127.0.0.1:8081", 0, 0, AT(admin_listen),
     "Where the admin API, health and metrics are served."},
    {"admin.key", OPTION_TEXT, 0, NULL, 0, 4096, AT(admin_key),
     "Secret of the admin API; without it only health and metrics answer."},
    {"timeouts.connect", OPTION_DURATION, 0, "5s", 1, HOUR_MS, AT(connect_ms),
     "To a provider: name lookup, connection and TLS."},
    {"timeouts.first_byte", OPTION_DURATION, 0, "300s", 1, DAY_MS, AT(first_byte_ms),
     "From the sent request to the first byte of the answer."},
    {"timeouts.between_bytes", OPTION_DURATION, 0, "120s", 1, DAY_MS, AT(between_bytes_ms),
     "The longest silence within an answer, and the longest stall of a client that does not read."},
    {"timeouts.answer", OPTION_DURATION, 0, "3600s", 1, DAY_MS, AT(answer_ms), "A whole answer."},
    {"timeouts.request_head", OPTION_DURATION, 0, "10s", 1, HOUR_MS, AT(request_head_ms),
     "Until an application has sent the head of its request."},
    {"timeouts.request_body", OPTION_DURATION, 0, "60s", 1, DAY_MS, AT(request_body_ms),
     "Until an application has sent the body of its request, or a message of a WebSocket whole."},
    {"timeouts.idle", OPTION_DURATION, 0, "75s", 1, DAY_MS, AT(idle_ms),
     "How long a connection is kept between requests."},
    {"limits.head_bytes", OPTION_BYTES, 0, "32KiB", KIB, MIB, AT(head_bytes_max),
     "Head of a request."},
    {"limits.headers", OPTION_COUNT, 0, "100", 8, DR_HTTP1_HEADERS_MAX, AT(headers_max),
     "Header fields of a request."},
    {"limits.body_bytes", OPTION_BYTES, 0, "32MiB", KIB, GIB, AT(body_bytes_max),
     "Body of a request."},
    {"limits.answer_bytes", OPTION_BYTES, 0, "32MiB", KIB, GIB, AT(answer_bytes_max),
     "Body of a provider's answer."},
    {"limits.event_bytes", OPTION_BYTES, 0, "1MiB", KIB, 64 * MIB, AT(event_bytes_max),
     "One event of a stream."},
    {"limits.connections", OPTION_COUNT, OPTION_AT_START, "10000", 1, 1000000, AT(connections_max),
     "Connections of applications open at a time, all workers together."},
    {"limits.ws_message_bytes", OPTION_BYTES, 0, "32MiB", KIB, GIB, AT(ws_message_bytes_max),
     "One message of a WebSocket."},
    {"limits.ws_requests", OPTION_COUNT, 0, "64", 1, 65536, AT(ws_requests_max),
     "Requests at a time on one WebSocket."},
    {"limits.ws_send_bytes", OPTION_BYTES, 0, "1MiB", 64 * KIB, GIB, AT(ws_send_bytes_max),
     "Bytes waiting to be sent on one WebSocket."},
    {"limits.resume_bytes", OPTION_BYTES, OPTION_AT_START, "256MiB", 2 * MIB, 64 * GIB,
     AT(resume_bytes_max), "Answers under way and kept for coming back, of all accounts."},
    {"sessions.per_account", OPTION_COUNT, 0, "1000", 0, 1000000, AT(sessions_per_account_max),
     "Chat sessions kept for one account."},
    {"sessions.bytes", OPTION_BYTES, 0, "1MiB", KIB, GIB, AT(session_bytes_max),
     "One session's messages."},
    {"sessions.idle", OPTION_DURATION, 0, "60m", 1, 365 * DAY_MS, AT(session_idle_ms),
     "How long an unused session is kept."},
    {"cors.origins", OPTION_LIST, 0, "[]", 0, 0, 0,
     "Web origins that may call (`https://app.example`, or `*` for any)."},
    {"logs.level", OPTION_LEVEL, 0, "info", 0, 0, AT(log_level),
     "`error`, `warn`, `info` or `debug`."},
    {"logs.usage", OPTION_PATH, 0, NULL, 0, 0, AT(usage_log),
     "File that gets one line of JSON for each request."},
    {"billing.rates", OPTION_MAP, 0, "{CNY: 1.0}", 0, 0, 0,
     "Dollars for one unit of another currency, for top-ups."},
    {"providers", OPTION_MAP, OPTION_REQUIRED, NULL, 0, 0, 0,
     "Who answers, each under a name of yours."},
    {"models", OPTION_MAP, OPTION_REQUIRED, NULL, 0, 0, 0,
     "What can be asked for; a name ending in `*` serves all names that begin so."},
    {"providers.NAME.dialect", OPTION_DIALECT, 0, "openai", 0, 0, IN_PROVIDER(dialect),
     "The API the provider speaks: `openai`, `anthropic` or `gemini`."},
    {"providers.NAME.base_url", OPTION_OWN_TEXT, OPTION_REQUIRED, NULL, 0, 0, 0,
     "Address of its API: `https://api.example/v1`, `https://api.anthropic.com`, "
     "`https://generativelanguage.googleapis.com`."},
    {"providers.NAME.api_keys", OPTION_LIST, 0, "[]", 0, 0, 0,
     "Secrets for it, used in turn; without any, none is sent."},
    {"providers.NAME.ca_file", OPTION_PATH, 0, NULL, 0, 0, IN_PROVIDER(ca_file),
     "More root certificates in PEM."},
    {"providers.NAME.stream_usage", OPTION_BOOL, 0, "true", 0, 0, IN_PROVIDER(asks_usage),
     "Ask for the token counts in streams, where `openai` does not tell them by itself."},
    {"models.NAME.price", OPTION_MAP, OPTION_REQUIRED, NULL, 0, 0, 0,
     "What is charged, in USD per million tokens: `{input, output, cached_input}`; "
     "`cached_input` is as `input` where it is not given."},
    {"models.NAME.targets", OPTION_LIST, OPTION_REQUIRED, NULL, 0, 0, 0,
     "Who serves it: a list of maps, tried in order until one answers."},
    {"models.NAME.rollout", OPTION_MAP, OPTION_IDLE, NULL, 0, 0, 0,
     "Start value of a gradual change between two targets."},
    {"targets.NAME.name", OPTION_TEXT, 0, NULL, 1, 128, IN_TARGET(name),
     "Its name in receipts and headers; the provider's if not given."},
    {"targets.NAME.provider", OPTION_OWN_TEXT, OPTION_REQUIRED, NULL, 0, 0, 0,
     "A name from `providers`."},
    {"targets.NAME.model", OPTION_TEXT, 0, NULL, 1, 256, IN_TARGET(model),
     "The provider's name for the model; the model's own name if not given; `*` passes on what was "
     "asked for."},
    {"targets.NAME.list_price", OPTION_MAP, 0, NULL, 0, 0, 0,
     "The official price, as `price`; `GET /v1/models` shows the first target's."},
};

enum { OPTION_COUNT_ALL = sizeof config_options / sizeof config_options[0] };
const size_t config_option_count = OPTION_COUNT_ALL;

const char *const config_sections[] = {"tls",  "admin",    "timeouts", "limits",
                                       "cors", "sessions", "logs",     "billing"};
enum { SECTION_COUNT = sizeof config_sections / sizeof config_sections[0] };
const size_t config_section_count = SECTION_COUNT;

struct reader {
    const char *name;
    struct config *config;
    struct dr_error *error;
    dr_slice *warnings;
    size_t warning_count_max;
};

static enum dr_status fail_at(struct reader *reader, unsigned line, unsigned column,
                              const char *format, ...) DR_PRINTF(4, 5);

static enum dr_status fail_at(struct reader *reader, unsigned line, unsigned column,
                              const char *format, ...) {
    char sentence[220];
    va_list arguments;
    va_start(arguments, format);
    if (vsnprintf(sentence, sizeof sentence, format, arguments) < 0) sentence[0] = '\0';
    va_end(arguments);
    return dr_fail(reader->error, DR_INVALID, 0, "%s:%u:%u: %s", reader->name, line, column,
                   sentence);
}

static enum dr_status out_of_memory(struct reader *reader) {
    return dr_fail(reader->error, DR_NO_MEMORY, 0,
                   "%s:1:1: no memory left; expected a file that fits 16 MiB when read",
                   reader->name);
}

static enum dr_status expect(struct reader *reader, const struct yaml_node *node, const char *what,
                             const char *expected) {
    return fail_at(reader, node->line, node->column, "'%.60s' has a wrong value; expected %s", what,
                   expected);
}

static void *take(struct reader *reader, size_t count, size_t size) {
    return dr_arena_alloc_zero(&reader->config->arena, (count + 1) * size);
}

static enum dr_status warn_idle(struct reader *reader, unsigned line, const char *what) {
    if (reader->config->warning_count >= reader->warning_count_max) return DR_OK;
    char sentence[256];
    const int len =
        snprintf(sentence, sizeof sentence, "%.100s:%u: '%.80s' has no effect in this version",
                 reader->name, line, what);
    dr_slice *warning = &reader->warnings[reader->config->warning_count];
    if (len < 0 || !dr_arena_copy(&reader->config->arena, dr_slice_text(sentence), warning)) {
        return out_of_memory(reader);
    }
    reader->config->warning_count++;
    return DR_OK;
}

/* --- single values
 * ------------------------------------------------------------------------------ */

/* A number and its unit. */
static bool parse_scaled(dr_slice text, const char *const units[], const int64_t factors[],
                         int64_t *ret) {
    size_t digits = 0;
    uint64_t number;
    while (digits < text.len && text.data[digits] >= '0' && text.data[digits] <= '9') digits++;
    if (!dr_slice_to_u64(dr_slice_first(text, digits), &number)) return false;
    const dr_slice unit = dr_slice_from(text, digits);
    for (size_t i = 0; units[i]; i++) {
        if (!dr_slice_is(unit, dr_slice_text(units[i]))) continue;
        if (number > (uint64_t)(INT64_MAX / factors[i])) return false;
        *ret = (int64_t)number * factors[i];
        return true;
    }
    return false;
}

static bool parse_duration(dr_slice text, int64_t *ret) {
    static const char *const units[] = {"ms", "s", "m", "h", NULL};
    static const int64_t factors[] = {1, 1000, 60000, HOUR_MS};
    return parse_scaled(text, units, factors, ret);
}

static bool parse_bytes(dr_slice text, int64_t *ret) {
    static const char *const units[] = {"", "B", "KiB", "MiB", "GiB", NULL};
    static const int64_t factors[] = {1, 1, KIB, MIB, GIB};
    return parse_scaled(text, units, factors, ret);
}

static bool parse_number(dr_slice text, int64_t *ret) {
    static const char *const units[] = {"", NULL};
    static const int64_t factors[] = {1};
    return parse_scaled(text, units, factors, ret);
}

static bool is_address(dr_slice text) {
    size_t colon = text.len;
    while (colon > 0 && text.data[colon - 1] != ':') colon--;
    uint64_t port;
    return colon > 1 && dr_slice_to_u64(dr_slice_from(text, colon), &port) && port <= 65535;
}

static uint32_t processor_count(void) {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set)) return 1;
    const int count = CPU_COUNT(&set);
    return count < 1 ? 1 : count > WORKERS_MAX ? WORKERS_MAX : (uint32_t)count;
}

static enum dr_status set_number(struct reader *reader, const struct option *option,
                                 const struct yaml_node *node, const char *what, void *place) {
    int64_t number = 0;
    const bool is_auto = option->type == OPTION_WORKERS && dr_slice_is(node->text, DR_LIT("auto"));
    bool is_good;
    const char *expected;
    const char *unit = "";
    if (option->type == OPTION_DURATION) {
        is_good = parse_duration(node->text, &number);
        expected = "a duration as 300ms, 5s, 2m or 1h";
        unit = " ms";
    } else if (option->type == OPTION_BYTES) {
        is_good = parse_bytes(node->text, &number);
        expected = "a size as 4096, 32KiB or 1MiB";
        unit = " bytes";
    } else {
        is_good = is_auto || parse_number(node->text, &number);
        expected = option->type == OPTION_WORKERS ? "a number or auto" : "a whole number";
    }
    if (!is_good) return expect(reader, node, what, expected);
    if (is_auto) number = processor_count();
    if (number < option->min || number > option->max) {
        return fail_at(reader, node->line, node->column,
                       "'%.60s' is out of range; expected %lld to %lld%s", what,
                       (long long)option->min, (long long)option->max, unit);
    }
    if (option->type == OPTION_COUNT || option->type == OPTION_WORKERS) {
        *(uint32_t *)place = (uint32_t)number;
    } else {
        *(int64_t *)place = option->type == OPTION_SECONDS ? number * 1000 : number;
    }
    return DR_OK;
}

static enum dr_status set_dialect(struct reader *reader, const struct yaml_node *node,
                                  const char *what, enum dialect *place) {
    static const char *const names[] = {
        [DIALECT_OPENAI] = "openai",
        [DIALECT_ANTHROPIC] = "anthropic",
        [DIALECT_GEMINI] = "gemini",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (!dr_slice_is(node->text, dr_slice_text(names[i]))) continue;
        *place = (enum dialect)i;
        return DR_OK;
    }
    return expect(reader, node, what, "openai, anthropic or gemini");
}

static enum dr_status set_text(struct reader *reader, const struct option *option,
                               const struct yaml_node *node, const char *what, dr_slice *place) {
    if ((int64_t)node->text.len < option->min || (int64_t)node->text.len > option->max) {
        return fail_at(reader, node->line, node->column,
                       "'%.60s' has a wrong length; expected %lld to %lld bytes", what,
                       (long long)option->min, (long long)option->max);
    }
    *place = node->text;
    return DR_OK;
}

static bool is_read_elsewhere(enum option_type type) {
    return type == OPTION_LIST || type == OPTION_MAP || type == OPTION_OWN_TEXT;
}

static enum dr_status set_option(struct reader *reader, const struct option *option,
                                 const struct yaml_node *node, const char *what, void *place) {
    if (is_read_elsewhere(option->type)) return DR_OK;
    if (node->kind != YAML_TEXT) return expect(reader, node, what, "a single value");
    switch (option->type) {
    case OPTION_TEXT: return set_text(reader, option, node, what, place);
    case OPTION_PATH:
        if (node->text.len == 0) return expect(reader, node, what, "a path");
        *(const char **)place = node->text.data;
        return DR_OK;
    case OPTION_ADDRESS:
        if (!is_address(node->text)) return expect(reader, node, what, "HOST:PORT");
        *(dr_slice *)place = node->text;
        return DR_OK;
    case OPTION_DURATION:
    case OPTION_SECONDS:
    case OPTION_BYTES:
    case OPTION_COUNT:
    case OPTION_WORKERS: return set_number(reader, option, node, what, place);
    case OPTION_BOOL:
        *(bool *)place = dr_slice_is(node->text, DR_LIT("true"));
        if (*(bool *)place || dr_slice_is(node->text, DR_LIT("false"))) return DR_OK;
        return expect(reader, node, what, "true or false");
    case OPTION_LEVEL:
        if (dr_log_level_parse(node->text, place)) return DR_OK;
        return expect(reader, node, what, "error, warn, info or debug");
    case OPTION_STORE:
        if (dr_slice_is(node->text, DR_LIT("sqlite"))) return DR_OK;
        if (dr_slice_starts(node->text, DR_LIT("postgres"))) {
            return fail_at(reader, node->line, node->column,
                           "store postgresql:// is not available in this version; expected sqlite");
        }
        return expect(reader, node, what, "sqlite");
    case OPTION_DIALECT: return set_dialect(reader, node, what, place);
    case OPTION_LIST:
    case OPTION_MAP:
    case OPTION_OWN_TEXT: break;
    }
    return DR_OK;
}

/* --- maps by the table
 * -------------------------------------------------------------------------- */

dr_slice config_option_key(const struct option *option, const char *scope) {
    dr_slice path = dr_slice_text(option->path);
    const dr_slice wanted = dr_slice_text(scope);
    if (wanted.len > 0) {
        if (!dr_slice_starts(path, wanted)) return DR_NONE;
        path = dr_slice_from(path, wanted.len);
        if (path.len == 0 || path.data[0] != '.') return DR_NONE;
        path = dr_slice_from(path, 1);
    }
    return dr_slice_find_char(path, '.') < path.len ? DR_NONE : path;
}

static bool is_section(dr_slice key) {
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        if (dr_slice_is(key, dr_slice_text(config_sections[i]))) return true;
    }
    return false;
}

/* Every key must be one of the scope. */
static enum dr_status check_keys(struct reader *reader, const char *scope,
                                 const struct yaml_node *map) {
    for (const struct yaml_node *child = map->children; child; child = child->next) {
        bool is_known = scope[0] == '\0' && is_section(child->key);
        char names[120] = "";
        size_t len = 0;
        for (size_t i = 0; i < OPTION_COUNT_ALL && !is_known; i++) {
            const dr_slice key = config_option_key(&config_options[i], scope);
            if (key.len == 0) continue;
            is_known = dr_slice_is(key, child->key);
            if (len + key.len + 3 >= sizeof names) continue;
            const int more =
                snprintf(names + len, sizeof names - len, "%s%.*s", len ? ", " : "", DR_FMT(key));
            if (more > 0) len += (size_t)more;
        }
        if (is_known) continue;
        return fail_at(reader, child->key_line, child->key_column,
                       "unknown key '%.*s'; expected one of %s%s",
                       DR_FMT(dr_slice_first(child->key, 40)), names,
                       scope[0] ? "" : " or another option of the manual");
    }
    return DR_OK;
}

/* `map` may be NULL: all defaults. `what` names it in errors. */
static enum dr_status read_map(struct reader *reader, const char *scope, const char *what,
                               const struct yaml_node *map, void *base) {
    if (map && map->kind != YAML_MAP) return expect(reader, map, what, "a map of options");
    enum dr_status status = map ? check_keys(reader, scope, map) : DR_OK;
    for (size_t i = 0; i < OPTION_COUNT_ALL && !status; i++) {
        const struct option *option = &config_options[i];
        const dr_slice key = config_option_key(option, scope);
        if (key.len == 0) continue;
        const struct yaml_node *node = config_yaml_find(map, key);
        char path[160];
        (void)snprintf(path, sizeof path, "%.80s%s%.*s", what, what[0] ? "." : "", DR_FMT(key));
        if (!node && (option->flags & OPTION_REQUIRED)) {
            return fail_at(reader, map ? map->line : 1, map ? map->column : 1,
                           "'%.60s' is missing; expected it here", path);
        }
        const struct yaml_node fallback = {.text = dr_slice_text(option->fallback)};
        if (!node && !option->fallback) continue;
        int64_t nowhere = 0;
        const bool is_idle = (option->flags & OPTION_IDLE) || option->type == OPTION_STORE;
        void *place = is_idle ? (void *)&nowhere : (void *)((char *)base + option->offset);
        status = set_option(reader, option, node ? node : &fallback, path, place);
        if (!status && node && (option->flags & OPTION_IDLE)) {
            status = warn_idle(reader, node->key_line, path);
        }
    }
    return status;
}

/* --- lists and maps of their own
 * ---------------------------------------------------------------- */

static enum dr_status read_origins(struct reader *reader, const struct yaml_node *list) {
    if (!list) return DR_OK;
    if (list->kind != YAML_LIST) return expect(reader, list, "cors.origins", "a list");
    dr_slice *origins = take(reader, list->child_count, sizeof *origins);
    if (!origins) return out_of_memory(reader);
    size_t count = 0;
    for (const struct yaml_node *node = list->children; node; node = node->next) {
        struct dr_url url;
        const bool is_any = node->kind == YAML_TEXT && dr_slice_is(node->text, DR_LIT("*"));
        if (!is_any && (node->kind != YAML_TEXT || dr_url_parse(node->text, &url, NULL) ||
                        url.path.len > 0 || dr_slice_ends(node->text, DR_LIT("/")))) {
            return expect(reader, node, "cors.origins", "origins as https://app.example, or *");
        }
        origins[count++] = node->text;
    }
    reader->config->cors_origins = origins;
    reader->config->cors_origin_count = count;
    return DR_OK;
}

static enum dr_status read_rates(struct reader *reader, const struct yaml_node *map) {
    struct config *config = reader->config;
    if (!map) {
        config->rates[0].currency = DR_LIT("CNY");
        config->rates[0].usd_per_unit = (money){INT64_C(1000000000)};
        config->rate_count = 1;
        return DR_OK;
    }
    const size_t count_max = sizeof config->rates / sizeof config->rates[0];
    if (map->kind != YAML_MAP || map->child_count > count_max) {
        return expect(reader, map, "billing.rates", "a map of at most 16 currencies");
    }
    for (const struct yaml_node *node = map->children; node; node = node->next) {
        bool is_good = node->key.len == 3;
        for (size_t i = 0; i < node->key.len; i++) {
            is_good = is_good && node->key.data[i] >= 'A' && node->key.data[i] <= 'Z';
        }
        money rate = {0};
        if (!is_good) return expect(reader, node, "billing.rates", "currencies as CNY");
        if (node->kind != YAML_TEXT || !money_parse(node->text, &rate) || rate.nanousd <= 0 ||
            rate.nanousd > INT64_C(1000000000000000)) {
            return expect(reader, node, "billing.rates", "dollars above 0 for one unit, as 0.14");
        }
        config->rates[config->rate_count].currency = node->key;
        config->rates[config->rate_count++].usd_per_unit = rate;
    }
    return DR_OK;
}

static enum dr_status read_price(struct reader *reader, const char *what,
                                 const struct yaml_node *map, struct price *price) {
    static const char *const names[] = {"input", "output", "cached_input"};
    int64_t *const places[] = {&price->input, &price->output, &price->cached_input};
    const char *const expected =
        "{input: 8.00, output: 8.00}, USD per million tokens up to 1000000";
    size_t found = 0;
    if (map->kind != YAML_MAP) return expect(reader, map, what, expected);
    for (size_t i = 0; i < 3; i++) {
        const struct yaml_node *node = config_yaml_find(map, dr_slice_text(names[i]));
        if (!node && i == 2) *places[i] = price->input;
        if (!node && i < 2) return expect(reader, map, what, expected);
        if (!node) continue;
        money amount;
        if (node->kind != YAML_TEXT || !money_parse(node->text, &amount) || amount.nanousd < 0 ||
            amount.nanousd > INT64_C(1000000000000000)) {
            return expect(reader, node, what, expected);
        }
        *places[i] = amount.nanousd;
        found++;
    }
    if (found == map->child_count) return DR_OK;
    for (const struct yaml_node *node = map->children; node; node = node->next) {
        bool is_known = false;
        for (size_t i = 0; i < 3; i++) is_known |= dr_slice_is(node->key, dr_slice_text(names[i]));
        if (is_known) continue;
        return fail_at(reader, node->key_line, node->key_column,
                       "unknown key '%.*s'; expected input, output or cached_input",
                       DR_FMT(dr_slice_first(node->key, 40)));
    }
    return DR_OK;
}

/* --- providers
 * ---------------------------------------------------------------------------------- */

static enum dr_status read_keys(struct reader *reader, const char *what,
                                const struct yaml_node *list, struct provider *provider) {
    if (!list) return DR_OK;
    if (list->kind != YAML_LIST) return expect(reader, list, what, "a list of api_keys");
    dr_slice *keys = take(reader, list->child_count, sizeof *keys);
    if (!keys) return out_of_memory(reader);
    provider->api_keys = keys;
    for (const struct yaml_node *node = list->children; node; node = node->next) {
        bool is_good = node->kind == YAML_TEXT && node->text.len > 0 && node->text.len <= 4096;
        for (size_t i = 0; i < node->text.len; i++) {
            is_good = is_good && node->text.data[i] > ' ' && node->text.data[i] < 0x7f;
        }
        if (!is_good) return expect(reader, node, what, "keys of visible ASCII, not empty");
        keys[provider->api_key_count++] = node->text;
    }
    return DR_OK;
}

static enum dr_status read_url(struct reader *reader, const char *what,
                               const struct yaml_node *node, struct provider *provider) {
    struct dr_url url;
    struct dr_error error = {0};
    if (node->kind != YAML_TEXT) return expect(reader, node, what, "a URL");
    if (dr_url_parse(node->text, &url, &error)) {
        return fail_at(reader, node->line, node->column,
                       "'%.60s': %.100s; expected https://HOST/PATH", what, error.text);
    }
    const char *host = dr_arena_text(&reader->config->arena, url.host);
    if (!host) return out_of_memory(reader);
    provider->is_https = url.is_https;
    provider->host = dr_slice_of(host, url.host.len);
    provider->port = url.port;
    provider->authority = url.authority;
    provider->path = url.path;
    return DR_OK;
}

static enum dr_status read_provider(struct reader *reader, const struct yaml_node *node,
                                    struct provider *provider) {
    char what[128];
    (void)snprintf(what, sizeof what, "providers.%.*s", DR_FMT(dr_slice_first(node->key, 60)));
    enum dr_status status = read_map(reader, "providers.NAME", what, node, provider);
    if (status) return status;
    status = read_url(reader, what, config_yaml_find(node, DR_LIT("base_url")), provider);
    if (status) return status;
    const struct yaml_node *roots = config_yaml_find(node, DR_LIT("ca_file"));
    if (roots) {
        provider->line = (uint32_t)roots->line;
        provider->column = (uint32_t)roots->column;
    }
    return read_keys(reader, what, config_yaml_find(node, DR_LIT("api_keys")), provider);
}

/* Names come into log lines and sentences, */
static bool is_plain_text(dr_slice name) {
    for (size_t i = 0; i < name.len; i++) {
        if ((unsigned char)name.data[i] < ' ' || name.data[i] == 0x7f) return false;
    }
    return true;
}

/* and a target's into a header, whose readers agree on ASCII alone. */
static bool is_header_text(dr_slice name) {
    for (size_t i = 0; i < name.len; i++) {
        if ((unsigned char)name.data[i] > 0x7f) return false;
    }
    return is_plain_text(name) && dr_slice_trim(name).len == name.len;
}

static enum dr_status check_names(struct reader *reader, const char *what,
                                  const struct yaml_node *map) {
    if (map->kind != YAML_MAP || map->child_count == 0) {
        return expect(reader, map, what, "a map with at least one entry");
    }
    for (const struct yaml_node *node = map->children; node; node = node->next) {
        if (node->key.len == 0 || node->key.len > 256) {
            return fail_at(reader, node->key_line, node->key_column,
                           "a name in '%s' has a wrong length; expected 1 to 256 bytes", what);
        }
        if (is_plain_text(node->key)) continue;
        return fail_at(reader, node->key_line, node->key_column,
                       "a name in '%s' has a control character; expected text without", what);
    }
    return DR_OK;
}

static enum dr_status read_providers(struct reader *reader, const struct yaml_node *map) {
    struct catalog *catalog = &reader->config->catalog;
    enum dr_status status = check_names(reader, "providers", map);
    if (status) return status;
    struct provider *providers = take(reader, map->child_count, sizeof *providers);
    if (!providers) return out_of_memory(reader);
    catalog->providers = providers;
    for (const struct yaml_node *node = map->children; node && !status; node = node->next) {
        struct provider *provider = &providers[catalog->provider_count];
        provider->name = node->key;
        provider->index = catalog->provider_count++;
        status = read_provider(reader, node, provider);
    }
    return status;
}

/* --- models
 * ------------------------------------------------------------------------------------- */

static enum dr_status put_model_json(struct reader *reader, struct target *target) {
    if (dr_slice_is(target->model, DR_LIT("*"))) return DR_OK;
    struct dr_buf buf;
    dr_buf_init(&buf, 4096);
    dr_json_put_string(&buf, target->model);
    const bool is_good =
        !dr_buf_status(&buf) &&
        dr_arena_copy(&reader->config->arena, dr_buf_slice(&buf), &target->model_json);
    dr_buf_clear(&buf);
    return is_good ? DR_OK : out_of_memory(reader);
}

static enum dr_status read_target(struct reader *reader, const char *what, dr_slice model_name,
                                  const struct yaml_node *node, struct target *target) {
    const struct catalog *catalog = &reader->config->catalog;
    enum dr_status status = read_map(reader, "targets.NAME", what, node, target);
    if (status) return status;
    const struct yaml_node *name = config_yaml_find(node, DR_LIT("provider"));
    for (size_t i = 0; i < catalog->provider_count && name->kind == YAML_TEXT; i++) {
        if (dr_slice_is(catalog->providers[i].name, name->text)) {
            target->provider = &catalog->providers[i];
        }
    }
    if (!target->provider) {
        return fail_at(reader, name->line, name->column,
                       "'%.60s' names an unknown provider; expected a name from providers", what);
    }
    if (target->name.len == 0) target->name = target->provider->name;
    if (!is_header_text(target->name)) {
        return expect(reader, node, what, "a target's name of ASCII, for it goes into a header");
    }
    /* A pattern is nobody's name for a model: what was asked for is passed on. */
    if (target->model.len == 0) {
        target->model = dr_slice_ends(model_name, DR_LIT("*")) ? DR_LIT("*") : model_name;
    }
    const struct yaml_node *price = config_yaml_find(node, DR_LIT("list_price"));
    if (price) status = read_price(reader, what, price, &target->list_price);
    return status ? status : put_model_json(reader, target);
}

static enum dr_status read_targets(struct reader *reader, const char *what,
                                   const struct yaml_node *list, struct catalog_model *model) {
    if (list->kind != YAML_LIST || list->child_count == 0) {
        return expect(reader, list, what, "a list with at least one target");
    }
    struct target *targets = take(reader, list->child_count, sizeof *targets);
    if (!targets) return out_of_memory(reader);
    model->targets = targets;
    for (const struct yaml_node *node = list->children; node; node = node->next) {
        struct target *target = &targets[model->target_count];
        const enum dr_status status = read_target(reader, what, model->name, node, target);
        if (status) return status;
        for (size_t i = 0; i < model->target_count; i++) {
            if (!dr_slice_is(targets[i].name, target->name)) continue;
            return fail_at(reader, node->line, node->column,
                           "'%.60s' has two targets of one name; expected a name of its own", what);
        }
        model->target_count++;
    }
    return DR_OK;
}

static enum dr_status read_model(struct reader *reader, const struct yaml_node *node,
                                 struct catalog_model *model) {
    char what[160];
    (void)snprintf(what, sizeof what, "models.%.*s", DR_FMT(dr_slice_first(node->key, 60)));
    enum dr_status status = read_map(reader, "models.NAME", what, node, model);
    if (status) return status;
    const struct yaml_node *price = config_yaml_find(node, DR_LIT("price"));
    status = read_price(reader, what, price, &model->price);
    if (status) return status;
    status = read_targets(reader, what, config_yaml_find(node, DR_LIT("targets")), model);
    if (status) return status;
    const struct yaml_node *rollout = config_yaml_find(node, DR_LIT("rollout"));
    if (rollout && rollout->kind != YAML_MAP) return expect(reader, rollout, what, "a map");
    return DR_OK;
}

static enum dr_status read_models(struct reader *reader, const struct yaml_node *map) {
    struct catalog *catalog = &reader->config->catalog;
    enum dr_status status = check_names(reader, "models", map);
    if (status) return status;
    struct catalog_model *models = take(reader, map->child_count, sizeof *models);
    if (!models) return out_of_memory(reader);
    catalog->models = models;
    for (const struct yaml_node *node = map->children; node; node = node->next) {
        struct catalog_model *model = &models[catalog->model_count++];
        model->name = node->key;
        status = read_model(reader, node, model);
        if (status) return status;
        status = dr_map_put(&catalog->by_name, model->name, model);
        if (status == DR_EXISTS) {
            return fail_at(reader, node->key_line, node->key_column,
                           "a model is there twice; expected each once");
        }
        if (status) return out_of_memory(reader);
    }
    return DR_OK;
}

/* --- the whole
 * ---------------------------------------------------------------------------------- */

static enum dr_status read_root(struct reader *reader, const struct yaml_node *root) {
    struct config *config = reader->config;
    const struct yaml_node *models = config_yaml_find(root, DR_LIT("models"));
    reader->warning_count_max = OPTION_COUNT_ALL + (models ? models->child_count : 0);
    reader->warnings = take(reader, reader->warning_count_max, sizeof *reader->warnings);
    if (!reader->warnings) return out_of_memory(reader);
    config->warnings = reader->warnings;

    enum dr_status status = read_map(reader, "", "", root, config);
    for (size_t i = 0; i < SECTION_COUNT && !status; i++) {
        const char *name = config_sections[i];
        status = read_map(reader, name, name, config_yaml_find(root, dr_slice_text(name)), config);
    }
    if (status) return status;
    const struct yaml_node *tls = config_yaml_find(root, DR_LIT("tls"));
    if (!config->tls_cert != !config->tls_key) return expect(reader, tls, "tls", "cert and key");
    if (tls) {
        config->tls_line = (uint32_t)tls->line;
        config->tls_column = (uint32_t)tls->column;
    }
    const struct yaml_node *admin = config_yaml_find(root, DR_LIT("admin"));
    if (admin && dr_slice_is(config->listen, config->admin_listen) &&
        !dr_slice_ends(config->listen, DR_LIT(":0"))) {
        return expect(reader, admin, "admin.listen", "another address than that of 'listen'");
    }
    const struct yaml_node *cors = config_yaml_find(root, DR_LIT("cors"));
    status = read_origins(reader, config_yaml_find(cors, DR_LIT("origins")));
    if (status) return status;
    const struct yaml_node *billing = config_yaml_find(root, DR_LIT("billing"));
    status = read_rates(reader, config_yaml_find(billing, DR_LIT("rates")));
    if (status) return status;
    status = read_providers(reader, config_yaml_find(root, DR_LIT("providers")));
    return status ? status : read_models(reader, models);
}

enum dr_status config_read_text(const char *name, dr_slice text, struct config **ret_config,
                                struct dr_error *error) {
    char short_name[ERROR_VALUE_BYTES];
    (void)snprintf(short_name, sizeof short_name, "%.79s", name);
    struct reader reader = {.name = short_name, .error = error};
    struct config *config = dr_alloc_zero(1, sizeof *config);
    if (!config) return out_of_memory(&reader);
    reader.config = config;
    dr_arena_init(&config->arena, ARENA_BYTES_MAX, NULL);
    dr_map_init(&config->catalog.by_name, YAML_CHILDREN_MAX, 0);
    struct yaml_node *root = NULL;
    config->file = dr_arena_text(&config->arena, dr_slice_text(short_name));
    if (!config->file) {
        config_free(config);
        return out_of_memory(&reader);
    }
    enum dr_status status = config_yaml_parse(short_name, text, &config->arena, &root, error);
    if (!status) status = read_root(&reader, root);
    if (status) {
        config_yaml_wipe(root);
        config_free(config);
        return status;
    }
    *ret_config = config;
    return DR_OK;
}

enum dr_status config_read_file(const char *path, struct config **ret_config,
                                struct dr_error *error) {
    FILE *file = fopen(path, "re");
    if (!file) {
        const int code = errno;
        return dr_fail(error, DR_IO, code, "%.100s:1:1: %s; expected a readable file", path,
                       strerrordesc_np(code));
    }
    /* One byte more than is taken shows what is too large. */
    char *bytes = dr_alloc(YAML_BYTES_MAX + 1);
    enum dr_status status = DR_NO_MEMORY;
    if (!bytes) {
        (void)dr_fail(error, status, 0, "%.100s:1:1: no memory left; expected 1 MiB", path);
    } else {
        (void)setvbuf(file, NULL, _IONBF, 0); /* no second copy of secrets */
        const size_t len = fread(bytes, 1, YAML_BYTES_MAX + 1, file);
        if (ferror(file)) {
            status =
                dr_fail(error, DR_IO, EIO, "%.100s:1:1: cannot be read; expected a file", path);
        } else {
            status = config_read_text(path, dr_slice_of(bytes, len), ret_config, error);
        }
        dr_wipe(bytes, len);
    }
    dr_free(bytes);
    (void)fclose(file);
    return status;
}

static void wipe_slice(dr_slice secret) {
    if (secret.len > 0) dr_wipe((void *)(uintptr_t)secret.data, secret.len);
}

void config_free(struct config *config) {
    if (!config) return;
    wipe_slice(config->admin_key);
    for (size_t i = 0; i < config->catalog.provider_count; i++) {
        const struct provider *provider = &config->catalog.providers[i];
        for (size_t k = 0; k < provider->api_key_count; k++) wipe_slice(provider->api_keys[k]);
    }
    dr_map_clear(&config->catalog.by_name);
    dr_arena_clear(&config->arena);
    dr_free(config);
}
