/* A sample. */
#include "sim/provider.h"
#include <cmocka.h>
