/* A sample. */
#include "gateway/inspect.h"
