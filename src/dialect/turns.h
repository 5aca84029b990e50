/* Private to the dialects: a conversation as the turns that other dialects want, in which the two
 * sides alternate and the results of calls stand together behind them. */
#ifndef DR_DIALECT_TURNS_H
#define DR_DIALECT_TURNS_H

#include "dialect/loss.h"
#include "model/conversation.h"

/* Neighbouring messages of one side; system messages between them belong to nobody. */
struct turn {
    size_t first;
    size_t end;
    bool is_assistant;
};

/* Start with `*at` 0. Turns without anything in them are left out. */
bool turn_next(const struct conversation *conversation, size_t *at, struct turn *ret_turn);
/* Every call has its result in the turn behind it, and every result its call; at least one turn has
 * something in it, or there is a system message. False when `loss` was told otherwise. */
bool turns_check(const struct conversation *conversation, struct loss *loss);
/* The result of the `call_place`-th call of the message at `message_place`, which stands in the
 * turn `calls`; the turn `answers` follows it. NULL when there is none. */
const struct message *turn_result(const struct conversation *conversation, const struct turn *calls,
                                  const struct turn *answers, size_t message_place,
                                  size_t call_place);

/* Nothing but blanks and control characters. */
bool text_is_blank(dr_slice text);
/* Something is said in it: a text that is not blank, an image, a call, a result. */
bool message_has_content(const struct message *message);
/* The names of all calls pass `fits`; false when `loss` was told otherwise. `rule` says what fits,
 * after the word "must". */
bool call_names_check(const struct conversation *conversation, bool (*fits)(dr_slice name),
                      const char *rule, struct loss *loss);
/* The place of a part as OpenAI names it: "messages[2].content[0]" with `suffix` behind it. */
enum { PART_PATH_BYTES_MAX = 96 };
const char *part_path(char path[PART_PATH_BYTES_MAX], const struct message *message,
                      const struct message_part *part, const char *suffix);

/* "messages[2].tool_calls[0]" with `suffix` behind it. */
const char *call_path(char path[PART_PATH_BYTES_MAX], const struct message *message,
                      size_t call_place, const char *suffix);
/* "tools[0].function" with `suffix` behind it. */
const char *tool_path(char path[PART_PATH_BYTES_MAX], const struct conversation_tool *tool,
                      const char *suffix);

/* Whether a tool may be called: `tool_choice` may allow some only. */
bool tool_is_allowed(const struct conversation *conversation, const struct conversation_tool *tool);
/* The number of a model's generation times ten, from its name: "claude-sonnet-4-5-20250929" and
 * "gemini-2.5-flash" are 45 and 25; 0 when the name tells none. */
uint32_t model_generation(dr_slice model, dr_slice family);

#endif
