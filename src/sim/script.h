/* What the simulated provider says, and when. Pure: the same messages give the same text on every
 * transport and dialect, whatever the clock shows. */
#ifndef DR_SIM_SCRIPT_H
#define DR_SIM_SCRIPT_H

#include "base/buf.h"
#include "base/instant.h"
#include "base/slice.h"

/* For static tables, where DR_LIT is no constant expression to compilers that are strict. */
#define SIM_TEXT(text) \
    { "" text, sizeof(text) - 1 }

enum sim_role {
    SIM_ROLE_SYSTEM, /* also developer */
    SIM_ROLE_USER,
    SIM_ROLE_ASSISTANT,
    SIM_ROLE_TOOL, /* a tool's result */
};

/* The conversation, digested message by message. Start it zeroed. Slices are kept.
 *
 * What dialects put differently counts the same: system texts wherever they stand, messages of one
 * speaker that follow one another as one message, empty texts not at all. */
struct sim_talk {
    enum sim_role last_role; /* SIM_ROLE_SYSTEM before anybody has spoken */
    bool has_system;
    uint64_t system_hash; /* apart, since some dialects carry it apart */
    uint64_t talk_hash;
    uint64_t prompt_tokens;
    uint32_t image_count;
    dr_slice user_text; /* newest text of the user */
    dr_slice tool_text; /* the newest message, where it is a tool's result; otherwise data NULL */
};

void sim_talk_note_message(struct sim_talk *talk, enum sim_role role);
/* A piece of text of the message last noted. */
void sim_talk_note_text(struct sim_talk *talk, enum sim_role role, dr_slice text);
/* A call that an assistant's message makes. Ids and the layout of arguments differ between
 * dialects, so that only the name counts. */
void sim_talk_note_call(struct sim_talk *talk, dr_slice tool_name);
/* An image, a sound or a file: seen, not looked into. */
void sim_talk_note_image(struct sim_talk *talk);
/* A tool that is offered: costs tokens, does not change the text. */
void sim_talk_note_tool(struct sim_talk *talk);
uint64_t sim_talk_seed(const struct sim_talk *talk);
/* At least 1; grows with the messages. Of these, tokens that a provider's cache would hold: none
 * for prompts below 1,024 tokens, otherwise half in steps of 128. */
uint64_t sim_talk_cached_tokens(const struct sim_talk *talk);

/* Whether the user's newest text asks for a refusal: "simulate a block". */
bool sim_script_is_blocked(const struct sim_talk *talk);
/* The whole answer text; `choice` 0 … n-1 differ. About 300 bytes. */
void sim_script_write(struct dr_buf *buf, const struct sim_talk *talk, uint32_t choice);
/* What is thought before the answer: exactly so many tokens. */
void sim_script_write_thought(struct dr_buf *buf, const struct sim_talk *talk, uint32_t choice,
                              uint64_t tokens);
/* A word of ASCII letters; seeds that follow one another give different ones. */
dr_slice sim_script_word(uint64_t seed);

/* The first token of `text` (not empty): a blank and a few letters, never a part of a character. */
dr_slice sim_script_token(dr_slice text);
uint64_t sim_script_token_count(dr_slice text);
/* The longest prefix of `count` tokens. */
dr_slice sim_script_first_tokens(dr_slice text, uint64_t count);

/* Event number `index` of a stream of fixed length for load tests: 7 bytes of ASCII. */
dr_slice sim_script_burst_token(uint64_t seed, uint64_t index);

/* When event number `index` is due: reckoned from the start, so that lateness does not add up. */
dr_instant sim_script_due(dr_instant start, int64_t first_token_ms, int64_t token_ms,
                          uint64_t index);

#endif
