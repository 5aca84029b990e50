/* A sample. */
#include "gateway/worker.h"
