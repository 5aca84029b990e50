/* The simulated provider's words. Must not know dialects, JSON or clocks, and must keep its text a
 * function of the messages: tests on four transports compare it byte by byte. */
#include "sim/script.h"

#include "base/assert.h"
#include "base/utf8.h"

enum {
    TOKEN_BYTES = 6, /* of a token, blank included; a character is never cut */
    QUOTE_BYTES_MAX = 60,
    WORDS_MIN = 18,
    WORDS_SPREAD = 16,
    SENTENCE_WORDS = 7,
    IMAGE_TOKENS = 85,
    TOOL_TOKENS = 24,
    MESSAGE_TOKENS = 4,
    CACHED_STEP = 128,
    CACHED_PROMPT_MIN = 1024,
};

static const dr_slice words[] = {
    SIM_TEXT("relay"),   SIM_TEXT("xin chào"),   SIM_TEXT("数据"),   SIM_TEXT("river"),
    SIM_TEXT("🚀"),       SIM_TEXT("tiếng Việt"), SIM_TEXT("signal"), SIM_TEXT("世界"),
    SIM_TEXT("привет"),  SIM_TEXT("meadow"),     SIM_TEXT("café"),   SIM_TEXT("αλφάβητο"),
    SIM_TEXT("lantern"), SIM_TEXT("こんにちは"), SIM_TEXT("steady"), SIM_TEXT("🌿"),
    SIM_TEXT("đường"),   SIM_TEXT("between"),    SIM_TEXT("مرحبا"),  SIM_TEXT("quiet"),
    SIM_TEXT("안녕"),    SIM_TEXT("northern"),   SIM_TEXT("नमस्ते"),   SIM_TEXT("window"),
    SIM_TEXT("straße"),  SIM_TEXT("昨日"),       SIM_TEXT("paper"),  SIM_TEXT("người"),
    SIM_TEXT("🎈"),       SIM_TEXT("harbour"),    SIM_TEXT("שלום"),   SIM_TEXT("copper"),
};
enum { WORD_COUNT = sizeof words / sizeof words[0] };
_Static_assert((WORD_COUNT & (WORD_COUNT - 1)) == 0, "an index is cut from a hash by a mask");

static const dr_slice ascii_words[] = {
    SIM_TEXT("amber"),    SIM_TEXT("harbour"), SIM_TEXT("lantern"), SIM_TEXT("meadow"),
    SIM_TEXT("northern"), SIM_TEXT("paper"),   SIM_TEXT("river"),   SIM_TEXT("signal"),
};

/* All of one length, so that events of load tests are. */
static const dr_slice burst_words[] = {
    SIM_TEXT(" stream"), SIM_TEXT(" copper"), SIM_TEXT(" meadow"), SIM_TEXT(" winter"),
    SIM_TEXT(" candle"), SIM_TEXT(" harbor"), SIM_TEXT(" signal"), SIM_TEXT(" violet"),
};

/* The finaliser of SplitMix64: neighbouring numbers become unrelated ones. */
static uint64_t mix(uint64_t value) {
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

/* --- the conversation --- */

void sim_talk_note_message(struct sim_talk *talk, enum sim_role role) {
    if (role == SIM_ROLE_SYSTEM) {
        if (!talk->has_system) talk->prompt_tokens += MESSAGE_TOKENS;
        talk->has_system = true;
        return;
    }
    const bool goes_on = role == talk->last_role && role != SIM_ROLE_TOOL;
    if (goes_on) return;
    talk->last_role = role;
    talk->prompt_tokens += MESSAGE_TOKENS;
    talk->tool_text = role == SIM_ROLE_TOOL ? DR_LIT("") : DR_NONE;
    if (role == SIM_ROLE_USER) talk->user_text = DR_NONE;
    talk->talk_hash = mix(talk->talk_hash ^ (uint64_t)role);
}

void sim_talk_note_text(struct sim_talk *talk, enum sim_role role, dr_slice text) {
    if (text.len == 0) return;
    talk->prompt_tokens += text.len / 4 + (text.len % 4 > 0 ? 1 : 0);
    if (role == SIM_ROLE_SYSTEM) {
        talk->system_hash = dr_slice_hash(text, talk->system_hash);
        return;
    }
    talk->talk_hash = dr_slice_hash(text, talk->talk_hash);
    if (role == SIM_ROLE_USER) talk->user_text = text;
    if (role == SIM_ROLE_TOOL) talk->tool_text = text;
}

void sim_talk_note_call(struct sim_talk *talk, dr_slice tool_name) {
    talk->prompt_tokens += MESSAGE_TOKENS + tool_name.len / 4;
    talk->talk_hash = mix(dr_slice_hash(tool_name, talk->talk_hash));
}

void sim_talk_note_image(struct sim_talk *talk) {
    talk->prompt_tokens += IMAGE_TOKENS;
    talk->image_count++;
    talk->talk_hash = mix(talk->talk_hash);
}

void sim_talk_note_tool(struct sim_talk *talk) {
    talk->prompt_tokens += TOOL_TOKENS;
}

uint64_t sim_talk_seed(const struct sim_talk *talk) {
    return mix(talk->talk_hash ^ mix(talk->system_hash));
}

uint64_t sim_talk_cached_tokens(const struct sim_talk *talk) {
    if (talk->prompt_tokens < CACHED_PROMPT_MIN) return 0;
    return talk->prompt_tokens / 2 / CACHED_STEP * CACHED_STEP;
}

/* --- the text --- */

static void put_quote(struct dr_buf *buf, dr_slice before, dr_slice text) {
    dr_buf_put(buf, before);
    dr_buf_put(buf, dr_utf8_first(text, QUOTE_BYTES_MAX));
    if (text.len > QUOTE_BYTES_MAX) dr_buf_put(buf, DR_LIT("…"));
    dr_buf_put(buf, DR_LIT("”."));
}

void sim_script_write(struct dr_buf *buf, const struct sim_talk *talk, uint32_t choice) {
    uint64_t seed = mix(sim_talk_seed(talk) + choice);
    dr_buf_put(buf, DR_LIT("This is a simulation, no model is behind it."));
    if (talk->image_count > 0) {
        dr_buf_put(buf, DR_LIT(" I see "));
        dr_buf_put_u64(buf, talk->image_count);
        dr_buf_put(buf, talk->image_count == 1 ? DR_LIT(" image.") : DR_LIT(" images."));
    }
    if (talk->tool_text.data) {
        put_quote(buf, DR_LIT(" The tool said “"), talk->tool_text);
    } else if (talk->user_text.len > 0) {
        put_quote(buf, DR_LIT(" You said “"), talk->user_text);
    }
    const uint64_t count = WORDS_MIN + seed % WORDS_SPREAD;
    for (uint64_t i = 0; i < count; i++) {
        seed = mix(seed);
        dr_buf_put_char(buf, ' ');
        dr_buf_put(buf, words[seed & (WORD_COUNT - 1)]);
        if (i % SENTENCE_WORDS == SENTENCE_WORDS - 1 || i + 1 == count) dr_buf_put_char(buf, '.');
    }
}

bool sim_script_is_blocked(const struct sim_talk *talk) {
    const dr_slice text = talk->user_text;
    return dr_slice_find(text, DR_LIT("simulate a block")) < text.len;
}

void sim_script_write_thought(struct dr_buf *buf, const struct sim_talk *talk, uint32_t choice,
                              uint64_t tokens) {
    const size_t start = buf->len;
    uint64_t seed = mix(sim_talk_seed(talk) ^ mix(choice));
    if (tokens == 0) return;
    dr_buf_put(buf, DR_LIT("A simulated thought:"));
    while (!dr_buf_status(buf)) {
        const dr_slice text = dr_slice_from(dr_buf_slice(buf), start);
        const dr_slice kept = sim_script_first_tokens(text, tokens);
        /* The last token is whole only when another one follows it. */
        if (kept.len < text.len) {
            buf->len = start + kept.len;
            return;
        }
        for (int i = 0; i < SENTENCE_WORDS; i++) {
            seed = mix(seed);
            dr_buf_put_char(buf, ' ');
            dr_buf_put(buf, words[seed & (WORD_COUNT - 1)]);
        }
    }
}

dr_slice sim_script_word(uint64_t seed) {
    return ascii_words[seed % (sizeof ascii_words / sizeof ascii_words[0])];
}

/* --- tokens --- */

/* Where the character that begins at `at` ends. Bytes that are no UTF-8 count one by one. */
static size_t character_end(dr_slice text, size_t at) {
    size_t end = at + 1;
    if ((unsigned char)text.data[at] < 0xc0) return end;
    while (end < text.len && ((unsigned char)text.data[end] & 0xc0) == 0x80) end++;
    return end;
}

dr_slice sim_script_token(dr_slice text) {
    dr_assert(text.len > 0);
    size_t end = character_end(text, 0);
    while (end < text.len && end < TOKEN_BYTES && text.data[end] != ' ') {
        end = character_end(text, end);
    }
    return dr_slice_first(text, end);
}

uint64_t sim_script_token_count(dr_slice text) {
    uint64_t count = 0;
    while (text.len > 0) {
        text = dr_slice_from(text, sim_script_token(text).len);
        count++;
    }
    return count;
}

dr_slice sim_script_first_tokens(dr_slice text, uint64_t count) {
    dr_slice rest = text;
    for (; rest.len > 0 && count > 0; count--) {
        rest = dr_slice_from(rest, sim_script_token(rest).len);
    }
    return dr_slice_first(text, text.len - rest.len);
}

dr_slice sim_script_burst_token(uint64_t seed, uint64_t index) {
    return burst_words[(seed + index) % (sizeof burst_words / sizeof burst_words[0])];
}

/* --- time --- */

dr_instant sim_script_due(dr_instant start, int64_t first_token_ms, int64_t token_ms,
                          uint64_t index) {
    return dr_instant_after_ms(start, first_token_ms + token_ms * (int64_t)index);
}
