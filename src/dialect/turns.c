/* The order of a conversation's messages. Must not write any dialect's words. */
#include "dialect/turns.h"

#include "base/utf8.h"

#include <stdio.h>

/* More calls in one turn than any model makes: bounds the search for their results. */
enum { CALLS_MAX = 1024, SHOWN_BYTES_MAX = 40 };

bool text_is_blank(dr_slice text) {
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.data[i] > ' ') return false;
    }
    return true;
}

bool message_has_content(const struct message *message) {
    for (size_t i = 0; i < message->part_count; i++) {
        if (message->parts[i].kind != PART_TEXT || !text_is_blank(message->parts[i].text)) {
            return true;
        }
    }
    return message->call_count > 0 || message->role == MESSAGE_TOOL;
}

bool turn_next(const struct conversation *conversation, size_t *at, struct turn *ret_turn) {
    bool has_content = false;

    *ret_turn = (struct turn){*at, *at, false};
    for (; *at < conversation->message_count; (*at)++) {
        const struct message *message = &conversation->messages[*at];
        const bool is_assistant = message->role == MESSAGE_ASSISTANT;
        if (message->role == MESSAGE_SYSTEM || !message_has_content(message)) continue;
        if (has_content && is_assistant != ret_turn->is_assistant) break;
        if (!has_content) ret_turn->first = *at;
        ret_turn->is_assistant = is_assistant;
        ret_turn->end = *at + 1;
        has_content = true;
    }
    return has_content;
}

/* How often an id occurs among the calls before this one: some servers give every call the same. */
static size_t count_before(const struct conversation *conversation, const struct turn *calls,
                           size_t message_place, size_t call_place, dr_slice id) {
    size_t count = 0;

    for (size_t i = calls->first; i <= message_place; i++) {
        const struct message *message = &conversation->messages[i];
        const size_t end = i == message_place ? call_place : message->call_count;
        for (size_t k = 0; k < end; k++) {
            if (dr_slice_is(message->calls[k].id, id)) count++;
        }
    }
    return count;
}

const struct message *turn_result(const struct conversation *conversation, const struct turn *calls,
                                  const struct turn *answers, size_t message_place,
                                  size_t call_place) {
    const dr_slice id = conversation->messages[message_place].calls[call_place].id;
    size_t skip = count_before(conversation, calls, message_place, call_place, id);

    for (size_t i = answers->first; i < answers->end; i++) {
        const struct message *message = &conversation->messages[i];
        if (message->role != MESSAGE_TOOL || !dr_slice_is(message->call_id, id)) continue;
        if (skip == 0) return message;
        skip--;
    }
    return NULL;
}

static size_t count_calls(const struct conversation *conversation, const struct turn *turn) {
    size_t count = 0;

    for (size_t i = turn->first; i < turn->end; i++) count += conversation->messages[i].call_count;
    return count;
}

static bool check_results(const struct conversation *conversation, const struct turn *calls,
                          const struct turn *answers, struct loss *loss) {
    char path[PART_PATH_BYTES_MAX];
    size_t result_count = 0;
    const size_t call_count = calls ? count_calls(conversation, calls) : 0;

    for (size_t i = answers->first; i < answers->end; i++) {
        if (conversation->messages[i].role != MESSAGE_TOOL) continue;
        if (++result_count <= call_count) continue;
        (void)snprintf(path, sizeof path, "messages[%u].tool_call_id",
                       conversation->messages[i].place);
        return loss_refuse(loss, path,
                           "names a call that the assistant's messages before it do not hold");
    }
    for (size_t i = calls ? calls->first : 0; calls && i < calls->end; i++) {
        const struct message *message = &conversation->messages[i];
        for (size_t k = 0; k < message->call_count; k++) {
            if (turn_result(conversation, calls, answers, i, k)) continue;
            const dr_slice id = dr_utf8_first(message->calls[k].id, SHOWN_BYTES_MAX);
            return loss_refuse(loss, call_path(path, message, k, ""),
                               "must be followed by a message of role 'tool' with its id '%.*s'",
                               DR_FMT(id));
        }
    }
    return true;
}

bool turns_check(const struct conversation *conversation, struct loss *loss) {
    const struct turn none = {0, 0, false};
    struct turn before = none;
    struct turn turn;
    size_t at = 0;
    bool has_before = false;

    while (turn_next(conversation, &at, &turn)) {
        if (turn.is_assistant && count_calls(conversation, &turn) > CALLS_MAX) {
            return loss_refuse(loss, "messages", "must not hold more than %d calls in one turn",
                               CALLS_MAX);
        }
        if (!turn.is_assistant &&
            !check_results(conversation, has_before ? &before : NULL, &turn, loss)) {
            return false;
        }
        before = turn;
        has_before = true;
    }
    if (has_before && before.is_assistant) return check_results(conversation, &before, &none, loss);
    if (has_before) return true;
    for (size_t i = 0; i < conversation->message_count; i++) {
        if (message_has_content(&conversation->messages[i])) return true;
    }
    return loss_refuse(loss, "messages", "must hold something that is not empty");
}

bool call_names_check(const struct conversation *conversation, bool (*fits)(dr_slice name),
                      const char *rule, struct loss *loss) {
    char path[PART_PATH_BYTES_MAX];

    for (size_t i = 0; i < conversation->message_count; i++) {
        const struct message *message = &conversation->messages[i];
        for (size_t k = 0; k < message->call_count; k++) {
            const struct message_call *call = &message->calls[k];
            if (fits(call->name)) continue;
            return loss_refuse(loss,
                               call_path(path, message, k,
                                         call->is_older    ? ".name"
                                         : call->is_custom ? ".custom.name"
                                                           : ".function.name"),
                               "must %s", rule);
        }
    }
    return true;
}

const char *part_path(char path[PART_PATH_BYTES_MAX], const struct message *message,
                      const struct message_part *part, const char *suffix) {
    (void)snprintf(path, PART_PATH_BYTES_MAX, "messages[%u].content[%u]%s", message->place,
                   part->place, suffix);
    return path;
}

const char *call_path(char path[PART_PATH_BYTES_MAX], const struct message *message,
                      size_t call_place, const char *suffix) {
    if (message->calls[call_place].is_older) {
        (void)snprintf(path, PART_PATH_BYTES_MAX, "messages[%u].function_call%s", message->place,
                       suffix);
    } else {
        (void)snprintf(path, PART_PATH_BYTES_MAX, "messages[%u].tool_calls[%zu]%s", message->place,
                       call_place, suffix);
    }
    return path;
}

const char *tool_path(char path[PART_PATH_BYTES_MAX], const struct conversation_tool *tool,
                      const char *suffix) {
    (void)snprintf(path, PART_PATH_BYTES_MAX,
                   tool->is_older ? "functions[%u]%s" : "tools[%u].function%s", tool->place,
                   suffix);
    return path;
}

bool tool_is_allowed(const struct conversation *conversation,
                     const struct conversation_tool *tool) {
    struct dr_json_iter iter;

    if (!conversation->allowed_tools) return true;
    dr_json_iter_init(&iter, conversation->allowed_tools);
    while (dr_json_iter_next(&iter)) {
        const dr_json function = dr_json_member(iter.value, DR_LIT("function"));
        const dr_slice name =
            dr_json_text(dr_json_member(function ? function : iter.value, DR_LIT("name")));
        if (dr_slice_is(name, tool->name)) return true;
    }
    return false;
}

/* One or two digits that end with the word; longer numbers are dates. */
static bool take_digits(dr_slice text, size_t *at, uint32_t *ret) {
    uint32_t number = 0;
    size_t len = 0;

    while (*at + len < text.len && text.data[*at + len] >= '0' && text.data[*at + len] <= '9') {
        if (len < 3) number = number * 10 + (uint32_t)(text.data[*at + len] - '0');
        len++;
    }
    if (len == 0 || len > 2) return false;
    *at += len;
    *ret = number;
    return true;
}

uint32_t model_generation(dr_slice model, dr_slice family) {
    size_t at = dr_slice_find(model, family);
    uint32_t major = 0;
    uint32_t minor = 0;

    if (at == model.len) return 0;
    for (at += family.len; at < model.len; at++) {
        const bool begins_word = model.data[at - 1] == '-';
        if (begins_word && take_digits(model, &at, &major)) break;
    }
    if (major == 0) return 0;
    if (at < model.len && (model.data[at] == '-' || model.data[at] == '.')) {
        at++;
        (void)take_digits(model, &at, &minor);
    }
    return major * 10 + (minor < 10 ? minor : 9);
}
