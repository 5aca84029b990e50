/* The demo's provider, configuration and keys. It only prepares: the gateway that runs on them is
 * the ordinary one. */
#include "cli/demo.h"

#include "base/alloc.h"
#include "base/json.h"
#include "net/mailbox.h"
#include "sim/provider.h"
#include "store/bookkeeper.h"
#include "store/store.h"

#include <arpa/inet.h>
#include <pthread.h>

enum { DEMO_FIRST_TOKEN_MS = 20, DEMO_TOKEN_MS = 10, DEMO_CONFIG_BYTES_MAX = 16384 };
static const int64_t demo_credits_nanousd = 1000 * INT64_C(1000000000);

struct demo {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t started;
    bool has_started; /* guarded by `mutex`, as are the two below */
    enum dr_status status;
    struct dr_error error;
    /* Written by the thread before `has_started`. */
    uint16_t port;
    struct dr_mailbox *mailbox;
    struct dr_loop *loop;
    struct dr_message stop;
};

static void tell_started(struct demo *demo, enum dr_status status) {
    pthread_mutex_lock(&demo->mutex);
    demo->status = status;
    demo->has_started = true;
    pthread_cond_signal(&demo->started);
    pthread_mutex_unlock(&demo->mutex);
}

static void stop_loop(struct dr_message *message) {
    struct demo *demo = (struct demo *)(void *)((char *)message - offsetof(struct demo, stop));
    dr_loop_stop(demo->loop);
}

static void *run_provider(void *owner) {
    struct demo *demo = owner;
    struct sim_provider *provider = NULL;
    const struct sim_options options = {
        .listen = DR_LIT("127.0.0.1:0"),
        .first_token_ms = DEMO_FIRST_TOKEN_MS,
        .token_ms = DEMO_TOKEN_MS,
    };

    enum dr_status status = dr_loop_new(&demo->loop, &demo->error);
    if (status != DR_OK) {
        tell_started(demo, status);
        return NULL;
    }
    status = sim_open(demo->loop, &options, &provider, &demo->error);
    if (status == DR_OK) {
        demo->port = sim_port(provider);
        status = dr_mailbox_open(demo->loop, &demo->mailbox, &demo->error);
        if (status != DR_OK) sim_close(provider);
    }
    tell_started(demo, status);
    if (status == DR_OK) {
        dr_loop_run(demo->loop);
        sim_close(provider);
        dr_mailbox_close(demo->mailbox);
    }
    dr_loop_run(demo->loop);
    dr_loop_free(demo->loop);
    return NULL;
}

static void free_demo(struct demo *demo) {
    pthread_cond_destroy(&demo->started);
    pthread_mutex_destroy(&demo->mutex);
    dr_free(demo);
}

enum dr_status demo_open(struct demo **ret_demo, struct dr_error *error) {
    struct demo *demo = dr_alloc_zero(1, sizeof(*demo));

    if (!demo) return dr_fail(error, DR_NO_MEMORY, 0, "out of memory");
    pthread_mutex_init(&demo->mutex, NULL);
    pthread_cond_init(&demo->started, NULL);
    const int os_code = pthread_create(&demo->thread, NULL, run_provider, demo);
    if (os_code != 0) {
        free_demo(demo);
        return dr_fail(error, DR_IO, os_code, "no thread for the simulated provider: %s",
                       strerror(os_code));
    }
    pthread_mutex_lock(&demo->mutex);
    while (!demo->has_started) pthread_cond_wait(&demo->started, &demo->mutex);
    pthread_mutex_unlock(&demo->mutex);
    if (demo->status != DR_OK) {
        const enum dr_status status = demo->status;
        pthread_join(demo->thread, NULL);
        *error = demo->error;
        free_demo(demo);
        return status;
    }
    *ret_demo = demo;
    return DR_OK;
}

void demo_close(struct demo *demo) {
    if (!demo) return;
    demo->stop.run = stop_loop;
    dr_mailbox_post(demo->mailbox, &demo->stop);
    pthread_join(demo->thread, NULL);
    free_demo(demo);
}

bool demo_is_loopback(dr_slice address) {
    size_t colon = address.len;
    char host[64];
    struct in_addr ip;

    while (colon > 0 && address.data[colon - 1] != ':') colon--;
    if (colon == 0) return false;
    if (!dr_slice_to_text(dr_slice_first(address, colon - 1), host, sizeof(host))) return false;
    if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0) return true;
    /* Parsed, since a name like 127.example.com begins the same way. */
    return inet_pton(AF_INET, host, &ip) == 1 && (ntohl(ip.s_addr) >> 24) == 127;
}

static void put_provider(struct dr_buf *buf, const struct demo *demo, const char *name,
                         const char *dialect, const char *path) {
    dr_buf_format(buf,
                  "  %s: {dialect: %s, base_url: \"http://127.0.0.1:%u%s\", "
                  "api_keys: [sk-sim]}\n",
                  name, dialect, (unsigned)demo->port, path);
}

static void put_model(struct dr_buf *buf, const char *name, const char *price, const char *list,
                      const char *provider, const char *target_model) {
    dr_buf_format(buf,
                  "  \"%s\":\n    price: {input: %s, output: %s}\n    targets:\n"
                  "      - {name: sim, provider: %s, model: \"%s\", "
                  "list_price: {input: %s, output: %s}}\n",
                  name, price, price, provider, target_model, list, list);
}

/* One simulation answers all, each in the API that its model's provider speaks. */
static void put_models(struct dr_buf *buf, const struct demo *demo) {
    dr_buf_put(buf, DR_LIT("providers:\n"));
    put_provider(buf, demo, "sim", "openai", "/v1");
    put_provider(buf, demo, "sim-anthropic", "anthropic", "");
    put_provider(buf, demo, "sim-gemini", "gemini", "");
    dr_buf_put(buf, DR_LIT("models:\n"));
    put_model(buf, "gpt-4.1", "8", "60", "sim", "gpt-4.1");
    put_model(buf, "claude-sonnet-4.5", "15", "75", "sim-anthropic", "claude-sonnet-4-5");
    put_model(buf, "gemini-2.5-flash", "2.50", "15", "sim-gemini", "gemini-2.5-flash");
    put_model(buf, "deepseek-v3.2", "0.42", "3", "sim", "deepseek-chat");
    put_model(buf, "sim:*", "8", "60", "sim", "*");
}

enum dr_status demo_config(const struct demo *demo, const char *listen, const char *admin_listen,
                           const char *data, struct config **ret_config, struct dr_error *error) {
    struct dr_buf buf;

    dr_buf_init(&buf, DEMO_CONFIG_BYTES_MAX);
    /* A JSON string is a YAML string. */
    dr_buf_put(&buf, DR_LIT("listen: "));
    dr_json_put_string(&buf, dr_slice_text(listen));
    dr_buf_put(&buf, DR_LIT("\nadmin: {listen: "));
    dr_json_put_string(&buf, dr_slice_text(admin_listen));
    dr_buf_put(&buf, DR_LIT(", key: " DEMO_ADMIN_KEY "}\n"
                            "timeouts: {first_byte: 10s, between_bytes: 10s}\n"));
    put_models(&buf, demo);

    enum dr_status status = dr_buf_status(&buf);
    if (status != DR_OK) {
        status = dr_fail(error, status, 0, "the demo's configuration does not fit");
    } else {
        status = config_read_text("demo", dr_buf_slice(&buf), ret_config, error);
    }
    dr_buf_clear(&buf);
    if (status != DR_OK) return status;
    (*ret_config)->data = data;
    (*ret_config)->is_demo = true;
    (*ret_config)->allows_loopback_origins = true;
    return DR_OK;
}

/* Makes the key unless it is there already. */
static enum dr_status put_key(struct store *store, const char *id, dr_slice account_id,
                              dr_slice text, uint32_t requests_per_minute, struct dr_arena *arena,
                              struct dr_error *error) {
    const struct api_key key = {
        .id = dr_slice_text(id),
        .account_id = account_id,
        .name = dr_slice_text(id + 4),
        .digest = dr_sha256(text),
        .hint = dr_slice_from(text, text.len - 4),
        .created = dr_wall_now(),
        .requests_per_minute = requests_per_minute,
    };
    struct api_key made;
    const enum dr_status status = store_create_key(store, &key, arena, &made, error);
    return status == DR_EXISTS ? DR_OK : status;
}

static enum dr_status put_keys(struct store *store, struct dr_arena *arena,
                               struct dr_error *error) {
    struct api_key found;
    struct account account;
    uint64_t count;
    enum dr_status status = bookkeeper_replay(store, &count, error);

    if (status != DR_OK) return status;
    status = store_find_key(store, DR_LIT("key_demo"), arena, &found, error);
    if (status == DR_OK) {
        account.id = found.account_id;
    } else if (status == DR_NOT_FOUND) {
        status = store_create_account(store, DR_LIT("demo"), dr_wall_now(), arena, &account, error);
    }
    if (status != DR_OK) return status;
    status = put_key(store, "key_demo", account.id, DR_LIT(DEMO_KEY), 0, arena, error);
    if (status != DR_OK) return status;
    status =
        put_key(store, "key_demo_limited", account.id, DR_LIT(DEMO_LIMITED_KEY), 5, arena, error);
    if (status != DR_OK) return status;
    /* The reference lets the credits come once only, also when an earlier start was cut short. */
    status = store_topup(store, account.id, (money){demo_credits_nanousd},
                         DR_LIT("demo-first-start"), dr_wall_now(), error);
    return status == DR_EXISTS ? DR_OK : status;
}

enum dr_status demo_put_keys(const char *data, struct dr_error *error) {
    struct store *store;
    struct dr_arena arena;
    enum dr_status status = store_open(data, &store, error);

    if (status != DR_OK) return status;
    dr_arena_init(&arena, 1u << 20, NULL);
    status = put_keys(store, &arena, error);
    dr_arena_clear(&arena);
    store_close(store);
    return status;
}
