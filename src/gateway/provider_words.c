/* Takes keys and names of accounts out of what a provider says. By their looks: providers cut and
 * mask what they quote, so that a search for our own keys is not enough. Names that a client must
 * read (models, tools, ids of calls) have to stay: must not mask whatever is merely long. */
#include "gateway/provider_words.h"

enum { NAME_BYTES_MIN = 5, BARE_KEY_BYTES_MIN = 32, UUID_BYTES = 36 };

static bool is_digit(char byte) {
    return byte >= '0' && byte <= '9';
}

static bool is_letter(char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

static bool is_of_word(char byte) {
    return is_digit(byte) || is_letter(byte) || byte == '-' || byte == '_' || byte == '*';
}

/* Points join a word but do not end it. */
static size_t word_len(dr_slice text) {
    size_t len = 0;
    while (len < text.len &&
           (is_of_word(text.data[len]) || (len > 0 && text.data[len] == '.' && len + 1 < text.len &&
                                           is_of_word(text.data[len + 1])))) {
        len++;
    }
    return len;
}

static bool has_key_prefix(dr_slice word) {
    /* OpenAI, DeepSeek, Anthropic, OpenRouter; Google's keys and tokens; Groq; xAI; Perplexity;
     * Hugging Face; NVIDIA; Replicate; AWS; signed tokens. The short ones begin other words too. */
    static const struct {
        dr_slice text;
        size_t len_min;
    } prefixes[] = {
        {{"sk-", 3}, 4},    {{"org-", 4}, 5},   {{"proj_", 5}, 6},   {{"wrkspc_", 7}, 8},
        {{"AIza", 4}, 5},   {{"ya29.", 5}, 16}, {{"gsk_", 4}, 16},   {{"xai-", 4}, 16},
        {{"pplx-", 5}, 16}, {{"hf_", 3}, 16},   {{"nvapi-", 6}, 16}, {{"r8_", 3}, 16},
        {{"AKIA", 4}, 16},  {{"eyJ", 3}, 16},
    };
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        if (word.len >= prefixes[i].len_min && dr_slice_starts(word, prefixes[i].text)) return true;
    }
    return false;
}

static bool is_uuid(dr_slice word) {
    if (word.len != UUID_BYTES) return false;
    for (size_t i = 0; i < word.len; i++) {
        const bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        const char byte = word.data[i];
        const bool is_hex =
            is_digit(byte) || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
        if (is_dash ? byte != '-' : !is_hex) return false;
    }
    return true;
}

static bool has_digit(dr_slice word) {
    for (size_t i = 0; i < word.len; i++) {
        if (is_digit(word.data[i])) return true;
    }
    return false;
}

/* Letters and digits and nothing else, as of Azure and Mistral. */
static bool is_bare_key(dr_slice word) {
    bool has_letter = false;
    if (word.len < BARE_KEY_BYTES_MIN || !has_digit(word)) return false;
    for (size_t i = 0; i < word.len; i++) {
        if (is_letter(word.data[i])) {
            has_letter = true;
        } else if (!is_digit(word.data[i])) {
            return false;
        }
    }
    return has_letter;
}

static bool is_key_like(dr_slice word) {
    return has_key_prefix(word) || is_uuid(word) || is_bare_key(word) ||
           dr_slice_find(word, DR_LIT("**")) < word.len;
}

static bool is_one_of(dr_slice word, const dr_slice *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (dr_slice_is_nocase(word, names[i])) return true;
    }
    return false;
}

/* What an account's name follows. */
static bool announces_name(dr_slice word) {
    static const dr_slice names[] = {
        {"organization", 12}, {"organizations", 13}, {"organisation", 12},   {"org", 3},
        {"project", 7},       {"projects", 8},       {"project_number", 14}, {"account", 7},
        {"workspace", 9},     {"team", 4},           {"tenant", 6},          {"subscription", 12},
        {"consumer", 8},
    };
    return is_one_of(word, names, sizeof names / sizeof names[0]);
}

static bool stands_between(dr_slice word) {
    static const dr_slice names[] = {{"id", 2}, {"number", 6}};
    return is_one_of(word, names, sizeof names / sizeof names[0]);
}

void provider_words_put(struct dr_buf *buf, dr_slice words) {
    bool expects_name = false;
    while (words.len > 0) {
        const size_t len = word_len(words);
        if (len == 0) {
            if (words.data[0] == '.' || words.data[0] == ';') expects_name = false;
            dr_buf_put_char(buf, words.data[0]);
            words = dr_slice_from(words, 1);
            continue;
        }
        const dr_slice word = dr_slice_first(words, len);
        const bool is_name = expects_name && len >= NAME_BYTES_MIN && has_digit(word);
        dr_buf_put(buf, is_name || is_key_like(word) ? DR_LIT("***") : word);
        if (announces_name(word)) {
            expects_name = true;
        } else if (!stands_between(word)) {
            expects_name = false;
        }
        words = dr_slice_from(words, len);
    }
}
