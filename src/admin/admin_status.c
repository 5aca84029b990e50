/* The state of a running gateway in JSON. Must not show a secret of the configuration. */
#include "admin/admin_status.h"

#include "base/json.h"
#include "gateway/inspect.h"

#include <inttypes.h>

uint16_t admin_status_put_ready(struct dr_buf *buf, const struct inspection *inspection) {
    if (inspection->is_draining) {
        dr_buf_put(buf, DR_LIT("{\"status\":\"draining\"}"));
        return 503;
    }
    for (size_t i = 0; i < inspection->worker_count; i++) {
        const struct journal_stats *journal = &inspection->workers[i].journal;
        if (!journal->is_full || journal->room > 0) continue;
        dr_buf_put(buf, DR_LIT("{\"status\":\"storage_full\"}"));
        return 503;
    }
    dr_buf_put(buf, DR_LIT("{\"status\":\"ready\"}"));
    return 200;
}

static void put_worker(struct dr_buf *buf, size_t index, const struct inspection_worker *seen) {
    dr_buf_format(buf,
                  "{\"index\":%zu,\"connections\":%zu,\"requests_in_flight\":%zu,"
                  "\"upstream_connections\":{\"idle\":%u,\"busy\":%u},\"journal_full\":%s}",
                  index, seen->connections, seen->exchanges, seen->pool.connections_idle,
                  seen->pool.asks_running, seen->journal.is_full ? "true" : "false");
}

static void put_model(struct dr_buf *buf, const struct catalog_model *model) {
    dr_buf_put(buf, DR_LIT("{\"name\":"));
    dr_json_put_string(buf, model->name);
    dr_buf_put(buf, DR_LIT(",\"targets\":["));
    for (size_t i = 0; i < model->target_count; i++) {
        const struct target *target = &model->targets[i];
        dr_buf_put(buf, i > 0 ? DR_LIT(",{\"name\":") : DR_LIT("{\"name\":"));
        dr_json_put_string(buf, target->name);
        dr_buf_put(buf, DR_LIT(",\"provider\":"));
        dr_json_put_string(buf, target->provider->name);
        dr_buf_put_char(buf, '}');
    }
    dr_buf_put(buf, DR_LIT("]}"));
}

void admin_status_put(struct dr_buf *buf, const struct inspection *inspection,
                      const struct server *server) {
    const struct config *config = server_config(server);
    char started[DR_WALL_TEXT_BYTES];
    dr_wall_format((dr_wall){dr_wall_now().ms - inspection->uptime_ms}, started);

    dr_buf_format(buf,
                  "{\"version\":\"%s\",\"status\":\"%s\",\"started\":\"%s\","
                  "\"uptime_seconds\":%" PRId64 ",\"listen\":",
                  DROVER_VERSION, inspection->is_draining ? "draining" : "running", started,
                  inspection->uptime_ms / 1000);
    dr_json_put_string(buf, config->listen);
    dr_buf_put(buf, DR_LIT(",\"admin_listen\":"));
    dr_json_put_string(buf, config->admin_listen);
    dr_buf_put(buf, DR_LIT(",\"data\":"));
    dr_json_put_string(buf, dr_slice_text(config->data));
    dr_buf_format(buf, ",\"keys\":%zu,\"config\":{\"generation\":%" PRIu64 ",\"file\":",
                  inspection->key_count, inspection->generation);
    dr_json_put_string_or_null(buf, dr_slice_text(server_config_path(server)));
    dr_buf_format(buf,
                  "},\"bookkeeper\":{\"records\":%" PRIu64 ",\"failures\":%" PRIu64
                  ",\"waiting_bytes\":%" PRIu64 "},\"workers\":[",
                  inspection->bookkeeper.records, inspection->bookkeeper.failures,
                  inspection->bookkeeper.waiting_bytes);
    for (size_t i = 0; i < inspection->worker_count; i++) {
        if (i > 0) dr_buf_put_char(buf, ',');
        put_worker(buf, i, &inspection->workers[i]);
    }
    dr_buf_put(buf, DR_LIT("],\"models\":["));
    for (size_t i = 0; i < config->catalog.model_count; i++) {
        if (i > 0) dr_buf_put_char(buf, ',');
        put_model(buf, &config->catalog.models[i]);
    }
    dr_buf_put(buf, DR_LIT("]}"));
}
