/* A sample. */
#include "dialect/native.h"
