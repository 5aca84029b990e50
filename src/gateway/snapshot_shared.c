/* Makes and counts snapshots. Must not know of workers or exchanges. */
#include "gateway/snapshot.h"

#include <stdatomic.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/secret.h"
#include "dialect/dialect.h"

/* The public part comes first, so that both pointers are one. */
struct counted_snapshot {
    struct snapshot snapshot;
    _Atomic size_t holders;
    struct config *config;
    struct dr_arena arena;
};

static enum dr_status make_chat_head(struct dr_arena *arena, const struct provider *provider,
                                     dr_slice api_key, dr_slice *ret_head, struct dr_error *error) {
    enum dr_status status = DR_OK;
    struct dr_buf head;
    dr_buf_init(&head, 64 * 1024);
    if (dialect_passes_bytes(provider->dialect)) {
        dr_buf_put(&head, DR_LIT("POST "));
        dialect_put_path(provider->dialect, &head, provider->path, DR_NONE, false);
    }
    dr_buf_format(&head, " HTTP/1.1\r\nHost: %.*s\r\n", DR_FMT(provider->authority));
    dialect_put_headers(provider->dialect, &head, provider->host, api_key);
    dr_buf_put(&head, DR_LIT("User-Agent: drover/" DROVER_VERSION "\r\n"
                             "Accept: application/json, text/event-stream\r\n"
                             "Accept-Encoding: identity\r\n"
                             "Content-Type: application/json\r\n"
                             "Content-Length: "));
    if (dr_buf_status(&head) != DR_OK || !dr_arena_copy(arena, dr_buf_slice(&head), ret_head)) {
        status = dr_fail(error, DR_NO_MEMORY, 0, "out of memory while preparing provider %.*s",
                         DR_FMT(provider->name));
    }
    if (head.data) dr_wipe(head.data, head.len);
    dr_buf_clear(&head);
    return status;
}

/* Whoever reads the file at fault has not read the configuration that names it. */
static enum dr_status fail_at_option(const struct config *config, uint32_t line, uint32_t column,
                                     enum dr_status status, struct dr_error *error) {
    if (!error || line == 0) return status;
    const struct dr_error told = *error;
    return dr_fail(error, status, told.os_code, "%s:%u:%u: %s; expected a readable PEM file",
                   config->file, line, column, told.text);
}

static enum dr_status make_provider(struct counted_snapshot *counted,
                                    const struct provider *provider, struct snapshot_provider *made,
                                    struct dr_error *error) {
    if (provider->is_https) {
        const enum dr_status status = dr_tls_client_new(provider->ca_file, &made->tls, error);
        if (status) {
            return fail_at_option(counted->config, provider->line, provider->column, status, error);
        }
    }
    const size_t count = provider->api_key_count > 0 ? provider->api_key_count : 1;
    dr_slice *heads = dr_arena_alloc_zero(&counted->arena, count * sizeof *heads);
    if (!heads) return dr_fail(error, DR_NO_MEMORY, 0, "out of memory while preparing providers");
    made->chat_heads = heads;
    made->chat_head_count = count;
    for (size_t i = 0; i < count; i++) {
        const dr_slice key = provider->api_key_count > 0 ? provider->api_keys[i] : DR_NONE;
        const enum dr_status status =
            make_chat_head(&counted->arena, provider, key, &heads[i], error);
        if (status) return status;
    }
    return DR_OK;
}

static struct dr_http_server_options http_options(const struct config *config) {
    return (struct dr_http_server_options){
        .limits =
            {
                .head_bytes_max = config->head_bytes_max,
                .headers_max = config->headers_max,
                .chunk_extension_bytes_max = 256,
                .trailer_bytes_max = 4096,
                .body_bytes_max = config->body_bytes_max,
            },
        .head_ms = config->request_head_ms,
        .body_ms = config->request_body_ms,
        .idle_ms = config->idle_ms,
        .write_ms = config->between_bytes_ms,
        .pipelined_bytes_max = 256 * 1024,
    };
}

static void counted_free(struct counted_snapshot *counted) {
    struct snapshot *snapshot = &counted->snapshot;
    if (snapshot->providers) {
        for (size_t i = 0; i < counted->config->catalog.provider_count; i++) {
            const struct snapshot_provider *provider = &snapshot->providers[i];
            dr_tls_client_release(provider->tls);
            for (size_t k = 0; k < provider->chat_head_count; k++) {
                if (!provider->chat_heads[k].data) continue;
                /* The head holds a key: it is ours to wipe. */
                dr_wipe((void *)(uintptr_t)provider->chat_heads[k].data,
                        provider->chat_heads[k].len);
            }
        }
    }
    dr_tls_server_release(snapshot->tls);
    dr_arena_clear(&counted->arena);
    config_free(counted->config);
    dr_free(counted);
}

enum dr_status snapshot_new(struct config *config, struct snapshot **ret_snapshot,
                            struct dr_error *error) {
    enum dr_status status = DR_OK;
    struct snapshot_provider *providers;
    struct counted_snapshot *counted = dr_alloc_zero(1, sizeof *counted);
    if (!counted) {
        config_free(config);
        return dr_fail(error, DR_NO_MEMORY, 0, "out of memory while preparing the configuration");
    }
    atomic_init(&counted->holders, 1);
    counted->config = config;
    dr_arena_init(&counted->arena, 16 * 1024 * 1024, NULL);
    counted->snapshot.config = config;
    counted->snapshot.http = http_options(config);
    counted->snapshot.created_s = dr_wall_now().ms / 1000;

    providers = dr_arena_alloc_zero(&counted->arena,
                                    (config->catalog.provider_count + 1) * sizeof *providers);
    if (!providers) {
        status = dr_fail(error, DR_NO_MEMORY, 0, "out of memory while preparing providers");
        goto done;
    }
    counted->snapshot.providers = providers;
    for (size_t i = 0; i < config->catalog.provider_count; i++) {
        status = make_provider(counted, &config->catalog.providers[i], &providers[i], error);
        if (status) goto done;
    }
    if (config->tls_cert) {
        status =
            dr_tls_server_new(config->tls_cert, config->tls_key, &counted->snapshot.tls, error);
        if (status) {
            status = fail_at_option(config, config->tls_line, config->tls_column, status, error);
            goto done;
        }
    }
    *ret_snapshot = &counted->snapshot;
    counted = NULL;
done:
    if (counted) counted_free(counted);
    return status;
}

struct snapshot *snapshot_hold(struct snapshot *snapshot) {
    struct counted_snapshot *counted = (struct counted_snapshot *)snapshot;
    atomic_fetch_add_explicit(&counted->holders, 1, memory_order_relaxed);
    return snapshot;
}

void snapshot_release(struct snapshot *snapshot) {
    if (!snapshot) return;
    struct counted_snapshot *counted = (struct counted_snapshot *)snapshot;
    if (atomic_fetch_sub_explicit(&counted->holders, 1, memory_order_acq_rel) == 1) {
        counted_free(counted);
    }
}
