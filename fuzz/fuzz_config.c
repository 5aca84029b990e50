/* gateway/config: any text is a configuration or refused with a place and a sentence, the same each
 * time. The environment is emptied first, but for two variables, so that no finding can hold a
 * secret of the machine; the reader of texts opens no file. */
#include "gateway/config.h"

#include "base/assert.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void empty_environment(void) {
    static bool is_empty;
    if (is_empty) return;
    is_empty = true;
    dr_assert(clearenv() == 0);
    dr_assert(setenv("KEY", "sk-secret", 1) == 0);
    dr_assert(setenv("EMPTY", "", 1) == 0);
}

/* What the rest of the gateway takes for granted. */
static void check_config(const struct config *config) {
    const struct catalog *catalog = &config->catalog;
    dr_assert(config->listen.len > 0 && config->admin_listen.len > 0 && config->data);
    dr_assert(!config->tls_cert == !config->tls_key);
    dr_assert(config->workers >= 1 && config->connections_max >= 1);
    dr_assert(config->connect_ms > 0 && config->first_byte_ms > 0 && config->idle_ms > 0);
    dr_assert(catalog->model_count >= 1);
    for (size_t i = 0; i < catalog->model_count; i++) {
        const struct catalog_model *model = &catalog->models[i];
        dr_assert(model->name.len > 0 && model->target_count >= 1);
        dr_assert(model->price.input >= 0 && model->price.output >= 0);
        dr_assert(model->price.cached_input >= 0);
        for (size_t k = 0; k < model->target_count; k++) {
            const struct target *target = &model->targets[k];
            dr_assert(target->name.len > 0 && target->provider);
            dr_assert(target->provider->index < catalog->provider_count);
            dr_assert(target->provider == &catalog->providers[target->provider->index]);
        }
    }
    for (size_t i = 0; i < config->warning_count; i++) dr_assert(config->warnings[i].len > 0);
}

static enum dr_status read_once(dr_slice text, struct dr_error *error) {
    struct config *config = NULL;
    const enum dr_status status = config_read_text("drover.yaml", text, &config, error);
    if (status == DR_OK) {
        check_config(config);
    } else {
        const dr_slice sentence = dr_slice_text(error->text);
        dr_assert(error->status == status);
        dr_assert(dr_slice_starts(sentence, DR_LIT("drover.yaml:")));
        /* What the environment holds is told to nobody. */
        const dr_slice secret = DR_LIT("sk-secret");
        const bool is_written_out = dr_slice_find(text, secret) < text.len;
        dr_assert(is_written_out || dr_slice_find(sentence, secret) == sentence.len);
    }
    config_free(config);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    struct dr_error first = {0};
    struct dr_error second = {0};
    if (len > 65536) return 0;
    empty_environment();
    const dr_slice text = dr_slice_of((const char *)bytes, len);
    const enum dr_status status = read_once(text, &first);
    dr_assert(status == DR_OK || status == DR_INVALID || status == DR_NO_MEMORY);
    dr_assert(read_once(text, &second) == status);
    dr_assert(strcmp(first.text, second.text) == 0);
    return 0;
}
