/* The strict dialects' tables of members, held against what came. Must not word complaints. */
#include "sim/shape.h"

#include "sim/script.h"

static unsigned kind_of(dr_json value) {
    switch (dr_json_kind(value)) {
    case DR_JSON_NULL: return SIM_NULL;
    case DR_JSON_BOOL: return SIM_BOOL;
    case DR_JSON_NUMBER: return SIM_NUMBER;
    case DR_JSON_STRING: return SIM_STRING;
    case DR_JSON_ARRAY: return SIM_ARRAY;
    case DR_JSON_OBJECT: break;
    }
    return SIM_OBJECT;
}

bool sim_shape_name_is(dr_slice name, dr_slice expected, enum sim_spelling spelling) {
    if (dr_slice_is(name, expected)) return true;
    if (spelling == SIM_SPELLING_EXACT) return false;
    size_t at = 0;
    for (size_t i = 0; i < name.len; i++, at++) {
        char byte = name.data[i];
        if (byte == '_' && i > 0 && i + 1 < name.len) {
            byte = name.data[++i];
            if (byte < 'a' || byte > 'z') return false;
            byte = (char)(byte - 'a' + 'A');
        }
        if (at == expected.len || expected.data[at] != byte) return false;
    }
    return at == expected.len;
}

dr_json sim_shape_member(dr_json object, dr_slice name) {
    struct dr_json_iter iter;
    if (!dr_json_is(object, DR_JSON_OBJECT)) return NULL;
    dr_json_iter_init(&iter, object);
    while (dr_json_iter_next(&iter)) {
        if (!sim_shape_name_is(dr_json_text(iter.name), name, SIM_SPELLING_EITHER)) continue;
        return dr_json_is(iter.value, DR_JSON_NULL) ? NULL : iter.value;
    }
    return NULL;
}

enum sim_misfit sim_shape_check(dr_json object, const struct sim_member *members, size_t count,
                                enum sim_spelling spelling, dr_slice *ret_name,
                                unsigned *ret_kinds) {
    uint64_t seen = 0;
    struct dr_json_iter iter;
    dr_json_iter_init(&iter, object);
    while (dr_json_iter_next(&iter)) {
        const dr_slice name = dr_json_text(iter.name);
        size_t i = 0;
        while (i < count && !sim_shape_name_is(name, members[i].name, spelling)) i++;
        *ret_name = name;
        if (i == count) return SIM_MISFIT_UNKNOWN;
        *ret_kinds = members[i].kinds;
        if (!(kind_of(iter.value) & members[i].kinds)) return SIM_MISFIT_KIND;
        seen |= UINT64_C(1) << i;
    }
    for (size_t i = 0; i < count; i++) {
        if (!(members[i].kinds & SIM_REQUIRED) || seen & (UINT64_C(1) << i)) continue;
        *ret_name = members[i].name;
        return SIM_MISFIT_MISSING;
    }
    return SIM_MISFIT_NONE;
}

const char *sim_shape_kinds_text(unsigned kinds) {
    static const struct {
        unsigned kinds;
        const char *text;
    } texts[] = {
        {SIM_STRING | SIM_ARRAY, "a string or an array"},
        {SIM_OBJECT | SIM_ARRAY, "an object or an array"},
        {SIM_BOOL, "a boolean"},
        {SIM_NUMBER | SIM_STRING, "a number"},
        {SIM_NUMBER, "a number"},
        {SIM_STRING, "a string"},
        {SIM_ARRAY, "an array"},
        {SIM_OBJECT, "an object"},
    };
    kinds &= SIM_ANY & ~(unsigned)SIM_NULL;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (texts[i].kinds == kinds) return texts[i].text;
    }
    return "something else";
}

bool sim_shape_is_word(dr_slice text, size_t len_max) {
    if (text.len == 0 || text.len > len_max) return false;
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.data[i];
        const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '_' && c != '-') return false;
    }
    return true;
}

bool sim_shape_is_blank(dr_slice text) {
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.data[i] > ' ') return false;
    }
    return true;
}

bool sim_shape_is_base64(dr_slice text) {
    while (text.len > 0 && text.data[text.len - 1] == '=') text.len--;
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.data[i];
        const bool is_plain =
            (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!is_plain && c != '+' && c != '/' && c != '-' && c != '_') return false;
    }
    return text.len % 4 != 1;
}
