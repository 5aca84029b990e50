/* A value for a schema. Must not validate schemas: what it does not understand, it takes as absent.
 */
#include "sim/schema_sample.h"

#include "sim/script.h"

enum {
    DEPTH_REQUIRED_ONLY = 4, /* optional properties end here: most recursive schemas do, too */
    DEPTH_MAX = 16,
    REF_HOPS_MAX = 8,
    ITEMS_MAX = 256,
    TEXT_BYTES_MAX = 4096,
    VALUE_BYTES_MAX = 65536, /* wide and deep schemas multiply; what comes beyond this is null */
    PARTS_MAX = 8,           /* schemas joined by one allOf */
};

struct sampler {
    struct dr_buf *buf;
    size_t start;
    dr_json root;
    uint64_t seed;
};

static void put_value(struct sampler *sampler, dr_json schema, uint32_t depth);

static dr_json member(dr_json schema, const char *name) {
    return dr_json_member(schema, dr_slice_text(name));
}

/* "#/$defs/Address": names are looked up as they stand, "~1" and "~0" are not in use there. */
static dr_json follow_ref(const struct sampler *sampler, dr_slice ref) {
    dr_json at = sampler->root;
    if (!dr_slice_starts(ref, DR_LIT("#"))) return NULL;
    dr_slice rest = dr_slice_from(ref, 1);
    if (rest.len > 0) rest = dr_slice_from(rest, 1);
    while (rest.len > 0 && at) at = dr_json_member(at, dr_slice_split(&rest, '/'));
    return at;
}

static bool is_null_schema(dr_json schema) {
    return dr_slice_is_nocase(dr_json_text(member(schema, "type")), DR_LIT("null"));
}

/* The first alternative that is more than null. */
static dr_json first_alternative(dr_json list) {
    struct dr_json_iter iter;
    dr_json first = NULL;
    dr_json_iter_init(&iter, list);
    while (dr_json_iter_next(&iter)) {
        if (!first) first = iter.value;
        if (!is_null_schema(iter.value)) return iter.value;
    }
    return first;
}

/* Follows $ref, anyOf, oneOf and an allOf of one. */
static dr_json resolve(const struct sampler *sampler, dr_json schema) {
    for (int hop = 0; hop < REF_HOPS_MAX && schema; hop++) {
        const dr_slice ref = dr_json_text(member(schema, "$ref"));
        dr_json list = member(schema, "anyOf");
        if (!list) list = member(schema, "oneOf");
        if (!list && dr_json_count(member(schema, "allOf")) == 1) list = member(schema, "allOf");
        if (ref.data) {
            schema = follow_ref(sampler, ref);
        } else if (list && !member(schema, "properties")) {
            schema = first_alternative(list);
        } else {
            return schema;
        }
    }
    return schema;
}

static dr_slice type_of(dr_json schema) {
    dr_json type = member(schema, "type");
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, type);
    dr_slice name = dr_json_text(type);
    if (dr_json_is(type, DR_JSON_ARRAY)) {
        while (dr_json_iter_next(&iter)) {
            name = dr_json_text(iter.value);
            if (!dr_slice_is_nocase(name, DR_LIT("null"))) break;
        }
    }
    if (name.data) return name;
    if (member(schema, "items") || member(schema, "prefixItems")) return DR_LIT("array");
    if (member(schema, "minLength") || member(schema, "format")) return DR_LIT("string");
    if (member(schema, "minimum") || member(schema, "maximum")) return DR_LIT("number");
    return DR_LIT("object");
}

/* --- texts --- */

static const struct {
    dr_slice format;
    dr_slice sample;
} formats[] = {
    {SIM_TEXT("date"), SIM_TEXT("2026-11-24")},
    {SIM_TEXT("time"), SIM_TEXT("12:30:00Z")},
    {SIM_TEXT("date-time"), SIM_TEXT("2026-11-24T12:30:00Z")},
    {SIM_TEXT("duration"), SIM_TEXT("PT5M")},
    {SIM_TEXT("email"), SIM_TEXT("simulation@example.com")},
    {SIM_TEXT("hostname"), SIM_TEXT("simulation.example.com")},
    {SIM_TEXT("ipv4"), SIM_TEXT("192.0.2.1")},
    {SIM_TEXT("ipv6"), SIM_TEXT("2001:db8::1")},
    {SIM_TEXT("uri"), SIM_TEXT("https://example.com/simulation")},
    {SIM_TEXT("uuid"), SIM_TEXT("00000000-0000-4000-8000-000000000001")},
};

static void put_text(struct sampler *sampler, dr_json schema) {
    const dr_slice format = dr_json_text(member(schema, "format"));
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        if (!format.data || !dr_slice_is(format, formats[i].format)) continue;
        dr_json_put_string(sampler->buf, formats[i].sample);
        return;
    }
    uint64_t least = 0;
    uint64_t most = UINT64_MAX;
    (void)dr_json_to_u64(member(schema, "minLength"), &least);
    (void)dr_json_to_u64(member(schema, "maxLength"), &most);
    if (least > TEXT_BYTES_MAX) least = TEXT_BYTES_MAX;
    const dr_slice word = sim_script_word(sampler->seed);
    uint64_t len = word.len > least ? word.len : least;
    if (len > most) len = most;
    dr_buf_put_char(sampler->buf, '"');
    for (uint64_t i = 0; i < len; i++) dr_buf_put_char(sampler->buf, word.data[i % word.len]);
    dr_buf_put_char(sampler->buf, '"');
}

/* --- numbers --- */

static int64_t floor_of(double value) {
    const int64_t whole = (int64_t)value;
    return (double)whole > value ? whole - 1 : whole;
}

/* Bounds far outside what a sample needs are cut, so that the casts below are defined. */
static bool bound_of(dr_json schema, const char *name, double *ret) {
    double value;
    if (!dr_json_to_double(member(schema, name), &value)) return false;
    if (value > 1e15) value = 1e15;
    if (value < -1e15) value = -1e15;
    *ret = value;
    return true;
}

/* The least and the greatest whole number allowed; false when none lies between them. */
static bool whole_bounds(dr_json schema, int64_t *ret_least, int64_t *ret_most) {
    double bound;
    bool has_least = true;
    if (bound_of(schema, "minimum", &bound)) {
        *ret_least = -floor_of(-bound);
    } else if (bound_of(schema, "exclusiveMinimum", &bound)) {
        *ret_least = floor_of(bound) + 1;
    } else {
        has_least = false;
    }
    if (bound_of(schema, "maximum", &bound)) {
        *ret_most = floor_of(bound);
    } else if (bound_of(schema, "exclusiveMaximum", &bound)) {
        *ret_most = -floor_of(-bound) - 1;
    } else {
        *ret_most = has_least ? *ret_least + 9 : 10;
    }
    if (!has_least) *ret_least = *ret_most > 1 ? 1 : *ret_most;
    /* A bound below zero tells what a type can hold ("int" of zod: from -9007199254740991) rather
     * than what is meant: ordinary numbers are. */
    if (*ret_least < 0 && *ret_most >= 1 && !member(schema, "multipleOf")) *ret_least = 1;
    return *ret_least <= *ret_most;
}

static void put_number(struct sampler *sampler, dr_json schema, bool is_whole) {
    int64_t least = 0;
    int64_t most = 0;
    double step;
    if (!whole_bounds(schema, &least, &most)) {
        /* Such as between 0.2 and 0.8: the middle fits, whether a bound belongs to it or not. */
        double low = 0;
        double high = 0;
        if (!bound_of(schema, "minimum", &low)) (void)bound_of(schema, "exclusiveMinimum", &low);
        if (!bound_of(schema, "maximum", &high)) (void)bound_of(schema, "exclusiveMaximum", &high);
        if (!is_whole) {
            dr_buf_format(sampler->buf, "%.9g", low + (high - low) / 2);
            return;
        }
        most = least;
    }
    uint64_t spread = (uint64_t)(most - least) + 1;
    if (spread > 10) spread = 10;
    int64_t value = least + (int64_t)(sampler->seed % spread);
    if (bound_of(schema, "multipleOf", &step) && step >= 1 && (double)(int64_t)step == step) {
        const int64_t unit = (int64_t)step;
        value = -floor_of(-(double)least / (double)unit) * unit;
    }
    dr_buf_put_i64(sampler->buf, value);
}

/* --- containers --- */

static void put_array(struct sampler *sampler, dr_json schema, uint32_t depth) {
    dr_json prefix = member(schema, "prefixItems");
    dr_json items = member(schema, "items");
    uint64_t least = 0;
    uint64_t most = UINT64_MAX;
    (void)dr_json_to_u64(member(schema, "minItems"), &least);
    (void)dr_json_to_u64(member(schema, "maxItems"), &most);
    uint64_t count = depth < DEPTH_REQUIRED_ONLY ? 2 : 0;
    if (dr_json_count(prefix) > 0) count = dr_json_count(prefix);
    if (count < least) count = least;
    if (count > most) count = most;
    if (count > ITEMS_MAX) count = ITEMS_MAX;
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, prefix);
    dr_buf_put_char(sampler->buf, '[');
    for (uint64_t i = 0; i < count; i++) {
        if (i > 0) dr_buf_put_char(sampler->buf, ',');
        sampler->seed++;
        put_value(sampler, dr_json_iter_next(&iter) ? iter.value : items, depth + 1);
    }
    dr_buf_put_char(sampler->buf, ']');
}

static bool is_full(const struct sampler *sampler) {
    return sampler->buf->len - sampler->start > VALUE_BYTES_MAX;
}

static bool is_required(dr_json schema, dr_slice name) {
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, member(schema, "required"));
    while (dr_json_iter_next(&iter)) {
        if (dr_slice_is(dr_json_text(iter.value), name)) return true;
    }
    return false;
}

static bool put_properties(struct sampler *sampler, dr_json schema, uint32_t depth, bool is_first) {
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, member(schema, "properties"));
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        const bool is_wanted = depth < DEPTH_REQUIRED_ONLY && !is_full(sampler);
        if (!is_wanted && !is_required(schema, name)) continue;
        if (!is_first) dr_buf_put_char(sampler->buf, ',');
        is_first = false;
        dr_json_put_string(sampler->buf, name);
        dr_buf_put_char(sampler->buf, ':');
        sampler->seed++;
        put_value(sampler, iter.value, depth + 1);
    }
    return is_first;
}

static void put_object(struct sampler *sampler, dr_json schema, uint32_t depth) {
    dr_buf_put_char(sampler->buf, '{');
    bool is_first = put_properties(sampler, schema, depth, true);
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, member(schema, "allOf"));
    for (int i = 0; i < PARTS_MAX && dr_json_iter_next(&iter); i++) {
        is_first = put_properties(sampler, resolve(sampler, iter.value), depth, is_first);
    }
    dr_buf_put_char(sampler->buf, '}');
}

static void put_value(struct sampler *sampler, dr_json schema, uint32_t depth) {
    schema = resolve(sampler, schema);
    dr_json fixed = member(schema, "const");
    dr_json choices = member(schema, "enum");
    if (!fixed && dr_json_count(choices) > 0) {
        struct dr_json_iter iter;
        dr_json_iter_init(&iter, choices);
        const uint64_t index = sampler->seed % dr_json_count(choices);
        for (uint64_t i = 0; i <= index && dr_json_iter_next(&iter); i++) fixed = iter.value;
    }
    const dr_slice type = type_of(schema);
    if (fixed) {
        dr_json_put_value(sampler->buf, fixed);
    } else if (depth >= DEPTH_MAX || is_full(sampler) || dr_slice_is_nocase(type, DR_LIT("null"))) {
        dr_buf_put(sampler->buf, DR_LIT("null"));
    } else if (dr_slice_is_nocase(type, DR_LIT("string"))) {
        put_text(sampler, schema);
    } else if (dr_slice_is_nocase(type, DR_LIT("integer")) ||
               dr_slice_is_nocase(type, DR_LIT("number"))) {
        put_number(sampler, schema, dr_slice_is_nocase(type, DR_LIT("integer")));
    } else if (dr_slice_is_nocase(type, DR_LIT("boolean"))) {
        dr_buf_put(sampler->buf, sampler->seed % 2 ? DR_LIT("true") : DR_LIT("false"));
    } else if (dr_slice_is_nocase(type, DR_LIT("array"))) {
        put_array(sampler, schema, depth);
    } else {
        put_object(sampler, schema, depth);
    }
}

void sim_schema_sample(struct dr_buf *buf, dr_json schema, uint64_t seed) {
    struct sampler sampler = {.buf = buf, .start = buf->len, .root = schema, .seed = seed};
    put_value(&sampler, schema, 0);
}
