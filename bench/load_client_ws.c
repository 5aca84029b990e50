/* Speaks WebSocket as a client: asks, and compares every frame with what must come. Must not decide
 * when to ask. */
#include "load_client_private.h"
#include "load_ws.h"

#include <string.h>
#include <sys/socket.h>

enum { SEQ_DIGITS_MAX = 8 };

/* --- what must come ------------------------------------------------------------------------- */

static bool starts(const char *text, size_t len, const struct load_text *with) {
    return len >= with->len && memcmp(text, with->bytes, with->len) == 0;
}

/* Takes the beginning of a frame, with its number, off. */
static bool take_seq(struct load_client *client, const char **text, size_t *len) {
    struct load_text *head = &client->wire->ws_head;
    load_digits_put(head->bytes + head->number_at, LOAD_NUMBER_DIGITS, client->number);
    if (!starts(*text, *len, head)) return false;
    *text += head->len;
    *len -= head->len;
    const char *end = memchr(*text, ',', *len);
    const size_t digits = end ? (size_t)(end - *text) : 0;
    uint64_t seq = 0;
    if (digits == 0 || digits > SEQ_DIGITS_MAX || !load_digits_read(*text, digits, &seq)) {
        return false;
    }
    if ((*text)[0] == '0' || seq != client->frame_count) return false;
    *text = end;
    *len -= digits;
    return true;
}

static bool take_accepted(struct load_client *client, const char *text, size_t len) {
    const struct load_text *accepted = &client->wire->ws_accepted;
    if (!starts(text, len, accepted)) return false;
    text += accepted->len;
    len -= accepted->len;
    if (len < 3 || len - 2 > sizeof(client->request_id)) return false;
    if (memcmp(text + len - 2, "\"}", 2) != 0) return false;
    client->request_id_len = (uint8_t)(len - 2);
    memcpy(client->request_id, text, len - 2);
    return true;
}

static bool take_event(struct load_client *client, const char *text, size_t len, int64_t now_ns) {
    struct load_text *event = &client->wire->ws_event;
    if (len != event->len) return false;
    const char *due = text + event->due_at;
    const char *sent = text + event->sent_at;
    memcpy(event->bytes + event->due_at, due, LOAD_TIME_DIGITS);
    memcpy(event->bytes + event->sent_at, sent, LOAD_TIME_DIGITS);
    load_digits_put(event->bytes + event->index_at, LOAD_INDEX_DIGITS, client->event_count);
    return starts(text, len, event) && load_client_note_event(client, due, sent, now_ns);
}

/* The last frame names the request once more. */
static bool take_done(struct load_client *client, const char *text, size_t len) {
    const size_t id_len = client->request_id_len;
    if (!starts(text, len, &client->wire->ws_done) || len < id_len + 2) return false;
    if (memcmp(text + len - 2, "\"}", 2) != 0) return false;
    return memcmp(text + len - 2 - id_len, client->request_id, id_len) == 0;
}

/* Of a provider that is not ours only the end and the number of texts are looked at. */
static void take_trusted(struct load_client *client, const char *text, size_t len, int64_t now_ns) {
    static const char content[] = "\"content\":";
    static const char done[] = "\"done\":true";
    if (memmem(text, len, content, sizeof(content) - 1)) {
        client->event_count++;
        if (client->tally->is_open) client->tally->events++;
        if (client->tally->is_open && client->event_count == 1) {
            load_histogram_note(&client->tally->first_event, now_ns - client->due_ns);
        }
    }
    client->is_done = memmem(text, len, done, sizeof(done) - 1) != NULL;
}

static bool take_text(struct load_client *client, const char *text, size_t len, int64_t now_ns) {
    client->frame_count++;
    if (client->options->is_trusting) {
        take_trusted(client, text, len, now_ns);
        return true;
    }
    if (!take_seq(client, &text, &len)) return false;
    if (client->frame_count == 1) return take_accepted(client, text, len);
    if (client->event_count < client->options->event_count) {
        return take_event(client, text, len, now_ns);
    }
    client->is_done = take_done(client, text, len);
    return client->is_done;
}

/* --- frames --------------------------------------------------------------------------------- */

/* A mask has to be there; that nobody can foresee it would help no one here. */
static uint32_t next_mask(const struct load_client *client) {
    return (uint32_t)client->number * 2654435761U ^ client->frame_count ^ 0x5bd1e995U;
}

/* Sends one frame, whole. */
static bool send_frame(struct load_client *client, enum load_ws_opcode opcode, const char *payload,
                       size_t len) {
    char frame[LOAD_TEXT_BYTES + LOAD_WS_HEAD_BYTES_MAX];
    const size_t frame_len = load_ws_write(frame, opcode, payload, len, next_mask(client));
    return send(client->socket.fd, frame, frame_len, MSG_NOSIGNAL) == (ssize_t)frame_len;
}

/* False when the connection is gone. */
static bool take_frame(struct load_client *client, const char *bytes, size_t len, int64_t now_ns) {
    static const char error[] = "\"error\":{";
    struct load_ws_frame frame;
    enum load_fault fault = LOAD_FAULT_FRAMING;
    bool is_good = load_ws_read(bytes, len, &frame);
    if (is_good && frame.opcode == LOAD_WS_PING) {
        is_good = frame.len <= 125 && send_frame(client, LOAD_WS_PONG, frame.payload, frame.len);
    } else if (is_good && frame.opcode == LOAD_WS_TEXT) {
        if (client->tally->is_open) client->tally->bytes += frame.len;
        fault = LOAD_FAULT_ORDER;
        is_good = client->stage == LOAD_CLIENT_READING &&
                  take_text(client, frame.payload, frame.len, now_ns);
    } else {
        fault = LOAD_FAULT_CUT;
        is_good = false;
    }
    if (!is_good) {
        if (memmem(bytes, len, error, sizeof(error) - 1)) fault = LOAD_FAULT_STATUS;
        load_client_fail(client, fault, bytes, len);
        return false;
    }
    if (client->is_done) {
        client->is_done = false;
        load_client_end_answer(client, now_ns);
    }
    return client->socket.fd >= 0;
}

/* Goes on with the frame that came in part. Returns how many bytes of `bytes` it took, SIZE_MAX
 * when the connection is gone. */
static size_t take_carried(struct load_client *client, const char *bytes, size_t len,
                           int64_t now_ns) {
    size_t taken = 0;
    for (;;) {
        const size_t needed = load_ws_needed(client->carry, client->carry_len);
        if (needed <= client->carry_len) break;
        const size_t missing = needed - client->carry_len;
        const size_t part = missing < len - taken ? missing : len - taken;
        if (part == 0) return taken;
        if (!load_client_carry(client, bytes + taken, part)) {
            load_client_fail(client, LOAD_FAULT_FRAMING, client->carry, client->carry_len);
            return SIZE_MAX;
        }
        taken += part;
    }
    const size_t frame_len = client->carry_len;
    client->carry_len = 0;
    return take_frame(client, client->carry, frame_len, now_ns) ? taken : SIZE_MAX;
}

void load_client_ws_take(struct load_client *client, const char *bytes, size_t len,
                         int64_t now_ns) {
    while (len > 0) {
        size_t taken = load_ws_needed(bytes, len);
        if (client->carry_len > 0) {
            taken = take_carried(client, bytes, len, now_ns);
        } else if (taken > len) {
            taken = len;
            if (!load_client_carry(client, bytes, len)) {
                load_client_fail(client, LOAD_FAULT_FRAMING, bytes, len);
                return;
            }
        } else if (!take_frame(client, bytes, taken, now_ns)) {
            return;
        }
        if (taken == SIZE_MAX) return;
        bytes += taken;
        len -= taken;
    }
}

/* --- asking --------------------------------------------------------------------------------- */

void load_client_ws_open(struct load_client *client) {
    const struct load_text *handshake = &client->wire->ws_handshake;
    client->stage = LOAD_CLIENT_OPENING;
    client->will_close = false;
    const ssize_t sent = send(client->socket.fd, handshake->bytes, handshake->len, MSG_NOSIGNAL);
    if (sent != (ssize_t)handshake->len) load_client_fail(client, LOAD_FAULT_SEND, NULL, 0);
}

bool load_client_ws_is_accepted(const char *head, size_t len, unsigned status) {
    return status == 101 && memmem(head, len, load_ws_accept, strlen(load_ws_accept)) != NULL;
}

void load_client_ws_ask(struct load_client *client) {
    struct load_text *ask = &client->wire->ws_ask;
    load_digits_put(ask->bytes + ask->number_at, LOAD_NUMBER_DIGITS, client->number);
    load_digits_put(ask->bytes + ask->index_at, LOAD_NUMBER_DIGITS, client->number);
    client->stage = LOAD_CLIENT_READING;
    client->is_done = false;
    client->event_count = 0;
    client->frame_count = 0;
    if (!send_frame(client, LOAD_WS_TEXT, ask->bytes, ask->len)) {
        load_client_fail(client, LOAD_FAULT_SEND, NULL, 0);
    }
}
