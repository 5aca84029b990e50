#ifndef DR_MODEL_PROMPT_H
#define DR_MODEL_PROMPT_H

#endif
