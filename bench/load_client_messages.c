/* The stream of a provider that speaks Anthropic's Messages, as a client sees it: passed on as it
 * is, or translated into OpenAI's chunks. Which of the two, the first line says. Must not prescribe
 * how a relay orders the members of its chunks: what it translates is looked for, not compared. */
#include "load_client_private.h"

#include <string.h>

static const char *find(const char *line, size_t len, const char *words) {
    return memmem(line, len, words, strlen(words));
}

/* --- passed on ------------------------------------------------------------------------------ */

static struct load_text *passed_text(const struct load_client *client) {
    struct load_wire *wire = client->wire;
    if (client->message_stage == LOAD_MESSAGE_PASSED_BEGIN) return &wire->begin;
    return client->message_stage == LOAD_MESSAGE_PASSED_EVENTS ? &wire->event : &wire->usage;
}

/* The text has come whole: to the next one. */
static void pass_on(struct load_client *client) {
    const bool has_all = client->event_count == client->options->event_count;
    if (client->message_stage == LOAD_MESSAGE_PASSED_END)
        client->is_done = true;
    else
        client->message_stage = has_all ? LOAD_MESSAGE_PASSED_END : LOAD_MESSAGE_PASSED_EVENTS;
    client->message_at = passed_text(client)->payload_at;
}

/* Byte by byte, blank lines too. */
static bool take_passed(struct load_client *client, const char *line, size_t len, int64_t now_ns) {
    struct load_text *text = passed_text(client);
    const size_t at = client->message_at;
    const size_t end = text->len - 2; /* of the HTTP chunk's payload */
    if (client->is_done || len >= end - at) return false;
    const bool has_digits = text->due_at >= at && text->due_at < at + len;
    if (has_digits && text->sent_at + LOAD_TIME_DIGITS > at + len) return false;
    const char *due = line + (has_digits ? text->due_at - at : 0);
    const char *sent = line + (has_digits ? text->sent_at - at : 0);
    load_text_number(text, client->number);
    if (has_digits) {
        memcpy(text->bytes + text->due_at, due, LOAD_TIME_DIGITS);
        memcpy(text->bytes + text->sent_at, sent, LOAD_TIME_DIGITS);
        load_digits_put(text->bytes + text->index_at, LOAD_INDEX_DIGITS, client->event_count);
    }
    if (memcmp(text->bytes + at, line, len) != 0 || text->bytes[at + len] != '\n') return false;
    if (has_digits && !load_client_note_event(client, due, sent, now_ns)) return false;
    client->message_at = at + len + 1;
    if (client->message_at == end) pass_on(client);
    return true;
}

/* --- translated ----------------------------------------------------------------------------- */

/* The digits of an event: its index, when it was due, when it was sent, with blanks before and
 * between and the end of the string behind. */
static bool take_digits(struct load_client *client, const char *text, size_t len, int64_t now_ns) {
    const size_t due_at = 1 + LOAD_INDEX_DIGITS + 1;
    const size_t sent_at = due_at + LOAD_TIME_DIGITS + 1;
    uint64_t index;
    if (len <= sent_at + LOAD_TIME_DIGITS || text[0] != ' ' || text[due_at - 1] != ' ' ||
        text[sent_at - 1] != ' ' || text[sent_at + LOAD_TIME_DIGITS] != '"') {
        return false;
    }
    return load_digits_read(text + 1, LOAD_INDEX_DIGITS, &index) && index == client->event_count &&
           load_client_note_event(client, text + due_at, text + sent_at, now_ns);
}

static bool take_chunk(struct load_client *client, const char *line, size_t len, int64_t now_ns) {
    static const char content[] = "\"content\":\"";
    const bool has_all = client->event_count == client->options->event_count;
    const char *text = find(line, len, content);
    if (client->message_stage == LOAD_MESSAGE_EVENTS && text) {
        text += sizeof(content) - 1;
        /* The role comes with a text that is empty. */
        if (text < line + len && *text == '"') {
            return client->event_count == 0 && find(line, len, "\"role\":\"assistant\"");
        }
        return !has_all && take_digits(client, text, (size_t)(line + len - text), now_ns);
    }
    if (!has_all) return false;
    if (client->message_stage == LOAD_MESSAGE_EVENTS) {
        client->message_stage = LOAD_MESSAGE_FINISHED;
        return find(line, len, "\"finish_reason\":\"stop\"") != NULL;
    }
    if (client->message_stage != LOAD_MESSAGE_FINISHED) return false;
    client->message_stage = LOAD_MESSAGE_COUNTED;
    return find(line, len, "\"prompt_tokens\":171,") &&
           find(line, len, "\"completion_tokens\":96,");
}

static bool take_translated(struct load_client *client, const char *line, size_t len,
                            int64_t now_ns) {
    static const char data[] = "data: ";
    static const char done[] = "data: [DONE]";
    static const char name[] = "\"id\":\"msg_";
    uint64_t number;
    /* Blank lines end events; a line that begins with a colon is a comment. */
    if (len == 0 || line[0] == ':') return true;
    if (client->is_done || len < sizeof(data) || memcmp(line, data, sizeof(data) - 1) != 0) {
        return false;
    }
    if (len == sizeof(done) - 1 && memcmp(line, done, len) == 0) {
        client->is_done = client->message_stage == LOAD_MESSAGE_COUNTED;
        return client->is_done;
    }
    const char *id = find(line, len, name);
    if (!id) return false;
    id += sizeof(name) - 1;
    return (size_t)(line + len - id) > LOAD_NUMBER_DIGITS &&
           load_digits_read(id, LOAD_NUMBER_DIGITS, &number) && number == client->number &&
           id[LOAD_NUMBER_DIGITS] == '"' && take_chunk(client, line, len, now_ns);
}

bool load_client_take_message_line(struct load_client *client, const char *line, size_t len,
                                   int64_t now_ns) {
    if (client->message_stage == LOAD_MESSAGE_NEW) {
        const bool is_passed = len > 0 && line[0] == 'e';
        client->message_stage = is_passed ? LOAD_MESSAGE_PASSED_BEGIN : LOAD_MESSAGE_EVENTS;
        client->message_at = client->wire->begin.payload_at;
    }
    if (client->message_stage >= LOAD_MESSAGE_EVENTS) {
        return take_translated(client, line, len, now_ns);
    }
    return take_passed(client, line, len, now_ns);
}
