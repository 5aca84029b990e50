/* A sample. */
#include "admin/metrics.h"
