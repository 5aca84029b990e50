/* A sample. */
#include "dialect/openai.h"
