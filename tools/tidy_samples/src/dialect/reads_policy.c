/* A sample. */
#include "policy/plan.h"
