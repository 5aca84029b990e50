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
    VERSION_FIXED = 1,  /* read only */
    VERSION = 2,
    FIXED_BYTES = 112, /* of version 1 */
    START_BYTES = 5,
    GROUP_TEXTS = 3,
    PLAIN_TEXTS = 5,
    GROUP_HEAD_BYTES = GROUP_TEXTS * 2,
    NUMBERS = 14,
    NUMBER_BYTES_MAX = 10,
    ATTEMPT_NUMBERS = 3,
    ATTEMPT_HEAD_BYTES = 8, /* of version 1 */
    ATTEMPT_TARGET_BYTES_MAX = 192,
    FLAG_CANCELLED = 1,
    FLAG_MODEL_UNKNOWN = 2,
};

_Static_assert(JOURNAL_RECORD_HEAD_BYTES + START_BYTES + GROUP_HEAD_BYTES +
                       (NUMBERS + PLAIN_TEXTS) * NUMBER_BYTES_MAX +
                       (GROUP_TEXTS + PLAIN_TEXTS) * LEDGER_TEXT_BYTES_MAX +
                       LEDGER_ATTEMPTS_MAX *
                           (ATTEMPT_NUMBERS * NUMBER_BYTES_MAX + ATTEMPT_TARGET_BYTES_MAX) +
                       7 <=
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

/* Seven bits a byte, the lowest first, the last without the eighth (unsigned LEB128). */
static char *put_number(char *at, uint64_t value) {
    while (value > 0x7f) {
        *at++ = (char)(value | 0x80);
        value >>= 7;
    }
    *at++ = (char)value;
    return at;
}

/* Small ones of either sign are short: 0, -1, 1, -2, … */
static char *put_signed(char *at, int64_t value) {
    return put_number(at, ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0));
}

static bool take_number(dr_slice *rest, uint64_t *ret) {
    uint64_t value = 0;
    for (size_t index = 0; index < NUMBER_BYTES_MAX && index < rest->len; index++) {
        const uint64_t byte = (uint8_t)rest->data[index];
        value |= (byte & 0x7f) << (7 * index);
        if (byte & 0x80) continue;
        *ret = value;
        *rest = dr_slice_from(*rest, index + 1);
        return true;
    }
    return false;
}

static int64_t signed_of(uint64_t number) {
    return (int64_t)((number >> 1) ^ (number & 1 ? UINT64_MAX : 0));
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

/* Mostly the last attempt's target is who answered, which is not written twice. */
static char *put_attempts(char *at, const struct ledger_entry *entry, uint32_t kept) {
    for (uint32_t index = 0; index < kept; index++) {
        const struct ledger_attempt *attempt = &entry->attempts[index];
        const dr_slice target = cut(attempt->target, ATTEMPT_TARGET_BYTES_MAX);
        const bool is_same = dr_slice_is(target, entry->target);
        at = put_number(at, attempt->status);
        at = put_number(at, attempt->duration_ms);
        at = put_number(at, is_same ? 0 : target.len + 1);
        if (!is_same) at = put_text(at, target);
    }
    return at;
}

static char *put_start(char *at, const struct ledger_entry *entry, uint32_t kept) {
    at[0] = VERSION;
    at[1] = (char)entry->transport;
    at[2] = (char)((entry->is_cancelled ? FLAG_CANCELLED : 0) |
                   (entry->is_model_unknown ? FLAG_MODEL_UNKNOWN : 0));
    at[3] = (char)entry->usage.source;
    at[4] = (char)kept;
    return at + START_BYTES;
}

static char *put_group(char *at, const struct ledger_entry *entry) {
    const dr_slice texts[GROUP_TEXTS] = {entry->account_id, entry->key_id, entry->model};
    char *lengths = at;
    at += GROUP_HEAD_BYTES;
    for (size_t index = 0; index < GROUP_TEXTS; index++) {
        const dr_slice text = cut(texts[index], LEDGER_TEXT_BYTES_MAX);
        put_u16(lengths + 2 * index, (uint16_t)text.len);
        at = put_text(at, text);
    }
    return at;
}

static char *put_numbers(char *at, const struct ledger_entry *entry) {
    at = put_number(at, entry->status);
    at = put_number(at, entry->attempt_count);
    at = put_number(at, entry->first_token_ms);
    at = put_number(at, entry->duration_ms);
    at = put_signed(at, entry->created.ms);
    at = put_number(at, entry->usage.prompt_tokens);
    at = put_number(at, entry->usage.completion_tokens);
    at = put_number(at, entry->usage.total_tokens);
    at = put_number(at, entry->usage.cached_tokens);
    at = put_number(at, entry->usage.reasoning_tokens);
    at = put_signed(at, entry->price.input);
    at = put_signed(at, entry->price.output);
    at = put_signed(at, entry->price.cached_input);
    return put_signed(at, entry->cost.nanousd);
}

static char *put_plain(char *at, const struct ledger_entry *entry) {
    const dr_slice texts[PLAIN_TEXTS] = {entry->request_id, entry->client_id, entry->key_name,
                                         entry->user, entry->target};
    for (size_t index = 0; index < PLAIN_TEXTS; index++) {
        const dr_slice text = cut(texts[index], LEDGER_TEXT_BYTES_MAX);
        at = put_number(at, text.len);
        at = put_text(at, text);
    }
    return at;
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
    char *payload = record + JOURNAL_RECORD_HEAD_BYTES;
    char *at = put_start(payload, entry, kept);
    at = put_group(at, entry);
    at = put_numbers(at, entry);
    at = put_plain(at, entry);
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

static bool take_texts(dr_slice *rest, const char *lengths, size_t count, dr_slice *texts[]) {
    for (size_t index = 0; index < count; index++) {
        const size_t len = get_u16(lengths + 2 * index);
        if (!take_text(rest, len, LEDGER_TEXT_BYTES_MAX, texts[index])) return false;
    }
    return true;
}

static bool take_group(dr_slice *rest, struct ledger_entry *entry) {
    dr_slice *texts[GROUP_TEXTS] = {&entry->account_id, &entry->key_id, &entry->model};
    if (rest->len < GROUP_HEAD_BYTES) return false;
    const char *lengths = rest->data;
    *rest = dr_slice_from(*rest, GROUP_HEAD_BYTES);
    return take_texts(rest, lengths, GROUP_TEXTS, texts);
}

/* What is alike in both versions, from a payload that is long enough. */
static bool get_start(const char *at, struct ledger_entry *entry) {
    if ((uint8_t)at[1] >= TRANSPORT_COUNT) return false;
    const unsigned flags = (uint8_t)at[2];
    if (flags > (FLAG_CANCELLED | FLAG_MODEL_UNKNOWN)) return false;
    if ((uint8_t)at[3] > USAGE_ESTIMATED) return false;
    entry->transport = (enum transport)(uint8_t)at[1];
    entry->is_cancelled = (flags & FLAG_CANCELLED) != 0;
    entry->is_model_unknown = (flags & FLAG_MODEL_UNKNOWN) != 0;
    entry->usage.source = (enum usage_source)(uint8_t)at[3];
    return true;
}

static bool take_numbers(dr_slice *rest, struct ledger_entry *entry) {
    uint64_t numbers[NUMBERS];
    for (size_t index = 0; index < NUMBERS; index++) {
        if (!take_number(rest, &numbers[index])) return false;
    }
    if (numbers[0] > UINT16_MAX) return false;
    if (numbers[1] > UINT32_MAX || numbers[2] > UINT32_MAX || numbers[3] > UINT32_MAX) return false;
    entry->status = (uint16_t)numbers[0];
    entry->attempt_count = (uint32_t)numbers[1];
    entry->first_token_ms = (uint32_t)numbers[2];
    entry->duration_ms = (uint32_t)numbers[3];
    entry->created.ms = signed_of(numbers[4]);
    entry->usage.prompt_tokens = numbers[5];
    entry->usage.completion_tokens = numbers[6];
    entry->usage.total_tokens = numbers[7];
    entry->usage.cached_tokens = numbers[8];
    entry->usage.reasoning_tokens = numbers[9];
    entry->price = (struct price){.input = signed_of(numbers[10]),
                                  .output = signed_of(numbers[11]),
                                  .cached_input = signed_of(numbers[12])};
    entry->cost.nanousd = signed_of(numbers[13]);
    return true;
}

static bool take_plain(dr_slice *rest, struct ledger_entry *entry) {
    dr_slice *texts[PLAIN_TEXTS] = {&entry->request_id, &entry->client_id, &entry->key_name,
                                    &entry->user, &entry->target};
    for (size_t index = 0; index < PLAIN_TEXTS; index++) {
        uint64_t len = 0;
        if (!take_number(rest, &len)) return false;
        if (!take_text(rest, len, LEDGER_TEXT_BYTES_MAX, texts[index])) return false;
    }
    return true;
}

static bool take_attempt(dr_slice *rest, const struct ledger_entry *entry,
                         struct ledger_attempt *attempt) {
    uint64_t numbers[ATTEMPT_NUMBERS];
    for (size_t index = 0; index < ATTEMPT_NUMBERS; index++) {
        if (!take_number(rest, &numbers[index])) return false;
    }
    if (numbers[0] > UINT16_MAX || numbers[1] > UINT32_MAX) return false;
    attempt->status = (uint16_t)numbers[0];
    attempt->duration_ms = (uint32_t)numbers[1];
    attempt->target = entry->target;
    if (numbers[2] == 0) return entry->target.len <= ATTEMPT_TARGET_BYTES_MAX;
    return take_text(rest, numbers[2] - 1, ATTEMPT_TARGET_BYTES_MAX, &attempt->target);
}

static bool decode_payload(dr_slice payload, struct ledger_entry *entry, uint32_t *ret_kept) {
    dr_slice rest = dr_slice_from(payload, START_BYTES);
    const uint32_t kept = (uint8_t)payload.data[4];
    if (!get_start(payload.data, entry) || !take_group(&rest, entry) ||
        !take_numbers(&rest, entry) || !take_plain(&rest, entry) ||
        kept != kept_of(entry->attempt_count)) {
        return false;
    }
    for (uint32_t index = 0; index < kept; index++) {
        if (!take_attempt(&rest, entry, &entry->attempts[index])) return false;
    }
    *ret_kept = kept;
    return rest.len == 0;
}

/* --- reading what earlier builds wrote: version 1, all numbers of fixed length --------------- */

static bool take_fixed_attempts(dr_slice *rest, uint32_t kept, struct ledger_entry *entry) {
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
    entry->status = get_u16(at + 4);
    entry->attempt_count = get_u32(at + 8);
    entry->first_token_ms = get_u32(at + 12);
    entry->duration_ms = get_u32(at + 16);
    entry->created.ms = get_i64(at + 32);
    entry->usage.prompt_tokens = get_u64(at + 40);
    entry->usage.completion_tokens = get_u64(at + 48);
    entry->usage.total_tokens = get_u64(at + 56);
    entry->usage.cached_tokens = get_u64(at + 64);
    entry->usage.reasoning_tokens = get_u64(at + 72);
    entry->price = (struct price){
        .input = get_i64(at + 80), .output = get_i64(at + 88), .cached_input = get_i64(at + 96)};
    entry->cost.nanousd = get_i64(at + 104);
}

static bool decode_fixed_payload(dr_slice payload, struct ledger_entry *entry, uint32_t *ret_kept) {
    dr_slice *plain[PLAIN_TEXTS] = {&entry->request_id, &entry->client_id, &entry->key_name,
                                    &entry->user, &entry->target};
    if (payload.len < FIXED_BYTES) return false;
    const char *at = payload.data;
    dr_slice rest = dr_slice_from(payload, FIXED_BYTES);
    const uint32_t kept = (uint8_t)at[6];
    if (!get_start(at, entry)) return false;
    get_fixed(at, entry);
    *ret_kept = kept;
    return kept == kept_of(entry->attempt_count) && take_group(&rest, entry) &&
           take_texts(&rest, at + 20, PLAIN_TEXTS, plain) &&
           take_fixed_attempts(&rest, kept, entry) && rest.len == 0;
}

/* --- records --------------------------------------------------------------------------------- */

static bool decode_any_payload(dr_slice payload, struct ledger_entry *entry) {
    uint32_t kept = 0;
    if (payload.len < START_BYTES) return false;
    const bool is_whole = payload.data[0] == VERSION ? decode_payload(payload, entry, &kept)
                          : payload.data[0] == VERSION_FIXED
                              ? decode_fixed_payload(payload, entry, &kept)
                              : false;
    for (uint32_t index = kept; is_whole && index < LEDGER_ATTEMPTS_MAX; index++) {
        entry->attempts[index] = (struct ledger_attempt){0};
    }
    return is_whole;
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
    if (!decode_any_payload(payload, ret_entry)) return JOURNAL_TORN;
    *bytes = dr_slice_from(*bytes, len);
    return JOURNAL_RECORD;
}

dr_slice journal_record_group(const struct ledger_entry *decoded,
                              char scratch[JOURNAL_RECORD_GROUP_BYTES_MAX]) {
    /* Absent texts have no data, so the place is found from whichever is there. */
    const size_t len = decoded->account_id.len + decoded->key_id.len + decoded->model.len;
    const char *texts = decoded->account_id.data;
    if (!texts) texts = decoded->key_id.data;
    if (!texts) texts = decoded->model.data;
    if (!texts) return DR_LIT("\0\0\0\0\0\0");
    const dr_slice group = dr_slice_of(texts - GROUP_HEAD_BYTES, GROUP_HEAD_BYTES + len);
    if (!decoded->is_model_unknown) return group;
    const dr_slice kept = dr_slice_first(group, group.len - decoded->model.len);
    memcpy(scratch, kept.data, kept.len);
    put_u16(scratch + 2 * (GROUP_TEXTS - 1), 0); /* the model is the last of them */
    return dr_slice_of(scratch, kept.len);
}
