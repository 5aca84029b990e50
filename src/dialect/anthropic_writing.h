/* Private to anthropic_prompt.c and anthropic_tools.c, which write one request together. */
#ifndef DR_DIALECT_ANTHROPIC_WRITING_H
#define DR_DIALECT_ANTHROPIC_WRITING_H

#include "dialect/anthropic.h"
#include "dialect/call_ids.h"
#include "dialect/json_writer.h"

enum thinking { THINKING_NONE, THINKING_BUDGET, THINKING_ADAPTIVE };

/* One writing of one request. */
struct anthropic_writing {
    const struct conversation *conversation;
    struct json_writer json;
    struct dr_json_reader *scratch;
    struct loss *loss;
    uint32_t generation; /* 45 for Claude 4.5 */
    uint64_t output_tokens_max;
    enum thinking thinking;
    uint64_t budget;
    const char *effort; /* of adaptive thinking; NULL: the model's own */
    struct call_ids ids;
    bool has_native_format; /* the schema goes as `output_config.format` */
    bool lacks_memory;
};

/* The members `tools` and `tool_choice`. False when `loss` was told why not. */
bool anthropic_put_tools(struct anthropic_writing *writing);
/* What a name has to be, after the word "must", and whether one is so. */
extern const char anthropic_tool_name_rule[];
bool anthropic_is_tool_name(dr_slice name);
/* A mark of the prompt's cache, where there is one. */
void anthropic_put_cache_mark(struct anthropic_writing *writing, dr_json mark);

#endif
