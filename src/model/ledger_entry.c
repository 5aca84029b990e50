/* A settled exchange as the two JSON objects that people read: a line of the usage log and a
 * receipt. Must not hold anything of a prompt, an answer or a secret. */
#include "model/ledger_entry.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/json.h"

const char *transport_name(enum transport transport) {
    switch (transport) {
    case TRANSPORT_HTTP: return "http";
    case TRANSPORT_SSE: return "sse";
    case TRANSPORT_WS: return "ws";
    }
    dr_unreachable();
}

/* `name` comes with its punctuation: `,"model":`. */
static void put_text(struct dr_buf *buf, dr_slice name, dr_slice text) {
    dr_buf_put(buf, name);
    /* An empty text in a record means that there was none. */
    dr_json_put_string_or_null(buf, text.len > 0 ? text : DR_NONE);
}

static void put_number(struct dr_buf *buf, dr_slice name, uint64_t number) {
    dr_buf_put(buf, name);
    dr_buf_put_u64(buf, number);
}

static void put_price(struct dr_buf *buf, dr_slice name, int64_t nanousd) {
    dr_buf_put(buf, name);
    money_put(buf, (money){nanousd});
}

static void put_usage(struct dr_buf *buf, const struct usage *usage) {
    put_number(buf, DR_LIT(",\"usage\":{\"prompt_tokens\":"), usage->prompt_tokens);
    put_number(buf, DR_LIT(",\"completion_tokens\":"), usage->completion_tokens);
    put_number(buf, DR_LIT(",\"total_tokens\":"), usage->total_tokens);
    put_number(buf, DR_LIT(",\"cached_tokens\":"), usage->cached_tokens);
    put_number(buf, DR_LIT(",\"reasoning_tokens\":"), usage->reasoning_tokens);
    put_text(buf, DR_LIT("},\"usage_source\":"), dr_slice_text(usage_source_name(usage->source)));
}

void ledger_entry_put_usage_line(struct dr_buf *buf, const struct ledger_entry *entry) {
    char created[DR_WALL_TEXT_BYTES];

    dr_wall_format(entry->created, created);
    put_text(buf, DR_LIT("{\"ts\":"), dr_slice_text(created));
    put_text(buf, DR_LIT(",\"request_id\":"), entry->request_id);
    put_text(buf, DR_LIT(",\"client_id\":"), entry->client_id);
    put_text(buf, DR_LIT(",\"account\":"), entry->account_id);
    put_text(buf, DR_LIT(",\"key\":"), entry->key_name);
    put_text(buf, DR_LIT(",\"user\":"), entry->user);
    put_text(buf, DR_LIT(",\"transport\":"), dr_slice_text(transport_name(entry->transport)));
    put_text(buf, DR_LIT(",\"model\":"), entry->model);
    put_text(buf, DR_LIT(",\"target\":"), entry->target);
    put_number(buf, DR_LIT(",\"attempts\":"), entry->attempt_count);
    put_number(buf, DR_LIT(",\"status\":"), entry->status);
    put_number(buf, DR_LIT(",\"ttft_ms\":"), entry->first_token_ms);
    put_number(buf, DR_LIT(",\"duration_ms\":"), entry->duration_ms);
    put_usage(buf, &entry->usage);
    put_price(buf, DR_LIT(",\"cost\":"), entry->cost.nanousd);
    dr_buf_put_char(buf, '}');
}

static void put_attempts(struct dr_buf *buf, const struct ledger_entry *entry) {
    const uint32_t count =
        entry->attempt_count < LEDGER_ATTEMPTS_MAX ? entry->attempt_count : LEDGER_ATTEMPTS_MAX;

    dr_buf_put(buf, DR_LIT(",\"attempts\":["));
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) dr_buf_put_char(buf, ',');
        put_text(buf, DR_LIT("{\"target\":"), entry->attempts[i].target);
        put_number(buf, DR_LIT(",\"status\":"), entry->attempts[i].status);
        put_number(buf, DR_LIT(",\"duration_ms\":"), entry->attempts[i].duration_ms);
        dr_buf_put_char(buf, '}');
    }
    dr_buf_put_char(buf, ']');
}

void ledger_entry_put_receipt(struct dr_buf *buf, const struct ledger_entry *entry) {
    put_text(buf, DR_LIT("{\"request_id\":"), entry->request_id);
    put_text(buf, DR_LIT(",\"client_id\":"), entry->client_id);
    dr_buf_put(buf, DR_LIT(",\"created\":"));
    dr_buf_put_i64(buf, entry->created.ms / 1000);
    put_text(buf, DR_LIT(",\"model\":"), entry->model);
    put_text(buf, DR_LIT(",\"target\":"), entry->target);
    put_text(buf, DR_LIT(",\"transport\":"), dr_slice_text(transport_name(entry->transport)));
    put_number(buf, DR_LIT(",\"status\":"), entry->status);
    put_usage(buf, &entry->usage);
    put_price(buf, DR_LIT(",\"price\":{\"input\":"), entry->price.input);
    put_price(buf, DR_LIT(",\"output\":"), entry->price.output);
    put_price(buf, DR_LIT(",\"cached_input\":"), entry->price.cached_input);
    /* A receipt exists only after settlement, when no hold is left. */
    put_price(buf, DR_LIT("},\"held\":0,\"cost\":"), entry->cost.nanousd);
    put_attempts(buf, entry);
    dr_buf_put(buf, DR_LIT(",\"cancelled\":"));
    dr_buf_put(buf, entry->is_cancelled ? DR_LIT("true}") : DR_LIT("false}"));
}
