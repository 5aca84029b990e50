/* What can be asked for: models, their prices, the targets that serve them, the providers
 * behind. Plain records, made once by the configuration and never changed afterwards. */
#ifndef DR_MODEL_CATALOG_H
#define DR_MODEL_CATALOG_H

#include "base/map.h"
#include "base/slice.h"
#include "model/money.h"

enum dialect { DIALECT_OPENAI, DIALECT_ANTHROPIC, DIALECT_GEMINI };

struct provider {
    dr_slice name;
    enum dialect dialect;
    bool is_https;
    dr_slice host; /* NUL-terminated behind its length too */
    uint16_t port;
    dr_slice authority;       /* Host header */
    dr_slice path;            /* base path, without trailing '/' */
    const dr_slice *api_keys; /* secrets: never to a log */
    size_t api_key_count;     /* 0: no Authorization is sent */
    const char *ca_file;      /* NULL: the system's roots only */
    bool asks_usage;          /* ask for usage in streams (`stream_usage`, default true) */
    size_t index;             /* in the catalog */
    uint32_t line, column;    /* of `ca_file` in the configuration */
};

struct target {
    dr_slice name;
    const struct provider *provider;
    dr_slice model;          /* the provider's name for it; "*" passes the asked name on */
    dr_slice model_json;     /* the same as JSON string, quoted; empty for "*" */
    struct price list_price; /* the official price, for savings; all 0 when not given */
};

struct catalog_model {
    /* may end in '*': serves every name that begins so and has no entry of its own */
    dr_slice name;
    struct price price;
    const struct target *targets; /* in the order they are tried */
    size_t target_count;          /* ≥ 1 */
};

struct catalog {
    const struct provider *providers;
    size_t provider_count;
    const struct catalog_model *models; /* in configured order */
    size_t model_count;
    struct dr_map by_name;
};

/* The exact name first, then the longest name ending in '*' that fits. NULL when there is none. */
const struct catalog_model *catalog_find(const struct catalog *catalog, dr_slice name);

#endif
