/* Answers in the words of Gemini's generateContent: whole, and as a stream. */
#include "sample_answer.h"

struct writing {
    struct sample_answer *answer;
    struct dr_buf *out;
    struct dr_buf parts; /* of the present candidate, with commas between */
    bool is_grounded;    /* sources are told as what grounds the answer */
};

static void put_string(struct writing *writing, struct dr_buf *out, dr_slice text) {
    sample_answer_put_string(writing->answer, out, text);
}

/* Counters of zero are left out. */
static void put_count(struct dr_buf *out, const char *name, uint64_t count) {
    if (count > 0) dr_buf_format(out, "\"%s\":%llu,", name, (unsigned long long)count);
}

/* With each chunk, growing; the last one counts. */
static void put_usage(struct writing *writing, bool is_end) {
    const struct usage *usage = &writing->answer->usage;
    const uint64_t of_tools =
        sample_answer_chance(writing->answer, 4) ? usage->prompt_tokens / 3 : 0;
    const uint64_t said = usage->completion_tokens - usage->reasoning_tokens;

    dr_buf_put(writing->out, DR_LIT("\"usageMetadata\":{"));
    put_count(writing->out, "promptTokenCount", usage->prompt_tokens - of_tools);
    put_count(writing->out, "toolUsePromptTokenCount", of_tools);
    put_count(writing->out, "candidatesTokenCount", is_end ? said : said / 2);
    put_count(writing->out, "thoughtsTokenCount", usage->reasoning_tokens);
    put_count(writing->out, "cachedContentTokenCount", usage->cached_tokens);
    dr_buf_format(writing->out, "\"totalTokenCount\":%llu},",
                  (unsigned long long)(is_end ? usage->total_tokens : usage->prompt_tokens));
}

/* --- parts --- */

static void begin_part(struct writing *writing) {
    dr_buf_put(&writing->parts, writing->parts.len > 0 ? DR_LIT(",{") : DR_LIT("{"));
}

static void put_seal(struct writing *writing, const struct sample_piece *piece) {
    if (piece->seal[0] == '\0') return;
    dr_buf_format(&writing->parts, ",\"thoughtSignature\":\"%s\"", piece->seal);
}

/* The signature may stand on the last text, or come behind it on an empty one. */
static void put_text(struct writing *writing, const struct sample_piece *piece, dr_slice text,
                     bool is_last) {
    const bool is_apart = is_last && sample_answer_chance(writing->answer, 2);

    begin_part(writing);
    if (piece->kind == SAMPLE_THINKING) dr_buf_put(&writing->parts, DR_LIT("\"thought\":true,"));
    dr_buf_put(&writing->parts, DR_LIT("\"text\":"));
    put_string(writing, &writing->parts, text);
    if (is_last && !is_apart) put_seal(writing, piece);
    dr_buf_put_char(&writing->parts, '}');
    if (!is_apart || piece->seal[0] == '\0') return;
    dr_buf_put(&writing->parts, DR_LIT(",{\"text\":\"\""));
    put_seal(writing, piece);
    dr_buf_put_char(&writing->parts, '}');
}

static void begin_call(struct writing *writing, const struct sample_piece *piece) {
    begin_part(writing);
    dr_buf_format(&writing->parts, "\"functionCall\":{\"name\":\"%s\"", piece->name);
    if (piece->id[0] != '\0') dr_buf_format(&writing->parts, ",\"id\":\"%s\"", piece->id);
}

static void put_call(struct writing *writing, const struct sample_piece *piece) {
    const dr_slice text = dr_buf_slice(&piece->text);

    begin_call(writing, piece);
    if (!dr_slice_is(text, DR_LIT("{}")) || sample_answer_chance(writing->answer, 2)) {
        dr_buf_format(&writing->parts, ",\"args\":%.*s", DR_FMT(text));
    }
    dr_buf_put_char(&writing->parts, '}');
    put_seal(writing, piece);
    dr_buf_put_char(&writing->parts, '}');
}

/* --- candidates --- */

static void put_sources(struct writing *writing, const struct sample_choice *choice) {
    bool is_first = true;

    for (size_t i = 0; i < choice->piece_count; i++) {
        const struct sample_piece *piece = &choice->pieces[i];
        if (piece->kind != SAMPLE_SOURCE) continue;
        if (is_first) {
            dr_buf_put(writing->out, writing->is_grounded
                                         ? DR_LIT(",\"groundingMetadata\":{\"groundingChunks\":[")
                                         : DR_LIT(",\"citationMetadata\":{\"citationSources\":["));
        }
        dr_buf_format(writing->out, "%s%s\"uri\":\"%s\",\"title\":", is_first ? "" : ",",
                      writing->is_grounded ? "{\"web\":{" : "{", piece->id);
        put_string(writing, writing->out, dr_buf_slice(&piece->text));
        dr_buf_put(writing->out, writing->is_grounded ? DR_LIT("}}") : DR_LIT("}"));
        is_first = false;
    }
    if (!is_first) dr_buf_put(writing->out, DR_LIT("]}"));
}

/* The n-th token is `tn`; a probability of one is left out. */
static void put_probabilities(struct writing *writing) {
    const uint32_t count = writing->answer->token_count;

    if (count == 0) return;
    dr_buf_put(writing->out, DR_LIT(",\"logprobsResult\":{\"chosenCandidates\":["));
    for (uint32_t i = 0; i < count; i++) {
        dr_buf_format(writing->out, "%s{\"token\":\"t%u\"", i > 0 ? "," : "", i);
        if (i > 0) dr_buf_format(writing->out, ",\"logProbability\":-0.%u0", i);
        dr_buf_put_char(writing->out, '}');
    }
    dr_buf_put(writing->out, DR_LIT("],\"topCandidates\":["));
    for (uint32_t i = 0; i < count; i++) {
        dr_buf_format(writing->out,
                      "%s{\"candidates\":[{\"token\":\"t%u\",\"logProbability\":-1.5}]}",
                      i > 0 ? "," : "", i);
    }
    dr_buf_put(writing->out, DR_LIT("]}"));
}

static void begin_chunk(struct writing *writing) {
    dr_buf_put(writing->out, DR_LIT("{\"candidates\":["));
}

static void end_chunk(struct writing *writing, bool is_end) {
    dr_buf_put(writing->out, DR_LIT("],"));
    put_usage(writing, is_end);
    dr_buf_put(writing->out, DR_LIT("\"modelVersion\":\"gemini-x\",\"responseId\":\"r1\"}"));
}

/* The parts so far; at its end its reason, what it drew on, and its tokens. */
static void put_candidate(struct writing *writing, uint32_t index, bool is_end) {
    const struct sample_choice *choice = &writing->answer->choices[index];

    dr_buf_put_char(writing->out, '{');
    if (writing->parts.len > 0 || sample_answer_chance(writing->answer, 2)) {
        dr_buf_format(writing->out, "\"content\":{\"role\":\"model\",\"parts\":[%.*s]},",
                      DR_FMT(dr_buf_slice(&writing->parts)));
    }
    dr_buf_reset(&writing->parts);
    dr_buf_format(writing->out, "\"index\":%u", index);
    if (is_end) {
        dr_buf_format(writing->out, ",\"finishReason\":\"%s\"", choice->finish);
        put_sources(writing, choice);
        if (index == 0) put_probabilities(writing);
    }
    dr_buf_put_char(writing->out, '}');
}

static void write_blocked(struct writing *writing) {
    dr_buf_put(writing->out, DR_LIT("{\"promptFeedback\":{\"blockReason\":\"SAFETY\","
                                    "\"blockReasonMessage\":"));
    put_string(writing, writing->out, dr_buf_slice(&writing->answer->refusal));
    dr_buf_put(writing->out, DR_LIT("},"));
    put_usage(writing, true);
    dr_buf_put(writing->out, DR_LIT("\"modelVersion\":\"gemini-x\",\"responseId\":\"r1\"}"));
}

static void write_whole(struct writing *writing) {
    const struct sample_answer *answer = writing->answer;

    begin_chunk(writing);
    for (uint32_t i = 0; i < answer->choice_count; i++) {
        const struct sample_choice *choice = &answer->choices[i];
        for (size_t k = 0; k < choice->piece_count; k++) {
            const struct sample_piece *piece = &choice->pieces[k];
            if (piece->kind == SAMPLE_CALL)
                put_call(writing, piece);
            else if (piece->kind != SAMPLE_SOURCE)
                put_text(writing, piece, dr_buf_slice(&piece->text), true);
        }
        if (i > 0) dr_buf_put_char(writing->out, ',');
        put_candidate(writing, i, true);
    }
    end_chunk(writing, true);
}

/* --- streamed --- */

static void put_chunk(struct writing *writing, uint32_t index) {
    dr_buf_put(writing->out, DR_LIT("data: "));
    begin_chunk(writing);
    put_candidate(writing, index, false);
    end_chunk(writing, false);
    dr_buf_put(writing->out, DR_LIT("\r\n\r\n"));
}

static void put_place(struct writing *writing, uint32_t index, const char *place) {
    begin_part(writing);
    dr_buf_format(&writing->parts, "\"functionCall\":{\"willContinue\":true,\"partialArgs\":[%s]}}",
                  place);
    put_chunk(writing, index);
}

/* streamFunctionCallArguments: the name, then each place with a piece of what stands there. */
static void stream_call(struct writing *writing, uint32_t index, const struct sample_piece *piece) {
    dr_slice rest = dr_buf_slice(&piece->words);

    begin_call(writing, piece);
    dr_buf_put(&writing->parts, DR_LIT(",\"willContinue\":true}"));
    put_seal(writing, piece);
    dr_buf_put_char(&writing->parts, '}');
    put_chunk(writing, index);
    while (rest.len > 0) {
        const dr_slice words = sample_answer_cut(writing->answer, &rest);
        begin_part(writing);
        dr_buf_put(&writing->parts, DR_LIT("\"functionCall\":{\"willContinue\":true,"
                                           "\"partialArgs\":[{\"jsonPath\":\"$.t\","));
        if (rest.len > 0) dr_buf_put(&writing->parts, DR_LIT("\"willContinue\":true,"));
        dr_buf_put(&writing->parts, DR_LIT("\"stringValue\":"));
        put_string(writing, &writing->parts, words);
        dr_buf_put(&writing->parts, DR_LIT("}]}}"));
        put_chunk(writing, index);
    }
    put_place(writing, index, "{\"jsonPath\":\"$.o.n\",\"numberValue\":1.50}");
    put_place(writing, index, "{\"jsonPath\":\"$.o.yes\",\"boolValue\":true}");
    begin_part(writing);
    dr_buf_put(&writing->parts, DR_LIT("\"functionCall\":{}}"));
    put_chunk(writing, index);
}

static void stream_piece(struct writing *writing, uint32_t index,
                         const struct sample_piece *piece) {
    dr_slice rest = dr_buf_slice(&piece->text);

    if (piece->kind == SAMPLE_SOURCE) return;
    if (piece->kind == SAMPLE_CALL) {
        if (piece->words.len > 0 && sample_answer_chance(writing->answer, 2)) {
            stream_call(writing, index, piece);
            return;
        }
        put_call(writing, piece);
        if (sample_answer_chance(writing->answer, 2)) put_chunk(writing, index);
        return;
    }
    while (rest.len > 0) {
        const dr_slice text = sample_answer_cut(writing->answer, &rest);
        put_text(writing, piece, text, rest.len == 0);
        put_chunk(writing, index);
    }
}

/* Candidates take turns; the last chunk ends them all. */
static void write_stream(struct writing *writing) {
    const struct sample_answer *answer = writing->answer;

    for (size_t k = 0; k < SAMPLE_PIECES_MAX; k++) {
        for (uint32_t i = 0; i < answer->choice_count; i++) {
            if (k < answer->choices[i].piece_count) {
                stream_piece(writing, i, &answer->choices[i].pieces[k]);
            }
            if (writing->parts.len > 0) put_chunk(writing, i);
        }
    }
    dr_buf_put(writing->out, DR_LIT("data: "));
    begin_chunk(writing);
    for (uint32_t i = 0; i < answer->choice_count; i++) {
        if (i > 0) dr_buf_put_char(writing->out, ',');
        put_candidate(writing, i, true);
    }
    end_chunk(writing, true);
    dr_buf_put(writing->out, DR_LIT("\r\n\r\n"));
}

void sample_answer_write_gemini(struct sample_answer *answer, bool is_streamed,
                                struct dr_buf *out) {
    struct writing writing = {.answer = answer, .out = out};

    dr_buf_init(&writing.parts, SAMPLE_ANSWER_BYTES_MAX);
    writing.is_grounded = sample_answer_chance(answer, 2);
    if (answer->is_blocked) {
        if (is_streamed) dr_buf_put(out, DR_LIT("data: "));
        write_blocked(&writing);
        if (is_streamed) dr_buf_put(out, DR_LIT("\r\n\r\n"));
    } else if (is_streamed) {
        write_stream(&writing);
    } else {
        write_whole(&writing);
    }
    dr_buf_clear(&writing.parts);
}
