/* Ledger entries as journal bytes and back. Pure: no file, no clock, no allocation but the
 * buffer's. Reading trusts nothing: the bytes come from a disk that may have torn or rotted
 * them. */
#include "store/journal_record.h"

#include "base/assert.h"
#include "base/digest.h"
#include "base/utf8.h"

#include <endian.h>

enum {
    MAGIC = 0x314A5244, /* "DRJ1" on the disk */
    VERSION = 1,
    FIXED_BYTES = 112,
    GROUP_TEXTS = 3,
    PLAIN_TEXTS = 5,
    GROUP_HEAD_BYTES = GROUP_TEXTS * 2,
    ATTEMPT_HEAD_BYTES = 8,
    ATTEMPT_TARGET_BYTES_MAX = 192,
    FLAG_CANCELLED = 1,
};

_Static_assert(JOURNAL_RECORD_HEAD_BYTES + FIXED_BYTES + GROUP_HEAD_BYTES +
                       (GROUP_TEXTS + PLAIN_TEXTS) * LEDGER_TEXT_BYTES_MAX +
                       LEDGER_ATTEMPTS_MAX * (ATTEMPT_HEAD_BYTES + ATTEMPT_TARGET_BYTES_MAX) + 7 <=
                   JOURNAL_RECORD_BYTES_MAX,
               "the largest entry fits a record");

/* --- integers ------------------------------------------------------------------------------- */

static void put_u16(char *at, uint16_t value) {
    const uint16_t bytes = htole16(value);
    memcpy(at, &bytes, sizeof(bytes));
}

static void put_u32(char *at, uint32_t value) {
    const uint32_t bytes = htole32(value);
    memcpy(at, &bytes, sizeof(bytes));
}

static void put_u64(char *at, uint64_t value) {
    const uint64_t bytes = htole64(value);
    memcpy(at, &bytes, sizeof(bytes));
}

static uint16_t get_u16(const char *at) {
    uint16_t bytes;
    memcpy(&bytes, at, sizeof(bytes));
    return le16toh(bytes);
}

static uint32_t get_u32(const char *at) {
    uint32_t bytes;
    memcpy(&bytes, at, sizeof(bytes));
    return le32toh(bytes);
}

static uint64_t get_u64(const char *at) {
    uint64_t bytes;
    memcpy(&bytes, at, sizeof(bytes));
    return le64toh(bytes);
}

static int64_t get_i64(const char *at) {
    return (int64_t)get_u64(at);
}

/* --- writing -------------------------------------------------------------------------------- */

static dr_slice cut(dr_slice text, size_t len_max) {
    return text.len > len_max ? dr_utf8_first(text, len_max) : text;
}

static char *put_text(char *at, dr_slice text) {
    if (text.len > 0) memcpy(at, text.data, text.len);
    return at + text.len;
}

static uint32_t kept_of(uint32_t attempt_count) {
    return attempt_count < LEDGER_ATTEMPTS_MAX ? attempt_count : LEDGER_ATTEMPTS_MAX;
}

static char *put_attempts(char *at, const struct ledger_entry *entry, uint32_t kept) {
    for (uint32_t index = 0; index < kept; index++) {
        const struct ledger_attempt *attempt = &entry->attempts[index];
        const dr_slice target = cut(attempt->target, ATTEMPT_TARGET_BYTES_MAX);
        put_u16(at, (uint16_t)target.len);
        put_u16(at + 2, attempt->status);
        put_u32(at + 4, attempt->duration_ms);
        at = put_text(at + ATTEMPT_HEAD_BYTES, target);
    }
    return at;
}

static void put_fixed(char *at, const struct ledger_entry *entry, uint32_t kept) {
    at[0] = VERSION;
    at[1] = (char)entry->transport;
    at[2] = entry->is_cancelled ? FLAG_CANCELLED : 0;
    at[3] = (char)entry->usage.source;
    put_u16(at + 4, entry->status);
    at[6] = (char)kept;
    at[7] = 0;
    put_u32(at + 8, entry->attempt_count);
    put_u32(at + 12, entry->first_token_ms);
    put_u32(at + 16, entry->duration_ms);
    put_u16(at + 30, 0);
    put_u64(at + 32, (uint64_t)entry->created.ms);
    put_u64(at + 40, entry->usage.prompt_tokens);
    put_u64(at + 48, entry->usage.completion_tokens);
    put_u64(at + 56, entry->usage.total_tokens);
    put_u64(at + 64, entry->usage.cached_tokens);
    put_u64(at + 72, entry->usage.reasoning_tokens);
    put_u64(at + 80, (uint64_t)entry->price.input);
    put_u64(at + 88, (uint64_t)entry->price.output);
    put_u64(at + 96, (uint64_t)entry->price.cached_input);
    put_u64(at + 104, (uint64_t)entry->cost.nanousd);
}

static size_t seal(char *record, size_t payload_len) {
    const char *payload = record + JOURNAL_RECORD_HEAD_BYTES;
    const size_t end = JOURNAL_RECORD_HEAD_BYTES + payload_len;
    const size_t len = (end + 7) & ~(size_t)7;
    memset(record + end, 0, len - end);
    put_u32(record, MAGIC);
    put_u32(record + 4, (uint32_t)payload_len);
    put_u32(record + 8, dr_crc32c(0, dr_slice_of(payload, payload_len)));
    put_u32(record + 12, dr_crc32c(0, dr_slice_of(record, 12)));
    return len;
}

size_t journal_record_write(char record[JOURNAL_RECORD_BYTES_MAX],
                            const struct ledger_entry *entry) {
    dr_assert((unsigned)entry->transport < TRANSPORT_COUNT);
    const uint32_t kept = kept_of(entry->attempt_count);
    const dr_slice group[GROUP_TEXTS] = {entry->account_id, entry->key_id, entry->model};
    const dr_slice plain[PLAIN_TEXTS] = {entry->request_id, entry->client_id, entry->key_name,
                                         entry->user, entry->target};
    char *payload = record + JOURNAL_RECORD_HEAD_BYTES;
    put_fixed(payload, entry, kept);
    char *at = payload + FIXED_BYTES + GROUP_HEAD_BYTES;
    for (size_t index = 0; index < GROUP_TEXTS; index++) {
        const dr_slice text = cut(group[index], LEDGER_TEXT_BYTES_MAX);
        put_u16(payload + FIXED_BYTES + 2 * index, (uint16_t)text.len);
        at = put_text(at, text);
    }
    for (size_t index = 0; index < PLAIN_TEXTS; index++) {
        const dr_slice text = cut(plain[index], LEDGER_TEXT_BYTES_MAX);
        put_u16(payload + 20 + 2 * index, (uint16_t)text.len);
        at = put_text(at, text);
    }
    at = put_attempts(at, entry, kept);
    return seal(record, (size_t)(at - payload));
}

void journal_encode(struct dr_buf *buf, const struct ledger_entry *entry) {
    char *record = dr_buf_reserve(buf, JOURNAL_RECORD_BYTES_MAX);
    if (!record) return;
    dr_buf_commit(buf, journal_record_write(record, entry));
}

/* --- reading -------------------------------------------------------------------------------- */

/* Takes `len` bytes from `*rest`; an empty text has no data, as an absent one. */
static bool take_text(dr_slice *rest, size_t len, size_t len_max, dr_slice *ret) {
    if (len > len_max || len > rest->len) return false;
    *ret = len > 0 ? dr_slice_first(*rest, len) : DR_NONE;
    *rest = dr_slice_from(*rest, len);
    return true;
}

static bool take_attempts(dr_slice *rest, uint32_t kept, struct ledger_entry *entry) {
    for (uint32_t index = 0; index < kept; index++) {
        struct ledger_attempt *attempt = &entry->attempts[index];
        if (rest->len < ATTEMPT_HEAD_BYTES) return false;
        const size_t target_len = get_u16(rest->data);
        attempt->status = get_u16(rest->data + 2);
        attempt->duration_ms = get_u32(rest->data + 4);
        *rest = dr_slice_from(*rest, ATTEMPT_HEAD_BYTES);
        if (!take_text(rest, target_len, ATTEMPT_TARGET_BYTES_MAX, &attempt->target)) return false;
    }
    return true;
}

static void get_fixed(const char *at, struct ledger_entry *entry) {
    entry->transport = (enum transport)(uint8_t)at[1];
    entry->is_cancelled = at[2] == FLAG_CANCELLED;
    entry->status = get_u16(at + 4);
    entry->attempt_count = get_u32(at + 8);
    entry->first_token_ms = get_u32(at + 12);
    entry->duration_ms = get_u32(at + 16);
    entry->created.ms = get_i64(at + 32);
    entry->usage = (struct usage){
        .source = (enum usage_source)(uint8_t)at[3],
        .prompt_tokens = get_u64(at + 40),
        .completion_tokens = get_u64(at + 48),
        .total_tokens = get_u64(at + 56),
        .cached_tokens = get_u64(at + 64),
        .reasoning_tokens = get_u64(at + 72),
    };
    entry->price = (struct price){
        .input = get_i64(at + 80), .output = get_i64(at + 88), .cached_input = get_i64(at + 96)};
    entry->cost.nanousd = get_i64(at + 104);
}

static bool decode_payload(dr_slice payload, struct ledger_entry *entry) {
    if (payload.len < FIXED_BYTES + GROUP_HEAD_BYTES) return false;
    const char *at = payload.data;
    const uint32_t kept = (uint8_t)at[6];
    if (at[0] != VERSION || (uint8_t)at[1] >= TRANSPORT_COUNT) return false;
    if ((uint8_t)at[2] > FLAG_CANCELLED || (uint8_t)at[3] > USAGE_ESTIMATED) return false;
    if (kept != kept_of(get_u32(at + 8))) return false;
    get_fixed(at, entry);
    dr_slice *group[GROUP_TEXTS] = {&entry->account_id, &entry->key_id, &entry->model};
    dr_slice *plain[PLAIN_TEXTS] = {&entry->request_id, &entry->client_id, &entry->key_name,
                                    &entry->user, &entry->target};
    dr_slice rest = dr_slice_from(payload, FIXED_BYTES + GROUP_HEAD_BYTES);
    for (size_t index = 0; index < GROUP_TEXTS; index++) {
        const size_t len = get_u16(at + FIXED_BYTES + 2 * index);
        if (!take_text(&rest, len, LEDGER_TEXT_BYTES_MAX, group[index])) return false;
    }
    for (size_t index = 0; index < PLAIN_TEXTS; index++) {
        const size_t len = get_u16(at + 20 + 2 * index);
        if (!take_text(&rest, len, LEDGER_TEXT_BYTES_MAX, plain[index])) return false;
    }
    if (!take_attempts(&rest, kept, entry)) return false;
    for (uint32_t index = kept; index < LEDGER_ATTEMPTS_MAX; index++) {
        entry->attempts[index] = (struct ledger_attempt){0};
    }
    return rest.len == 0;
}

size_t journal_record_length(dr_slice bytes) {
    if (bytes.len < JOURNAL_RECORD_HEAD_BYTES) return 0;
    const size_t payload_len = get_u32(bytes.data + 4);
    if (payload_len > JOURNAL_RECORD_BYTES_MAX - JOURNAL_RECORD_HEAD_BYTES) return 0;
    const size_t len = (JOURNAL_RECORD_HEAD_BYTES + payload_len + 7) & ~(size_t)7;
    return len <= bytes.len ? len : 0;
}

enum journal_read journal_decode(dr_slice *bytes, struct ledger_entry *ret_entry) {
    if (bytes->len < JOURNAL_RECORD_HEAD_BYTES) return JOURNAL_END;
    const char *head = bytes->data;
    /* Where blocks could not be reserved without writing, zeros stand behind the last record. */
    if (get_u32(head) == 0) return JOURNAL_END;
    if (get_u32(head) != MAGIC) return JOURNAL_TORN;
    if (get_u32(head + 12) != dr_crc32c(0, dr_slice_of(head, 12))) return JOURNAL_TORN;
    const size_t payload_len = get_u32(head + 4);
    if (payload_len > JOURNAL_RECORD_BYTES_MAX - JOURNAL_RECORD_HEAD_BYTES) return JOURNAL_TORN;
    const size_t len = journal_record_length(*bytes);
    if (len == 0) return JOURNAL_END;
    const dr_slice payload = dr_slice_of(head + JOURNAL_RECORD_HEAD_BYTES, payload_len);
    if (get_u32(head + 8) != dr_crc32c(0, payload)) return JOURNAL_TORN;
    if (!decode_payload(payload, ret_entry)) return JOURNAL_TORN;
    *bytes = dr_slice_from(*bytes, len);
    return JOURNAL_RECORD;
}

dr_slice journal_record_group(const struct ledger_entry *decoded) {
    /* Absent texts have no data, so the place is found from whichever is there. */
    const size_t len = decoded->account_id.len + decoded->key_id.len + decoded->model.len;
    const char *texts = decoded->account_id.data;
    if (!texts) texts = decoded->key_id.data;
    if (!texts) texts = decoded->model.data;
    if (!texts) return DR_LIT("\0\0\0\0\0\0");
    return dr_slice_of(texts - GROUP_HEAD_BYTES, GROUP_HEAD_BYTES + len);
}
