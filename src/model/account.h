/* Customers and their keys, as records. */
#ifndef DR_MODEL_ACCOUNT_H
#define DR_MODEL_ACCOUNT_H

#include "base/digest.h"
#include "base/instant.h"
#include "base/slice.h"
#include "model/money.h"

enum { ACCOUNT_ID_BYTES = 24, ACCOUNT_NAME_BYTES_MAX = 128, KEY_MODELS_MAX = 256 };

struct account {
    dr_slice id; /* "acc_…" */
    dr_slice name;
    money balance; /* top-ups less settled costs */
    dr_wall created;
};

struct api_key {
    dr_slice id; /* "key_…" */
    dr_slice account_id;
    dr_slice name;
    struct dr_sha256 digest; /* of the whole key text; the text itself is never stored */
    dr_slice hint;           /* last four characters, so that an owner recognises it */
    dr_wall created;
    dr_wall expires;              /* ms 0: never */
    dr_wall revoked;              /* ms 0: not */
    uint32_t requests_per_minute; /* 0: no limit */
    const dr_slice *models;       /* allow-list; a name may end in '*' */
    size_t model_count;           /* 0: all models */
};

/* Whether the key may use `model`. */
bool api_key_allows(const struct api_key *key, dr_slice model);

/* The text of a key: "sk-drover-" and 49 characters of base62: 32 random bytes and their CRC-32. */
enum { API_KEY_TEXT_BYTES = 10 + 49 };
void api_key_write(const uint8_t random[32], char text[API_KEY_TEXT_BYTES]);
/* Whether text has the shape and its checksum fits. */
bool api_key_is_well_formed(dr_slice text);

#endif
