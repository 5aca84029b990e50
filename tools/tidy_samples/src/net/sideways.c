/* A sample. */
#include "model/prompt.h"
