/* A sample. */
#include "gateway/worker.h"
#include "sim/provider.h"
