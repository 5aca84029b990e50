/* Reads the fault words of the simulated provider. Pure: knows neither requests nor sockets, and
 * must not decide what a fault does to an answer. */
#include "sim/fault.h"

#include "base/check.h"

#include <stddef.h>

#define TEXT(text) \
    { "" text, sizeof(text) - 1 }

/* Words without a value, each a boolean of the record. */
static const struct {
    dr_slice word;
    size_t offset;
} plain_words[] = {
    {TEXT("refuse"), offsetof(struct sim_fault, refuse)},
    {TEXT("stall"), offsetof(struct sim_fault, stall)},
    {TEXT("stall_mid"), offsetof(struct sim_fault, stall_mid)},
    {TEXT("cut"), offsetof(struct sim_fault, cut)},
    {TEXT("cut_mid"), offsetof(struct sim_fault, cut_mid)},
    {TEXT("close_idle"), offsetof(struct sim_fault, close_idle)},
    {TEXT("garbage"), offsetof(struct sim_fault, garbage)},
    {TEXT("bad_json"), offsetof(struct sim_fault, bad_json)},
    {TEXT("error_event"), offsetof(struct sim_fault, error_event)},
    {TEXT("dribble"), offsetof(struct sim_fault, dribble)},
    {TEXT("no_usage"), offsetof(struct sim_fault, no_usage)},
    {TEXT("split_utf8"), offsetof(struct sim_fault, split_utf8)},
    {TEXT("huge"), offsetof(struct sim_fault, huge)},
};

/* A word may come from a stranger's header: only so much of it is repeated. */
enum { WORD_SHOWN_MAX = 40 };

static enum dr_status fail_word(struct dr_error *error, const char *what, dr_slice word) {
    return dr_fail(error, DR_INVALID, 0, "%s \"%.*s\"", what,
                   DR_FMT(dr_slice_first(word, WORD_SHOWN_MAX)));
}

/* Without a limit to speak of, but small enough to be counted with. */
static bool is_between(uint64_t value, uint64_t least, uint64_t most) {
    return value >= least && value <= most;
}

static enum dr_status parse_valued(dr_slice name, dr_slice text, struct sim_fault *fault,
                                   struct dr_error *error) {
    uint64_t value = 0;
    const bool is_number = dr_slice_to_u64(text, &value);
    if (dr_slice_is(name, DR_LIT("status"))) {
        if (!is_number || !is_between(value, 300, 599)) {
            return fail_word(error, "fault status takes a number from 300 to 599, not", text);
        }
        fault->status = (uint16_t)value;
    } else if (dr_slice_is(name, DR_LIT("retry_after"))) {
        if (!is_number || !is_between(value, 1, 86400)) {
            return fail_word(error, "fault retry_after takes seconds from 1 to 86400, not", text);
        }
        fault->retry_after_s = (uint32_t)value;
    } else if (dr_slice_is(name, DR_LIT("slow"))) {
        if (!is_number || !is_between(value, 1, 1000000000)) {
            return fail_word(error, "fault slow takes bytes per second from 1, not", text);
        }
        fault->slow_bytes_per_s = value;
    } else if (dr_slice_is(name, DR_LIT("times"))) {
        if (!is_number || !is_between(value, 1, UINT32_MAX)) {
            return fail_word(error, "fault times takes a number from 1, not", text);
        }
        fault->times = (uint32_t)value;
    } else {
        return fail_word(error, "unknown fault word", name);
    }
    return DR_OK;
}

static enum dr_status parse_plain(dr_slice word, struct sim_fault *fault, struct dr_error *error) {
    for (size_t i = 0; i < sizeof plain_words / sizeof plain_words[0]; i++) {
        if (!dr_slice_is(word, plain_words[i].word)) continue;
        *(bool *)(void *)((char *)fault + plain_words[i].offset) = true;
        return DR_OK;
    }
    return fail_word(error, "unknown fault word", word);
}

enum dr_status sim_fault_parse(dr_slice words, struct sim_fault *ret_fault,
                               struct dr_error *error) {
    struct sim_fault fault = {0};
    dr_slice rest = dr_slice_trim(words);
    while (rest.len > 0) {
        dr_slice value = dr_slice_trim(dr_slice_split(&rest, ','));
        const bool is_valued = dr_slice_find_char(value, '=') < value.len;
        const dr_slice name = dr_slice_trim(dr_slice_split(&value, '='));
        const enum dr_status status = is_valued
                                          ? parse_valued(name, dr_slice_trim(value), &fault, error)
                                          : parse_plain(name, &fault, error);
        if (status) return status;
        /* "cut," ends in an empty word, which the loop's condition would let pass. */
        if (rest.data && rest.len == 0) return fail_word(error, "unknown fault word", rest);
    }
    *ret_fault = fault;
    return DR_OK;
}
