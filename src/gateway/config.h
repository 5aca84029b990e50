/* The configuration of a gateway: one table of options is the truth for the parser, `drover
 * check`, docs/configuration.md and the sample file. A `struct config` is immutable once read. */
#ifndef DR_GATEWAY_CONFIG_H
#define DR_GATEWAY_CONFIG_H

#include "base/arena.h"
#include "base/log.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/catalog.h"
#include "net/http1_parse.h"

struct config {
    struct dr_arena arena; /* holds everything below */
    const char *file;      /* its name, for errors */
    dr_slice listen;
    const char *tls_cert; /* NULL: plain */
    const char *tls_key;
    uint32_t tls_line, tls_column;
    dr_slice admin_listen;
    /* secret; empty: the admin API answers 403 to everything but health and metrics */
    dr_slice admin_key;
    /* resolved: `auto` is the number of processors this process may use */
    uint32_t workers;
    const char *data;

    int64_t connect_ms, first_byte_ms, between_bytes_ms, answer_ms;
    int64_t request_head_ms, request_body_ms, idle_ms;

    size_t head_bytes_max;
    uint32_t headers_max;
    uint64_t body_bytes_max;
    uint64_t answer_bytes_max;
    size_t event_bytes_max;
    uint32_t connections_max;
    size_t ws_message_bytes_max;
    uint32_t ws_requests_max;
    size_t ws_send_bytes_max;

    uint32_t sessions_per_account_max;
    size_t session_bytes_max;
    int64_t session_idle_ms;

    int64_t resume_ms;
    size_t resume_bytes_max;
    int64_t drain_ms;
    const dr_slice *cors_origins; /* "https://app.example"; "*" for any */
    size_t cors_origin_count;
    bool allows_loopback_origins; /* demo */
    enum dr_log_level log_level;
    const char *usage_log; /* NULL: none */

    /* billing.rates: dollars for one unit */
    struct {
        dr_slice currency;
        money usd_per_unit;
    } rates[16];
    size_t rate_count;

    struct catalog catalog;
    bool is_demo;     /* passes x-sim-fault on; loopback only */
    bool has_ws_echo; /* serves /debug/ws/echo */

    /* options that are understood but have no effect in this version: sentences with file:line */
    const dr_slice *warnings;
    size_t warning_count;
};

/* Reads a YAML file. On failure the error's text is "FILE:LINE:COLUMN: what is wrong; what was
 * expected". `${NAME}` in scalars reads the environment. Given; release with config_free. */
enum dr_status config_read_file(const char *path, struct config **ret_config,
                                struct dr_error *error) DR_MUST_USE;
/* The same from memory; `name` stands for the file in errors. */
enum dr_status config_read_text(const char *name, dr_slice text, struct config **ret_config,
                                struct dr_error *error) DR_MUST_USE;
void config_free(struct config *config); /* wipes secrets; accepts NULL */

/* From the option table (config_docs.c): the rows of docs/configuration.md, the list of
 * drover.yaml(5), and the sample file. */
struct dr_buf;
void config_put_markdown(struct dr_buf *buf);
void config_put_manual(struct dr_buf *buf);
void config_put_sample(struct dr_buf *buf);

#endif
